"""The knowledge base as JSON lines: the fields of requirement H04 by their names, and those that keep a run apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from services.learner.domain.outcomes import End, Validated, validated

_NAMESPACE = uuid5(NAMESPACE_URL, "urn:homeostat:knowledge-line")
LONGEST = 4_096
_REQUIRED = ("timestamp", "issue_type", "fix_type", "original_confidence", "result_status")


class LineError(ValueError):
    """A line that can't be read; the text says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One run. Confidence is 0–1 here and 0–100 in the line (decision Z7)."""

    decision_id: UUID
    at: datetime
    issue_type: str
    fix_type: str
    confidence: float
    end: End
    validation: Validated
    success: bool
    error_count_after: int
    component: str = ""
    kind: str = ""
    dry_run: bool = False
    recovery_s: float | None = None


def written(line: Line) -> str:
    """As one line of JSON."""
    return json.dumps(
        {
            "timestamp": line.at.isoformat(),
            "issue_type": line.issue_type,
            "fix_type": line.fix_type,
            "original_confidence": round(line.confidence * 100, 1),
            "result_status": line.end.value,
            "validation_status": line.validation.value,
            "success": line.success,
            "error_count_after": line.error_count_after,
            "component": line.component,
            "kind": line.kind,
            "dry_run": line.dry_run,
            "recovery_s": line.recovery_s,
            "decision_id": str(line.decision_id),
        }
    )


def read(text: str) -> Line:
    """A line again. One without `decision_id` is known by its content, so that reading it twice gives one run.

    Raises:
        LineError: it is not JSON, lacks a field, or a value can't be.
    """
    if len(text) > LONGEST:
        raise LineError(f"longer than {LONGEST} characters: one run a line")
    try:
        given = json.loads(text)
    except ValueError:
        raise LineError("not JSON: write one object a line") from None
    if not isinstance(given, dict):
        raise LineError("not an object: write one a line")
    missing = [name for name in _REQUIRED if name not in given]
    if missing:
        raise LineError(f"without {', '.join(missing)}: these must be there")
    try:
        return _line(given)
    except LineError:
        raise
    except (ValueError, TypeError) as error:
        raise LineError(f"a value can't be read: {error}") from None


def _line(given: Mapping[str, object]) -> Line:
    end = End(_text(given, "result_status"))
    at = datetime.fromisoformat(_text(given, "timestamp"))
    confidence = round(_number(given, "original_confidence") / 100, 4)
    if not 0 <= confidence <= 1:
        raise LineError("original_confidence is out of 0–100: it is in points of 100")
    content = json.dumps({name: given.get(name) for name in (*_REQUIRED, "component")}, sort_keys=True)
    known = given.get("decision_id")
    label = given.get("success")
    recovery_s = given.get("recovery_s")
    return Line(
        decision_id=UUID(str(known)) if known else uuid5(_NAMESPACE, content),
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        issue_type=_text(given, "issue_type"),
        fix_type=_text(given, "fix_type"),
        confidence=confidence,
        end=end,
        validation=Validated(str(given.get("validation_status", validated(end).value))),
        success=bool(label) if isinstance(label, bool) else end is End.SUCCEEDED,
        error_count_after=max(0, int(_number(given, "error_count_after", 0))),
        component=str(given.get("component", ""))[:64],
        kind=str(given.get("kind", ""))[:50],
        dry_run=given.get("dry_run") is True,
        recovery_s=float(recovery_s) if isinstance(recovery_s, int | float) and recovery_s >= 0 else None,
    )


def _text(given: Mapping[str, object], name: str) -> str:
    value = given[name]
    if not isinstance(value, str) or not value or len(value) > 500:
        raise LineError(f"{name} is no text of 1 to 500 characters")
    return value


def _number(given: Mapping[str, object], name: str, default: float = 0.0) -> float:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LineError(f"{name} is no number")
    return value
