"""JSON lines into a bounded file per component, the library's own errors included."""

import json
import logging
import logging.handlers
from datetime import UTC, datetime
from pathlib import Path

from examples.shop.files import timestamp

_LOGGER = logging.getLogger("shop")


class _JsonFormatter(logging.Formatter):
    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "component": self._component,
            "event": getattr(record, "event", record.name),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure(component: str, path: Path, max_bytes: int = 8 * 1024 * 1024) -> None:
    """Everything this process logs goes to `path`, and to one older file of the same size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=max_bytes, backupCount=1, encoding="utf-8")
    handler.setFormatter(_JsonFormatter(component))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(logging.INFO)


def info(event: str, message: str, **fields: object) -> None:
    _LOGGER.info(message, extra={"event": event, "fields": fields})


def warning(event: str, message: str, **fields: object) -> None:
    _LOGGER.warning(message, extra={"event": event, "fields": fields})


def error(event: str, message: str, **fields: object) -> None:
    _LOGGER.error(message, extra={"event": event, "fields": fields})
