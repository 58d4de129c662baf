"""One value of a pack's body changed, everything else as it is."""

from __future__ import annotations

from services.gateway.domain.pack_changes import Json


def own_threshold(body: dict[str, Json], playbook: str) -> float | None:
    """The playbook's own threshold; None: it has none, and the policy's holds.

    Raises:
        KeyError: the pack has no such playbook.
    """
    playbooks = body.get("playbooks")
    if not isinstance(playbooks, dict) or not isinstance(playbooks.get(playbook), dict):
        raise KeyError(playbook)
    spec = playbooks[playbook]
    value = spec.get("confidence") if isinstance(spec, dict) else None
    return float(value) if isinstance(value, int | float) else None


def with_threshold(body: dict[str, Json], playbook: str, value: float | None) -> dict[str, Json]:
    """The pack with another own threshold of a playbook; None takes it away.

    Raises:
        KeyError: the pack has no such playbook.
    """
    own_threshold(body, playbook)
    playbooks = body["playbooks"]
    assert isinstance(playbooks, dict)
    spec = playbooks[playbook]
    assert isinstance(spec, dict)
    changed: dict[str, Json] = {name: one for name, one in spec.items() if name != "confidence"}
    if value is not None:
        changed["confidence"] = value
    return {**body, "playbooks": {**playbooks, playbook: changed}}
