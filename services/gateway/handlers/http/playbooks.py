"""Playbooks one by one. A change of a playbook is a change of its pack: a new version of it, with who and what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import JsonValue

from services.gateway.domain.pack_changes import changes, playbook_versions
from services.gateway.handlers.http import healing_schemas as schemas
from services.gateway.handlers.http.deps import Admin, Deps, Viewer, Wired, audit
from services.gateway.handlers.http.packs import pack_body, put_version, shown
from services.gateway.handlers.http.problems import ApiError, not_found
from services.gateway.handlers.http.schemas import Success
from services.gateway.store import packs
from services.gateway.store.access import Bearer
from services.gateway.store.tables import PackRow
from services.gateway.store.timeline import Body
from shared.contracts.base import Category, Token
from shared.outbox import Unit
from shared.packs import Pack, Playbook
from shared.packs.load import parse_playbook
from shared.packs.problems import suggestion

router = APIRouter(tags=["packs"])

PATH = "/api/healing/playbooks"
VERSIONS_LOOKED_AT = 500
_YAML_BODY = {
    "requestBody": {
        "required": True,
        "description": "A playbook as YAML or JSON; its shape is contracts/playbook.schema.json.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}
PackName = Annotated[Token, Path(description="The pack's name.")]
Name = Annotated[Token, Path(description="The playbook's name.")]
DryRun = Annotated[bool, Query(description="Only say what would change.")]
Expected = Annotated[
    int | None, Query(ge=1, description="The pack's version that was read; refused when there is a newer one.")
]


@router.get(PATH)
async def list_playbooks(
    deps: Wired,
    _bearer: Viewer,
    pack: Annotated[Token | None, Query(description="Only of this pack.")] = None,
    component: Annotated[Token | None, Query(description="Only what may be run on this component.")] = None,
    category: Annotated[Category | None, Query(description="Only for this kind of cause.")] = None,
) -> Success[list[schemas.PlaybookInfo]]:
    """The playbooks in force, each with its ladder."""
    async with deps.units.begin() as unit:
        heads = [head for head in await packs.heads(unit.session) if head.body and pack in (None, head.name)]
    found = []
    for head in heads:
        parsed = Pack.model_validate(head.body)
        if component is not None and component not in parsed.components:
            continue
        for name, spec in sorted(parsed.playbooks.items()):
            fits = component is None or not spec.components or component in spec.components
            if fits and (category is None or category in spec.applies_to):
                found.append(_info(parsed, head.version, name))
    return Success(data=found)


@router.get(PATH + "/{pack}/{name}")
async def get_playbook(deps: Wired, _bearer: Viewer, pack: PackName, name: Name) -> Success[schemas.PlaybookInfo]:
    """One playbook as it is in force."""
    async with deps.units.begin() as unit:
        head = await _head(unit, pack)
    parsed = Pack.model_validate(head.body)
    _known(parsed, name)
    return Success(data=_info(parsed, head.version, name))


@router.put(PATH + "/{pack}/{name}", openapi_extra=_YAML_BODY)
async def put_playbook(
    deps: Wired,
    request: Request,
    bearer: Admin,
    pack: PackName,
    name: Name,
    dry_run: DryRun = False,
    expected_version: Expected = None,
) -> Success[schemas.PlaybookResult]:
    """Adds a playbook to a pack or replaces it; what it breaks in the pack is told with line and remedy. The same
    playbook again changes nothing."""
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise ApiError(400, "not-text", "the body is not UTF-8 text", "send the playbook as YAML or JSON") from error
    async with deps.units.begin() as unit:
        head = await _locked(unit, pack, expected_version)
        changed = parse_playbook(text, name, head.body or {}, "body")
        return await _apply(deps, request, bearer, unit, head, changed, name, dry_run=dry_run)


@router.delete(PATH + "/{pack}/{name}")
async def remove_playbook(
    deps: Wired,
    request: Request,
    bearer: Admin,
    pack: PackName,
    name: Name,
    dry_run: DryRun = False,
    expected_version: Expected = None,
) -> Success[schemas.PlaybookResult]:
    """Takes a playbook out of its pack, unless another one leads to it. Its history stays."""
    async with deps.units.begin() as unit:
        head = await _locked(unit, pack, expected_version)
        before = Pack.model_validate(head.body)
        _known(before, name)
        if leading := [other for other, one in before.playbooks.items() if one.then == name]:
            said = f"{', '.join(leading)} would lead to nothing: `then: {name}`"
            raise ApiError(409, "playbook-needed", said, "change their `then` first")
        rest = {other: one for other, one in before.playbooks.items() if other != name}
        changed = before.model_copy(update={"playbooks": rest})
        return await _apply(deps, request, bearer, unit, head, changed, name, dry_run=dry_run)


@router.get(PATH + "/{pack}/{name}/history")
async def get_playbook_history(
    deps: Wired, _bearer: Viewer, pack: PackName, name: Name
) -> Success[list[schemas.PlaybookRevision]]:
    """Every version of a playbook with what changed and who changed it, newest first."""
    async with deps.units.begin() as unit:
        rows = await packs.versions(unit.session, pack, VERSIONS_LOOKED_AT)
    by_version = {row.version: row for row in rows}
    found = playbook_versions([(row.version, dict(row.body) if row.body else None) for row in rows], name)
    if not found:
        raise not_found("playbook", name, f"see {PATH}")
    return Success(
        data=[
            schemas.PlaybookRevision(
                version=one.version,
                applied_at=by_version[one.version].applied_at,
                applied_by=by_version[one.version].applied_by,
                changes=shown(one.changes),
                spec=one.spec if isinstance(one.spec, dict) else None,
            )
            for one in found
        ]
    )


# ---- parts


async def _head(unit: Unit, pack: str) -> PackRow:
    head = await packs.head(unit.session, pack)
    if head is None or head.body is None:
        raise not_found("pack in force", pack, "see /api/packs")
    return head


async def _locked(unit: Unit, pack: str, expected: int | None) -> PackRow:
    """The pack's newest version, which stays so until the unit ends."""
    await packs.lock(unit.session)
    head = await _head(unit, pack)
    if expected is not None and head.version != expected:
        said = f"the pack {pack} is in version {head.version}, not {expected}"
        raise ApiError(409, "changed-meanwhile", said, "read it again, and make the change there")
    return head


def _known(pack: Pack, name: str) -> Playbook:
    if name not in pack.playbooks:
        raise not_found("playbook", name, suggestion(name, pack.playbooks, f"the pack {pack.pack} has: {{0}}"))
    return pack.playbooks[name]


async def _apply(
    deps: Deps, request: Request, bearer: Bearer, unit: Unit, head: PackRow, pack: Pack, name: str, *, dry_run: bool
) -> Success[schemas.PlaybookResult]:
    body = pack_body(pack)
    before: Body = dict(head.body or {})
    found = changes(before, dict(body))
    version = head.version
    if found and not dry_run:
        version += 1
        await put_version(deps, unit, head.name, version, bearer.name, body)
        detail: dict[str, JsonValue] = {"version": version, "changes": list[JsonValue](one.where for one in found[:50])}
        await audit(unit, deps, request, bearer, f"{head.name}/{name}", detail)
    return Success(
        data=schemas.PlaybookResult(
            pack=head.name, name=name, version=version, changed=bool(found), changes=shown(found)
        )
    )


def _info(pack: Pack, version: int, name: str) -> schemas.PlaybookInfo:
    spec = pack.playbooks[name]
    return schemas.PlaybookInfo(
        pack=pack.pack,
        pack_version=version,
        name=name,
        categories=[one.value for one in spec.applies_to],
        automation_level=spec.automation_level.value,
        required_permissions=list(spec.required_permissions),
        permitted=not spec.lacks(pack.policy.permissions),
        reversible=spec.reversible,
        ladder=ladder(pack, name),
        spec=spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def ladder(pack: Pack, name: str) -> list[str]:
    """What follows when the playbook does not help, and that again not; a person at the end, said or not."""
    rungs: list[str] = []
    following = pack.playbooks[name].then
    while following in pack.playbooks and following not in rungs:
        rungs.append(following)
        following = pack.playbooks[following].then
    return [*rungs, "page-a-human"]
