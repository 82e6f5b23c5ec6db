"""Traces, where the standard OTEL_… variables ask for them.

Where they don't, nothing of what records and sends them is imported, and `recorder` is None: all
that is left of it is the question whether it is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from mailapp.telemetry.otlp import Recorder

# Of this process. Made after the fork, because it has a thread that sends.
recorder: Recorder | None = None

_said = threading.local()


def wanted(environ: Mapping[str, str]) -> bool:
    """Whether these variables ask for traces: they name who takes them, and don't switch it off."""
    named = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get(
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return bool(named) and not disabled and exporter == "otlp"


def init_app(app: Flask) -> None:
    """Record a span for each request, where that is wanted.

    To be called before the middleware that says who is a trusted proxy, which takes from all others
    the headers that would make this a part of their trace.
    """
    global recorder
    if wanted(os.environ):
        from mailapp.telemetry import otlp

        recorder = recorder or otlp.Recorder(app.extensions["settings"])
        otlp.init_app(app, recorder)


def say(statement: str) -> None:
    """Note what this thread is about to ask the database."""
    _said.statement = statement


def statement() -> str:
    """What it noted last."""
    return getattr(_said, "statement", "")
