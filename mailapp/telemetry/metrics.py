"""What the processes of an instance count: requests, round trips, mail, attachments, connections.

Each worker counts in files of its own, in a folder that lives as long as the instance, and whoever
is asked for /metrics adds them up (telemetry/exposition.py). A worker has its predecessor's place
and so its files: what a worker had counted when it died is never lost, and their number stays.
Outside of `mailapp serve` a process counts for itself, and nobody asks.
"""

from __future__ import annotations

import threading
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import mark_process_dead

_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_TRIP_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

# A label's values are a series each, and a visitor can invent as many methods as there are words.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_NO_ROUTE = "none"


class Metrics:
    """What one process counts."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._requests = Counter(
            "mailapp_http_requests",
            "Requests that were answered.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "mailapp_http_request_duration_seconds",
            "From a request's arrival to the end of its answer.",
            ["route"],
            registry=registry,
            buckets=_REQUEST_SECONDS,
        )
        self._trips = Histogram(
            "mailapp_round_trip_duration_seconds",
            "Questions to PostgreSQL, Redis and the object store, and connecting to them.",
            ["part"],
            registry=registry,
            buckets=_TRIP_SECONDS,
        )
        self._failures = Counter(
            "mailapp_round_trip_failures",
            "Questions to such a part that it did not answer, or that it was spared.",
            ["part"],
            registry=registry,
        )
        self.in_progress = Gauge(
            "mailapp_http_requests_in_progress",
            "Requests whose answer is not over.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.open_pages = Gauge(
            "mailapp_open_pages",
            "Pages that hold a connection on which they are told of changes.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.messages_sent = Counter(
            "mailapp_messages_sent",
            "Messages that were sent, each once however often it was pressed.",
            registry=registry,
        )
        attachments = Counter(
            "mailapp_attachment_bytes",
            "Bytes of attachments: uploaded and stored, or given out, also by a balancer.",
            ["direction"],
            registry=registry,
        )
        self.bytes_up = attachments.labels("up")
        self.bytes_down = attachments.labels("down")
        connections = Gauge(
            "mailapp_database_connections",
            "Connections to PostgreSQL, a second ago at most.",
            ["state"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.connections_idle = connections.labels("idle")
        self.connections_in_use = connections.labels("in_use")
        # labels() takes as long as all that is done with the series it finds.
        self._of_request: dict[tuple[str | None, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """A request was answered; `route` is the rule of its view, None where it has none."""
        key = (route, method, status)
        series = self._of_request.get(key)
        if series is None:
            if method not in _METHODS:
                key = (route, "other", status)
            series = self._of_request[key] = (
                self._requests.labels(route or _NO_ROUTE, key[1], status),
                self._seconds.labels(route or _NO_ROUTE),
            )
        series[0].inc()
        series[1].observe(seconds)

    def part(self, name: str) -> tuple[Histogram, Counter]:
        """What is counted of a part: its round trips with their seconds, and those that failed."""
        return self._trips.labels(name), self._failures.labels(name)


class _Files:
    """The files of this process, one a kind of number, as prometheus_client lays them out."""

    def __init__(self, directory: Path, place: str) -> None:
        self._directory = directory
        self._place = place
        self._open: dict[str, MmapedDict] = {}
        self.lock = threading.Lock()

    def of(self, kind: str) -> MmapedDict:
        """The file of a kind, opened where it ended."""
        if kind not in self._open:
            path = self._directory / f"{kind}_{self._place}.db"
            self._open[kind] = MmapedDict(str(path))  # type: ignore[no-untyped-call]
        return self._open[kind]


class _Value:
    """A number in a file of this process; what prometheus_client makes its metrics of.

    Its own class for that asks each time whether the process has been forked meanwhile, and adds
    half as fast.
    """

    _multiprocess = True
    files: _Files

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: list[str],
        labelvalues: list[str],
        help_text: str,
        multiprocess_mode: str = "",
        **_: object,
    ) -> None:
        self._key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        self._lock = self.files.lock
        with self._lock:
            file = self.files.of(f"{typ}_{multiprocess_mode}" if multiprocess_mode else typ)
            self._value: float = file.read_value(self._key)[0]  # type: ignore[no-untyped-call]
        self._write = file.write_value

    def inc(self, amount: float) -> None:
        with self._lock:
            self._value = value = self._value + amount
            self._write(self._key, value, 0.0)  # type: ignore[no-untyped-call]

    def set(self, value: float, timestamp: float | None = None) -> None:
        with self._lock:
            self._value = value
            self._write(self._key, value, timestamp or 0.0)  # type: ignore[no-untyped-call]

    def get(self) -> float:
        return self._value

    def set_exemplar(self, exemplar: object) -> None:
        """Nobody gives any."""

    def get_exemplar(self) -> None:
        return None


# Made before anybody asks: two threads that did at once would each have one, with its own sums.
_metrics = Metrics()


def metrics() -> Metrics:
    """What this process counts."""
    return _metrics


def count_in(directory: Path, place: str) -> None:
    """From now on, count in the files that this place has in the folder, from where they end.

    A place is had by one process at a time: a worker's number, from 0, or a word.
    """
    global _metrics
    _Value.files = _Files(directory, place)
    values.ValueClass = _Value
    _metrics = Metrics()


def leave(directory: Path, place: str) -> None:
    """Forget what was true of a process only as long as it lived."""
    mark_process_dead(place, str(directory))  # type: ignore[no-untyped-call]
