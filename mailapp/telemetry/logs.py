"""Log lines as JSON on standard error, one object a line, each naming its instance and request."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

from pythonjsonlogger.msgspec import MsgspecFormatter

from mailapp.settings import Settings
from mailapp.telemetry.requests import request_id

# A password inside a URL, as libraries like to quote it in their errors.
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")
# The values of a statement that failed, as SQLAlchemy and PostgreSQL quote them: people's mail.
_VALUES = re.compile(
    r"^(\[parameters: ).*?$|(DETAIL: ).*?(?=\n\[SQL: |\Z)", re.MULTILINE | re.DOTALL
)


class JsonLines(MsgspecFormatter):
    """timestamp (ISO 8601, UTC), level, logger, message, instance, request_id, whatever the caller
    gave as `extra`, and an exception with its traceback as the one field `exception`."""

    def __init__(self, instance: str) -> None:
        super().__init__(
            ["levelname", "name", "message", "request_id"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
            static_fields={"instance": instance},
            timestamp=True,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        for field in ("message", "exception"):
            if isinstance(log_data.get(field), str):
                text = _URL_PASSWORD.sub(r"\1:***@", log_data[field])
                log_data[field] = _VALUES.sub(r"\1\2***", text)
        return {"timestamp": log_data.pop("timestamp"), **log_data}


def configure_logging(settings: Settings) -> None:
    """Send everything that is logged in this process, Python's warnings too, through JsonLines.

    Called by the programs (`mailapp serve` and the other commands), not by create_app: logging is
    the process's, not the application's. Other libraries never log below INFO, because their debug
    lines quote headers and signed addresses.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(settings.instance_name))
    handler.addFilter(_name_request)
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


def _name_request(record: logging.LogRecord) -> bool:
    record.request_id = request_id()
    return True
