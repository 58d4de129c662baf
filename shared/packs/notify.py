"""Who is told of what, and how: channels to people and their tools, and rules that lead notices to them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from shared.contracts.base import Severity, Token
from shared.packs.base import Part, Path
from shared.packs.component import SecretRef

Address = Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$")]

SlackUser = Annotated[str, Field(pattern=r"^[A-Z0-9]{3,20}$")]


class NoticeKind(StrEnum):
    """What a notice is about."""

    INCIDENT_OPENED = "incident-opened"
    """Opened, opened again, or got worse."""
    INCIDENT_RESOLVED = "incident-resolved"
    STORM = "storm"
    ASK = "ask"
    """A decision that waits for a person."""
    LOW_CONFIDENCE = "low-confidence"
    """A decision that was not sure enough to act; it asks as well."""
    ACTING = "acting"
    """A repair was ordered."""
    HEALED = "healed"
    ROLLED_BACK = "rolled-back"
    RUN_FAILED = "run-failed"
    PREDICTION = "prediction"
    FAILOVER = "failover"
    """Traffic was led to another provider, or back."""
    MESSAGE = "message"
    """What a playbook's `notify.send` says."""


class WebhookChannel(Part):
    """`POST` of JSON, signed as the Standard Webhooks specification says: `webhook-id`, `webhook-timestamp`,
    `webhook-signature`."""

    url: str
    secret: SecretRef


class SlackChannel(Part):
    """Messages by an incoming webhook, or by a bot's token; with buttons where Slack's answers can be verified."""

    webhook: SecretRef | None = None
    """Address of an incoming webhook; who knows it can write there, so it is a secret."""
    token: SecretRef | None = None
    """A bot's token, with `channel`, instead."""
    channel: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    api_url: str = "https://slack.com/api"
    signing_secret: SecretRef | None = None
    """Of the Slack app; its interactivity address is the gateway's `/api/slack/interactions`."""
    users: dict[SlackUser, Annotated[str, Field(min_length=1, max_length=100)]] = {}
    """Slack user id → the person's name in decisions and audit. Nobody else's click counts."""

    @model_validator(mode="after")
    def _one_way(self) -> SlackChannel:
        if (self.webhook is None) == (self.token is None):
            raise ValueError("slack has exactly one of `webhook` and `token`")
        if (self.token is None) != (self.channel is None):
            raise ValueError("`token` and `channel` belong together")
        if bool(self.users) != (self.signing_secret is not None):
            raise ValueError("`users` and `signing_secret` belong together: who may answer, and how it is known")
        return self


class PagerDutyChannel(Part):
    """Events API v2: an incident is triggered, acknowledged while Homeostat works on it, and resolved."""

    routing_key: SecretRef
    url: str = "https://events.pagerduty.com"


class EmailChannel(Part):
    host: Annotated[str, Field(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    starttls: bool = True
    ca_file: Path | None = None
    """Certificates to trust instead of the well-known ones."""
    username: str | None = None
    password: SecretRef | None = None
    sender: Address
    to: Annotated[tuple[Address, ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _no_password_in_clear(self) -> EmailChannel:
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` belong together")
        if self.password is not None and not self.starttls:
            raise ValueError("a password would be sent in clear: leave `starttls` on")
        return self


class Channel(Part):
    """One way to reach people; exactly one of the four is set."""

    webhook: WebhookChannel | None = None
    slack: SlackChannel | None = None
    pagerduty: PagerDutyChannel | None = None
    email: EmailChannel | None = None
    group_s: Annotated[float, Field(ge=0, le=3_600)] = 5
    """What happens within this time is told in one message; a question never waits, and PagerDuty groups itself."""
    per_minute: Annotated[int, Field(ge=1, le=600)] = 20
    """More messages than this wait, and are told together."""

    @property
    def kind(self) -> str:
        """`webhook`, `slack`, `pagerduty` or `email`."""
        return next(name for name in CHANNEL_KINDS if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Channel:
        given = [name for name in CHANNEL_KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a channel has exactly one of {', '.join(CHANNEL_KINDS)}; this one has {given or 'none'}")
        return self


CHANNEL_KINDS = ("webhook", "slack", "pagerduty", "email")


class NotifyRule(Part):
    """What fits all that is set is told on the channels; every rule is looked at."""

    channels: Annotated[tuple[Token, ...], Field(min_length=1)]
    kinds: tuple[NoticeKind, ...] = ()
    """Empty: all."""
    severity: Severity = Severity.WARNING
    """At least this."""
    components: tuple[Token, ...] = ()
    """Empty: all of the pack."""


class Notify(Part):
    channels: dict[Token, Channel] = {}
    rules: tuple[NotifyRule, ...] = ()
