"""What an instance tells its operator: one JSON line an event, each request with its id."""

from __future__ import annotations

from mailapp.telemetry.logs import configure_logging
from mailapp.telemetry.requests import init_app, request_id

__all__ = ["configure_logging", "init_app", "request_id"]
