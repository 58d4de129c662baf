"""What is wrong now, in Alertmanager's own words (API v2): amtool, Grafana and what else asks one can ask here."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from services.gateway.handlers.http.deps import Viewer, Wired
from services.gateway.handlers.http.problems import ApiError
from services.gateway.store import timeline
from shared.contracts.detector import Incident
from shared.packs.promql import Matcher, Selector

router = APIRouter(tags=["observe"])

MOST = 2_000
"""Open incidents looked at."""
LASTS = timedelta(minutes=5)
"""An incident that is open is told to last so much longer, as Alertmanager tells of alerts that are repeated."""
_RECEIVER = "homeostat"
_MATCHER = re.compile(r'\s*(?P<label>[A-Za-z_]\w*)\s*(?P<sign>=~|!~|!=|=)\s*("(?P<quoted>.*)"|(?P<bare>[^"]*))\s*')


class AlertStatus(BaseModel):
    state: Literal["active", "suppressed"]
    silencedBy: list[str]  # noqa: N815 - the protocol's name
    inhibitedBy: list[str] = []  # noqa: N815 - the protocol's name
    mutedBy: list[str] = []  # noqa: N815 - the protocol's name


class Receiver(BaseModel):
    name: str


class GettableAlert(BaseModel):
    """An open incident as an alert."""

    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: datetime  # noqa: N815 - the protocol's name
    updatedAt: datetime  # noqa: N815 - the protocol's name
    endsAt: datetime  # noqa: N815 - the protocol's name
    fingerprint: str
    receivers: list[Receiver]
    status: AlertStatus
    generatorURL: str = ""  # noqa: N815 - the protocol's name


class Cluster(BaseModel):
    status: Literal["disabled"] = "disabled"
    peers: list[str] = []


class VersionInfo(BaseModel):
    version: str
    revision: str = ""
    branch: str = ""
    buildUser: str = ""  # noqa: N815 - the protocol's name
    buildDate: str = ""  # noqa: N815 - the protocol's name
    goVersion: str = ""  # noqa: N815 - the protocol's name


class Configuration(BaseModel):
    original: str = ""
    """Homeostat has no such file: what it watches stands in packs."""


class AlertmanagerStatus(BaseModel):
    cluster: Cluster
    versionInfo: VersionInfo  # noqa: N815 - the protocol's name
    config: Configuration
    uptime: datetime


@router.get("/api/v2/alerts")
async def list_alerts(
    deps: Wired,
    _bearer: Viewer,
    filters: Annotated[
        list[str] | None, Query(alias="filter", description='Matchers, as `severity="critical"`.')
    ] = None,
    active: Annotated[bool, Query(description="Also those that aren't silenced.")] = True,
    silenced: Annotated[bool, Query(description="Also those that are.")] = True,
) -> list[GettableAlert]:
    """Open incidents as Alertmanager's alerts; `alertname` is the kind of trouble."""
    selector = _selector(filters or [])
    async with deps.units.begin() as unit:
        page = await timeline.page(unit.session, "incident", MOST, statuses=["open"])
    alerts = [_alert(Incident.model_validate(body), unit.now) for body in page.bodies]
    return [
        each for each in alerts if (silenced if each.status.silencedBy else active) and selector.matches(each.labels)
    ]


@router.get("/api/v2/status")
async def get_alertmanager_status(deps: Wired, _bearer: Viewer) -> AlertmanagerStatus:
    """Which version this is, for clients of Alertmanager that ask before anything else."""
    return AlertmanagerStatus(
        cluster=Cluster(),
        versionInfo=VersionInfo(version=version("homeostat")),
        config=Configuration(),
        uptime=deps.started_at,
    )


def _selector(filters: list[str]) -> Selector:
    """All matchers together, with or without quotes around their values."""
    matchers = []
    for text in filters:
        found = _MATCHER.fullmatch(text)
        if found is None:
            raise _bad_filter(text, "no matcher")
        label, sign, value = found["label"], found["sign"], found["quoted"] or found["bare"] or ""
        if "~" in sign:
            try:
                re.compile(value)
            except re.error as error:
                raise _bad_filter(text, error.msg) from error
        matchers.append(Matcher(label, sign, value))
    return Selector("alert", tuple(matchers))


def _bad_filter(text: str, why: str) -> ApiError:
    return ApiError(400, "bad-filter", f"{text}: {why}", 'write it as severity="critical", with =, !=, =~ or !~')


def _alert(incident: Incident, now: datetime) -> GettableAlert:
    own = {"alertname": incident.pattern, "component": incident.component, "severity": incident.severity.value}
    return GettableAlert(
        labels={**incident.labels, **own},
        annotations={"summary": incident.summary, "priority": incident.priority, "incident": str(incident.case_id)},
        startsAt=incident.opened_at,
        updatedAt=incident.at,
        endsAt=now + LASTS,
        fingerprint=incident.fingerprint,
        receivers=[Receiver(name=_RECEIVER)],
        status=AlertStatus(
            state="suppressed" if incident.silenced else "active",
            silencedBy=[incident.silenced] if incident.silenced else [],
        ),
    )
