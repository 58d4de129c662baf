"""The diagnoser's tables and queries."""

from services.diagnoser.store import calls, evidence, experience, incidents, telemetry, told
from services.diagnoser.store.models import Base, DiagnosisRow, JudgementRow

__all__ = ["Base", "DiagnosisRow", "JudgementRow", "calls", "evidence", "experience", "incidents", "telemetry", "told"]
