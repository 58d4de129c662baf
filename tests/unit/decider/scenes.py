"""Makes cases and targets for the decider's tests, as short as their stories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.decider.domain import Case, CaseKind, Cause, Inputs, Ledger, Ruling, Target, decide
from shared.packs import Category, Component, Mode, Playbook, Policy

NOW = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)  # a Wednesday
CASE_ID = UUID(int=7)

RESTART: dict[str, Any] = {
    "for": ["crash", "hang", "resource-exhaustion"],
    "automation_level": "full-auto",
    "steps": [{"process.restart": {}}],
}
RESTORE: dict[str, Any] = {
    "for": ["configuration"],
    "automation_level": "full-auto",
    "backup": [{"file": "/etc/payments.toml"}],
    "steps": [{"file.restore_last_good": {"path": "/etc/payments.toml"}}, {"process.reload": {}}],
}


def playbooks(**written: dict[str, Any]) -> dict[str, Playbook]:
    """As in a pack: `restart=RESTART | {"then": "restore"}`; underscores become dashes."""
    return {name.replace("_", "-"): Playbook.model_validate(body) for name, body in written.items()}


def target(name: str = "payments", **more: Any) -> Target:
    policy = more.pop("policy", {})
    fields: dict[str, Any] = {
        "pack": "shop",
        "pack_version": 3,
        "mode": Mode.AUTO,
        "component": Component(kind="http-service"),
        "policy": Policy.model_validate(policy),
        "playbooks": playbooks(restart=RESTART),
        "dependents": 1,
        "others": 7,
        "health": "critical",
    }
    return Target(name=name, **(fields | more))


def cause(category: str = "crash", confidence: float = 0.95, component: str = "payments", signature: str = "") -> Cause:
    return Cause(component, Category(category), confidence, signature or f"{category}:pattern")


def case(*causes: Cause, **more: Any) -> Case:
    fields: dict[str, Any] = {
        "id": CASE_ID,
        "kind": CaseKind.INCIDENT,
        "component": "payments",
        "opened_at": NOW - timedelta(seconds=5),
        "pattern": "process-exited",
        "causes": causes or (cause(),),
    }
    return Case(**(fields | more))


def ruled(one: Case | None = None, *targets: Target, **more: Any) -> Ruling:
    """Decides with these targets (payments unless said)."""
    known = targets or (target(),)
    return decide(Inputs(now=NOW, case=one or case(), targets={t.name: t for t in known}, **more))


def busy(*names: str, **more: Any) -> Ledger:
    return Ledger(busy_targets=names, **more)
