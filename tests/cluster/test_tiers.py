"""The stack whose every tier is several (deploy/tiers): each loses a server under load."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deploy.topology import REPOSITORY
from tests.cluster.ledger import CLEAN, LATE, Verdict
from tests.cluster.load import Load
from tests.cluster.stack import Stack, eventually, running

pytestmark = pytest.mark.containers

PEOPLE = 8

# Of the network's address: not the one of a stack that stands.
PLACE = 80 + zlib.crc32(bytes(REPOSITORY)) % 170

# Seconds from the kill to the last failure. Redis: 3 s until the Sentinels hold it for gone, and
# what it takes to agree. PostgreSQL: Patroni's `ttl`, and what it takes to promote. The store: 10 s
# until a node has waited in vain for another, some times. And some for a busy machine.
REDIS_SECONDS = 20
POSTGRESQL_SECONDS = 45
STORE_SECONDS = 60


@dataclass
class Outcome:
    """What people saw of a kill: why requests failed, for how long, and what became of the rest."""

    kinds: set[str]
    seconds: float
    verdict: Verdict
    sessions_lost: int

    def nothing_lost(self) -> bool:
        """Whether all that was answered "sent" is there once, and everybody still logged in."""
        verdict = self.verdict
        harm = verdict.lost + verdict.doubled + verdict.damaged + verdict.half_done
        return verdict.acknowledged > 0 and harm == 0 and self.sessions_lost == 0


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Two instances, and every tier in several copies."""
    files = ("docker-compose.yml", "deploy/tiers/compose.yml")
    stack = Stack(files, {"LOGIN_TRIES_ADDRESS": "100000", "REDIS_NETWORK": f"10.213.{PLACE}"})
    with running(stack, instances=2):
        yield stack


@pytest.fixture(scope="module")
def load(stack: Stack) -> Iterator[Load]:
    load = Load(stack.url, PEOPLE)
    load.sign_up()
    yield load
    load.close()


def killed(stack: Stack, load: Load, service: str, seconds: float) -> Outcome:
    """What people see when a server is killed (-9), from 3 s before until `seconds` after."""
    since = time.monotonic()
    first = len(load.tries)
    with load.running():
        time.sleep(3)
        stack.compose("kill", "--signal", "KILL", service)
        at = time.monotonic()

        def is_served() -> bool:
            # Nothing has failed for a while in which everybody has asked for something.
            failed = [one.ended for one in load.tries[first:] if one.kind not in {"", LATE}]
            return time.monotonic() - max([at, *failed]) > 5

        assert eventually(is_served, seconds + 5), load.complaints
        time.sleep(2)
    tries = load.tries[first:]
    failed = [one.ended for one in tries if one.kind not in {"", LATE}]
    return Outcome(
        kinds={one.kind for one in tries if one.kind} - {LATE},  # the machine may be busy
        seconds=max([at, *failed]) - at,
        verdict=load.audit(since),
        sessions_lost=load.count_lost_sessions(),
    )


def master_of_redis(stack: Stack) -> str:
    said = stack.compose(
        *("exec", "-T", "sentinel-1", "sh", "-c"),
        "REDISCLI_AUTH=$(cat /run/mailapp/sentinel-password) "
        "redis-cli -p 26379 sentinel get-master-addr-by-name mymaster",
    )
    return f"redis-{said.split()[0][-1]}"  # its address ends in 11, 12 or 13


def primary_of_postgresql(stack: Stack) -> tuple[str, str]:
    """The name of the one that takes writes, and of the one that stands by and has everything."""
    for service in ("postgres-1", "postgres-2"):
        if stack.compose("ps", "--quiet", "--status", "running", service):
            said = stack.compose(
                *("exec", "-T", service, "patronictl", "-c", "/etc/mailapp/patroni.yml"),
                *("list", "--format", "json"),
            )
            roles = {member["Role"]: member["Member"] for member in json.loads(said)}
            return roles.get("Leader", ""), roles.get("Sync Standby", "")
    return "", ""


def test_when_a_node_of_the_object_store_dies_the_others_have_every_file(
    stack: Stack, load: Load
) -> None:
    seen = killed(stack, load, "silo-2", seconds=STORE_SECONDS)
    stack.compose("start", "silo-2")

    # The others wait for the dead one until they hold it for dead.
    assert seen.kinds <= {CLEAN}, (seen, load.complaints)
    assert seen.nothing_lost(), seen


def test_when_the_master_of_redis_dies_another_has_the_sessions(stack: Stack, load: Load) -> None:
    was = master_of_redis(stack)
    seen = killed(stack, load, was, seconds=REDIS_SECONDS)
    now = master_of_redis(stack)
    stack.compose("start", was)

    assert now != was
    assert seen.kinds <= {CLEAN}, (seen, load.complaints)
    assert seen.nothing_lost(), seen
    assert seen.seconds < REDIS_SECONDS


def test_when_the_primary_of_postgresql_dies_the_standby_has_the_mail(
    stack: Stack, load: Load
) -> None:
    assert eventually(lambda: all(primary_of_postgresql(stack)))
    was, standby = primary_of_postgresql(stack)
    seen = killed(stack, load, was, seconds=POSTGRESQL_SECONDS)
    stack.compose("start", was)

    assert seen.kinds <= {CLEAN}, (seen, load.complaints)
    assert seen.nothing_lost(), seen
    assert seen.seconds < POSTGRESQL_SECONDS
    assert eventually(lambda: primary_of_postgresql(stack) == (standby, was)), "it stands by now"
