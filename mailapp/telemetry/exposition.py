"""/metrics: what an instance counts and what is true of it, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mailapp import __version__
from mailapp.health.drain import draining

if TYPE_CHECKING:
    from prometheus_client import Metric

    from mailapp.companion import Companion


def begin(companion: Companion) -> None:
    """The duty of answering /metrics."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Instance(companion))
    companion.answer("/metrics", lambda: (CONTENT_TYPE_LATEST, generate_latest(registry)))


class _Instance:
    """What is true of the instance as a whole."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily(
            "mailapp_build", "The version of the application.", {"version": __version__}
        )
        yield GaugeMetricFamily(
            "mailapp_workers", "Processes that take requests.", self._companion.workers()
        )
        yield GaugeMetricFamily(
            "mailapp_draining", "1 while the instance is leaving, else 0.", float(draining())
        )
        yield GaugeMetricFamily(
            "mailapp_start_time_seconds",
            "When the instance was started, since the epoch.",
            self._companion.started.timestamp(),
        )
