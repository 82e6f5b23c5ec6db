"""Log lines as JSON on standard error, one object a line, each naming its instance and request."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from mailapp.settings import Settings
from mailapp.telemetry.requests import request_id

_encode = msgspec.json.Encoder(enc_hook=str).encode

# A password inside a URL, as libraries like to quote it in their errors.
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")
# The values of a statement that failed, as SQLAlchemy and PostgreSQL quote them: people's mail.
_VALUES = re.compile(
    r"^(\[parameters: ).*?$|(DETAIL: ).*?(?=\n\[SQL: |\Z)", re.MULTILINE | re.DOTALL
)


# What every record has; anything else in one was given as `extra`.
_OF_EVERY_RECORD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "taskName"}


class JsonLines(logging.Formatter):
    """timestamp (ISO 8601, UTC), level, logger, message, instance, request_id, whatever the caller
    gave as `extra`, and an exception with its traceback as the one field `exception`."""

    def __init__(self, instance: str) -> None:
        super().__init__()
        self._instance = instance

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line. What JSON has no form for is written as Python shows it."""
        line: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": _without_secrets(record.getMessage()),
            "instance": self._instance,
            "request_id": request_id(),
        }
        for name, value in record.__dict__.items():
            if name not in _OF_EVERY_RECORD:
                line[name] = value
        if record.exc_info:
            line["exception"] = _without_secrets(self.formatException(record.exc_info))
        try:
            return _encode(line).decode()
        except (TypeError, ValueError):
            # Such as half a surrogate pair in a path, which UTF-8 has no bytes for.
            return json.dumps(line, default=str)


def _without_secrets(text: str) -> str:
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\1:***@", text)
    if "[parameters: " in text or "DETAIL: " in text:
        text = _VALUES.sub(r"\1\2***", text)
    return text


def configure_logging(settings: Settings) -> None:
    """Send everything that is logged in this process, Python's warnings too, through JsonLines.

    Called by the programs (`mailapp serve` and the other commands), not by create_app: logging is
    the process's, not the application's. Other libraries never log below INFO, because their debug
    lines quote headers and signed addresses.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(settings.instance_name))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    root.setLevel(max(level, logging.INFO))
    logging.getLogger("mailapp").setLevel(level)
    logging.captureWarnings(True)
    # Nothing of this is in a line, and finding it out costs as much as writing one ("Optimization"
    # in Python's logging HOWTO).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
