"""What an instance says of itself: alive, able to serve, or leaving."""

from __future__ import annotations

from flask import Flask

from mailapp.health.checks import probes
from mailapp.health.drain import begin_drain, draining
from mailapp.health.probes import Checkup
from mailapp.health.views import bp

__all__ = ["begin_drain", "draining", "init_app"]


def init_app(app: Flask) -> None:
    """Add /livez and /healthz; the parts that are probed are looked up when somebody asks."""
    app.extensions["health"] = Checkup(probes(app))
    app.register_blueprint(bp)
