"""How the detector looks for itself: probes that publish what they see as anybody else could."""

from services.detector.clients.reports import Memory, Reports
from services.detector.clients.runner import ProbeRunner

__all__ = ["Memory", "ProbeRunner", "Reports"]
