"""Reading /metrics as Prometheus does, and waiting for what it says."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scrape:
    """What /metrics says at one moment; what Prometheus can't read raises ValueError."""

    def __init__(self, url: str) -> None:
        answer = httpx.get(url, timeout=10)
        answer.raise_for_status()
        self._series: Series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for metric in text_string_to_metric_families(answer.text)
            for sample in metric.samples
        }

    def value(self, name: str, /, **labels: str) -> float:
        """The value of one series, 0 where nothing has been counted in it."""
        return self._series.get((name, frozenset(labels.items())), 0)

    def counters(self) -> Series:
        """Every series that never goes down while the instance lives."""
        ends = ("_total", "_count", "_sum", "_bucket")
        return {key: value for key, value in self._series.items() if key[0].endswith(ends)}


def within(seconds: float, happens: Callable[[], bool]) -> bool:
    """Whether something happens in so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.05)
    return False
