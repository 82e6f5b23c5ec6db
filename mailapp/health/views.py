"""What a supervisor and a load balancer ask: /livez and /healthz."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, jsonify

import mailapp
from mailapp.health.drain import draining
from mailapp.health.probes import Checkup, Result
from mailapp.settings import current_settings

bp = Blueprint("health", __name__)

# Without the database or the sessions nobody can be served; without attachments, most people can.
INDISPENSABLE = ("database", "redis")


@bp.get("/livez")
def livez() -> Response:
    """Whether this process runs. Asks nothing else, so that no other part's fault restarts it."""
    return _answer({"status": "alive"}, 200)


@bp.get("/healthz")
def healthz() -> Response:
    """Whether this instance can serve: `ok` and `degraded` with 200, `unavailable` and `draining`
    with 503, and each part's state."""
    checkup: Checkup = current_app.extensions["health"]
    results = checkup.results()
    status, code = _verdict(results)
    checks = {}
    for probe in checkup.probes:
        result = results[probe.name]
        checks[probe.name] = {
            "status": result.status,
            "latency_ms": result.latency_ms,
            "backend": probe.backend,
        }
        if result.error is not None:
            checks[probe.name]["error"] = result.error
    return _answer({"status": status, "checks": checks}, code)


def _verdict(results: dict[str, Result]) -> tuple[str, int]:
    failing = {name for name, result in results.items() if result.status == "failing"}
    if draining():
        return "draining", 503
    if failing.intersection(INDISPENSABLE):
        return "unavailable", 503
    return ("degraded" if failing else "ok"), 200


def _answer(body: dict[str, Any], code: int) -> Response:
    named = {"instance": current_settings().instance_name, "version": mailapp.__version__}
    answer = jsonify(body | named)
    answer.status_code = code
    answer.headers["Cache-Control"] = "no-store"
    return answer
