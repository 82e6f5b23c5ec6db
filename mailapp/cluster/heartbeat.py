"""The heartbeat of an instance: what its companion process looks at and writes down each second."""

from __future__ import annotations

import json
import logging
import secrets
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from mailapp import __version__
from mailapp.cluster import registry as registries
from mailapp.cluster.pulse import Pulse, under_way
from mailapp.cluster.record import STEP, Part, Record, State, encode
from mailapp.errors import is_database_away
from mailapp.health.drain import draining
from mailapp.settings import Settings

if TYPE_CHECKING:
    from mailapp.companion import Companion

logger = logging.getLogger(__name__)

# Seconds between two beats, and between two looks at one's own health.
EVERY = 1.0
# Seconds that /healthz has to answer; its parts have one second, see mailapp/health/probes.py.
PATIENCE = 2.0

# Made before the companion is forked, so that one that is started anew goes on with it.
IDENT = secrets.token_hex(16)


def begin(companion: Companion) -> None:
    """The duty of the companion to keep the heart beating.

    Each of the three has a thread of its own: neither parts that hang, nor a Redis that is away,
    keep the others from their work, and none of them is ever waited for twice at once.
    """
    registry = registries.connect(companion.settings)
    pulse, health = Pulse(companion.figures), Health(companion.settings)
    started = time.monotonic() - (time.time() - companion.started.timestamp())

    def beat() -> None:
        record = _record(companion, health, pulse, time.monotonic() - started)
        try:
            registry.put(IDENT, encode(record))
        except (RedisError, SQLAlchemyError) as error:
            if isinstance(error, SQLAlchemyError) and not is_database_away(error):
                raise
            # Which part is away is said by /healthz and the log; the next beat tries again.
            logger.debug("a beat could not be written", exc_info=True)

    companion.every(STEP, pulse.take)
    companion.every(EVERY, health.look)
    companion.every(EVERY, beat)


def _record(companion: Companion, health: Health, pulse: Pulse, uptime: float) -> Record:
    settings = companion.settings
    return Record(
        id=IDENT,
        name=settings.instance_name,
        version=__version__,
        uptime=uptime,
        # Its workers may have closed their socket already, to finish what is under way.
        state="draining" if draining() else health.state,
        parts=health.parts,
        workers=companion.workers(),
        under_way=max(0, under_way(companion.figures) - health.is_asking),
        room=settings.web_workers * settings.web_threads,
        cpu=pulse.cpu,
        latency=pulse.latency,
        requests=tuple(pulse.requests),
        errors=tuple(pulse.errors),
    )


class Health:
    """What the instance's own /healthz says: what a balancer hears, from beside the workers."""

    state: State = "starting"
    parts: tuple[Part, ...] = ()
    is_asking = False

    def __init__(self, settings: Settings) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        self._port = settings.port

    def look(self) -> None:
        """Ask. The parts of the last answer are kept where there is none: they may be why."""
        self.is_asking = True
        try:
            said = self._ask()
            parts = tuple(_part(name, check) for name, check in said["checks"].items())
            self.state, self.parts = said["status"], parts
        except (OSError, HTTPException, ValueError, KeyError):
            if self.state != "starting":
                self.state = "silent"
        finally:
            self.is_asking = False

    def _ask(self) -> Any:
        with closing(HTTPConnection(self._host, self._port, timeout=PATIENCE)) as connection:
            connection.request("GET", "/healthz")
            return json.loads(connection.getresponse().read())


def _part(name: str, check: dict[str, Any]) -> Part:
    return Part(
        name=name,
        backend=check["backend"],
        failing=check["status"] != "ok",
        latency=check["latency_ms"],
        error=check.get("error", ""),
    )
