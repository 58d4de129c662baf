"""Packs: validating, comparing, applying and removing them, and their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from services.gateway.domain.pack_changes import PackChange, changes, collisions
from services.gateway.handlers.http import schemas
from services.gateway.handlers.http.deps import Admin, Deps, Viewer, Wired, audit
from services.gateway.handlers.http.observe import pack_summary
from services.gateway.handlers.http.problems import ApiError, Detail, not_found
from services.gateway.handlers.http.schemas import Success
from services.gateway.store import packs
from services.gateway.store.tables import PackRow
from services.gateway.store.timeline import Body
from shared.contracts.gateway import PackApplied
from shared.outbox import Unit
from shared.packs import Pack
from shared.packs.load import parse_pack

router = APIRouter(tags=["packs"])

_YAML_BODY = {
    "requestBody": {
        "required": True,
        "description": "A pack as YAML or JSON; its shape is contracts/pack.schema.json.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}
Settings = Annotated[
    list[str] | None, Query(alias="set", max_length=100, description="`name=value` for a variable of the pack.")
]
Name = Annotated[str, Path(max_length=64, description="The pack's name.")]


def pack_body(pack: Pack) -> Body:
    """The pack as it is stored and published."""
    return pack.model_dump(mode="json", by_alias=True, exclude_none=True)


async def _read(request: Request, given: Sequence[str] | None) -> Pack:
    """The pack in the request's body. Raises PackError, which is answered with every problem at its line."""
    variables: dict[str, str] = {}
    for setting in given or ():
        name, separator, value = setting.partition("=")
        if not separator or not name:
            raise ApiError(400, "bad-setting", f"set={setting!r} sets nothing", "write set=name=value")
        variables[name] = value
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, "not-text", "the body is not UTF-8 text", "send the pack as YAML or JSON") from error
    return parse_pack(text, variables, "body")


@router.post("/api/packs/validate", openapi_extra=_YAML_BODY)
async def validate_pack(
    deps: Wired, request: Request, _bearer: Viewer, settings: Settings = None
) -> Success[schemas.PackValid]:
    """Checks a pack and changes nothing. Every problem is told at once, with line, column and remedy."""
    pack = await _read(request, settings)
    async with deps.units.begin() as unit:
        taken = collisions(pack.pack, list(pack.components), _in_force(await packs.heads(unit.session)))
    return Success(
        data=schemas.PackValid(
            pack=pack.pack,
            components=len(pack.components),
            collisions=[f"{one.component} is a component of {one.pack}" for one in taken],
        )
    )


@router.post("/api/packs/diff", openapi_extra=_YAML_BODY)
async def diff_pack(
    deps: Wired, request: Request, _bearer: Viewer, settings: Settings = None
) -> Success[schemas.PackDiff]:
    """What applying this pack would change."""
    pack = await _read(request, settings)
    async with deps.units.begin() as unit:
        head = await packs.head(unit.session, pack.pack)
    before = head.body if head and head.body else {}
    return Success(
        data=schemas.PackDiff(
            pack=pack.pack,
            from_version=head.version if head else None,
            changes=shown(changes(dict(before), dict(pack_body(pack)))),
        )
    )


@router.post("/api/packs/apply", openapi_extra=_YAML_BODY)
async def apply_pack(
    deps: Wired, request: Request, bearer: Admin, settings: Settings = None
) -> Success[schemas.PackResult]:
    """Puts a pack in force: services take it up at once. The same pack again changes nothing, its version included."""
    pack = await _read(request, settings)
    body = pack_body(pack)
    async with deps.units.begin() as unit:
        await packs.lock(unit.session)
        heads = await packs.heads(unit.session)
        _refuse_collisions(pack, heads)
        head = next((row for row in heads if row.name == pack.pack), None)
        if head is not None and head.body == body:
            return Success(data=schemas.PackResult(pack=pack.pack, version=head.version, changed=False, changes=[]))
        version = head.version + 1 if head else 1
        await put_version(deps, unit, pack.pack, version, bearer.name, body)
        await audit(unit, deps, request, bearer, pack.pack, {"version": version, "mode": pack.mode.value})
    found = changes(dict(head.body) if head and head.body else {}, dict(body))
    return Success(data=schemas.PackResult(pack=pack.pack, version=version, changed=True, changes=shown(found)))


@router.delete("/api/packs/{name}")
async def remove_pack(deps: Wired, request: Request, bearer: Admin, name: Name) -> Success[schemas.PackResult]:
    """Takes a pack out of force: its components are no longer watched or healed. Its history stays."""
    async with deps.units.begin() as unit:
        await packs.lock(unit.session)
        head = await packs.head(unit.session, name)
        if head is None or head.body is None:
            raise not_found("pack in force", name, "see /api/packs")
        version = head.version + 1
        await put_version(deps, unit, name, version, bearer.name, None)
        await audit(unit, deps, request, bearer, name, {"version": version, "removed": True})
    return Success(data=schemas.PackResult(pack=name, version=version, changed=True, changes=[]))


@router.get("/api/packs")
async def list_packs(deps: Wired, _bearer: Viewer) -> Success[list[schemas.PackSummary]]:
    """The packs in force."""
    async with deps.units.begin() as unit:
        heads = await packs.heads(unit.session)
    return Success(data=[pack_summary(row) for row in heads if row.body is not None])


@router.get("/api/packs/{name}")
async def get_pack(deps: Wired, _bearer: Viewer, name: Name) -> Success[schemas.PackDetail]:
    """A pack as it is in force, with its variables filled in."""
    async with deps.units.begin() as unit:
        head = await packs.head(unit.session, name)
    if head is None:
        raise not_found("pack", name, "see /api/packs")
    return Success(data=schemas.PackDetail(**pack_summary(head).model_dump(), body=head.body))


@router.get("/api/packs/{name}/history")
async def get_pack_history(
    deps: Wired, _bearer: Viewer, name: Name, limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> Success[list[schemas.PackSummary]]:
    """Versions of a pack, newest first."""
    async with deps.units.begin() as unit:
        rows = await packs.versions(unit.session, name, limit)
    if not rows:
        raise not_found("pack", name, "see /api/packs")
    return Success(data=[pack_summary(row) for row in rows])


def _in_force(heads: Sequence[PackRow]) -> Mapping[str, list[str]]:
    in_force = {}
    for row in heads:
        components = (row.body or {}).get("components")
        if isinstance(components, dict):
            in_force[row.name] = list(components)
    return in_force


def _refuse_collisions(pack: Pack, heads: Sequence[PackRow]) -> None:
    taken = collisions(pack.pack, list(pack.components), _in_force(heads))
    if taken:
        errors = [
            Detail(
                where=f"components.{one.component}",
                message=f"the pack {one.pack} has a component of this name",
                remedy=f"rename it here, or remove it from {one.pack}",
            )
            for one in taken
        ]
        said = "names of components are unique over all packs"
        raise ApiError(409, "component-taken", said, "mend what `errors` lists", errors)


async def put_version(deps: Deps, unit: Unit, name: str, version: int, by: str, body: Body | None) -> None:
    """The next version of a pack; None takes it out of force. The lock of packs must be held."""
    row = await packs.add_version(unit.session, name, version, unit.now, by, body)
    unit.emit(_applied(deps, row))


def shown(found: list[PackChange]) -> list[schemas.PackDifference]:
    return [schemas.PackDifference(kind=one.kind, where=one.where, before=one.before, after=one.after) for one in found]


async def announce_missing(deps: Deps, unit: Unit) -> None:
    """Publishes again what the bus has lost or never got: what the database says is in force, is in force."""
    for row in await packs.heads(unit.session):
        known = deps.packs.packs.get(row.name)
        wanted = row.version if row.body is not None else None
        if wanted != (known.version if known else None):
            unit.emit(_applied(deps, row))


def _applied(deps: Deps, row: PackRow) -> PackApplied:
    return PackApplied(
        id=deps.ids(),
        at=row.applied_at,
        pack=row.name,
        version=row.version,
        applied_by=row.applied_by,
        body=row.body,
    )
