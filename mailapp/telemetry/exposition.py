"""/metrics: what an instance counts and what is true of it, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from mailapp import __version__
from mailapp.health.drain import draining
from mailapp.telemetry.metrics import count_in

if TYPE_CHECKING:
    from mailapp.companion import Companion


def begin(companion: Companion) -> None:
    """The duty of answering /metrics."""
    count_in(companion.figures, "companion")  # which may have to do with Redis too
    registry = CollectorRegistry()
    registry.register(_Instance(companion))
    MultiProcessCollector(registry, str(companion.figures))  # type: ignore[no-untyped-call]
    companion.answer("/metrics", lambda: (CONTENT_TYPE_LATEST, generate_latest(registry)))


class _Instance(Collector):
    """What is true of the instance as a whole."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily(
            "mailapp_build",
            "The instance's name and the application's version.",
            {"name": self._companion.settings.instance_name, "version": __version__},
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
