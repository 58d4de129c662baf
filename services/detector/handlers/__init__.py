"""What the detector does with each message: the wire on one side, the domain on the other."""

from services.detector.handlers.fold import WireFold
from services.detector.handlers.handlers import Handlers
from services.detector.handlers.storms import StormWatch

__all__ = ["Handlers", "StormWatch", "WireFold"]
