"""nginx as a relay of bytes in front of the same stack, in real containers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.beside import again_and_again
from tests.cluster.parts import PASSWORD
from tests.cluster.stack import Stack, eventually, running

pytestmark = pytest.mark.containers

FILES = ("docker-compose.yml", "deploy/l4.yml")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack with three instances behind the relay, and alice."""
    with running(Stack(FILES), people=("alice",)) as stack:
        yield stack


def on_a_new_connection(stack: Stack) -> httpx.Response:
    return httpx.get(f"{stack.url}/login", timeout=60)


def test_the_address_is_the_visitors_and_a_claimed_one_is_not_believed(stack: Stack) -> None:
    network = f"{stack.project}_front"
    # Docker's own end of the network is where a visitor from this machine comes from.
    visitor = stack.docker(
        *("network", "inspect", network, "--format", "{{(index .IPAM.Config 0).Gateway}}")
    ).strip()
    liar = stack.person()
    liar.client.headers["X-Forwarded-For"] = "203.0.113.9"
    liar.log_in("alice@mail.example", PASSWORD)
    # Of one connection's requests the first alone brings the address with it.
    for _ in range(3):
        liar.visit("/settings")

    assert "This session" in liar.text
    assert visitor in liar.text
    assert "203.0.113.9" not in liar.text


def test_past_the_relay_an_instance_tells_its_health_and_nothing_else(stack: Stack) -> None:
    def directly(path: str) -> str:
        ask = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", f"http://web:8000{path}")
        return stack.compose("exec", "-T", "nginx", *ask)

    assert directly("/login") == "400"
    assert directly("/healthz") == "200"


def test_a_connection_stays_with_its_instance_and_the_next_goes_to_another(stack: Stack) -> None:
    people = [stack.person() for _ in range(6)]
    for _ in range(3):
        for person in people:
            person.visit("/login")

    assert [len(person.served_by) for person in people] == [1] * 6
    assert {name for person in people for name in person.served_by} == stack.webs()


def test_an_instance_that_stops_or_dies_costs_new_connections_nothing(stack: Stack) -> None:
    statuses: list[int] = []

    def visit() -> None:
        try:
            statuses.append(on_a_new_connection(stack).status_code)
        except httpx.TransportError:
            statuses.append(0)

    def some_more() -> None:
        enough = len(statuses) + 10
        assert eventually(lambda: len(statuses) >= enough)

    with again_and_again(visit):
        first, second, _ = stack.compose("ps", "--quiet", "web").split()
        some_more()
        stack.docker("stop", first)
        some_more()
        before_the_kill = list(statuses)
        stack.docker("kill", second)
        some_more()

    assert set(before_the_kill) == {200}, before_the_kill
    # One request may be under way where the instance is killed: nobody can repeat it.
    lost = [status for status in statuses if status != 200]
    assert len(lost) <= 1, statuses


def test_the_scale_is_followed_without_a_reload(stack: Stack) -> None:
    stack.up(instances=3)
    seen: set[str] = set()

    def served_by_all() -> bool:
        newcomer = stack.person()  # whose connection stays open, so that the next goes elsewhere
        newcomer.visit("/login")
        seen.update(newcomer.served_by)
        return seen >= stack.webs()

    assert len(stack.webs()) == 3
    assert eventually(served_by_all, seconds=20)
