"""HAProxy in place of nginx, in front of the same stack in real containers."""

from __future__ import annotations

import csv
import re
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from mailapp.settings import Settings
from tests.cluster import balancers
from tests.cluster.any_balancer import (
    a_stop_and_a_death_cost_nobody_anything,
    what_one_instance_took_all_give_back,
)
from tests.cluster.parts import PASSWORD
from tests.cluster.stack import Stack, eventually, running
from tests.people import Person

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack with three instances behind HAProxy, and alice and bob."""
    with running(Stack(balancers.HAPROXY), people=("alice", "bob")) as stack:
        yield stack


def inside(stack: Stack, path: str) -> str:
    """What HAProxy answers to those in its own container."""
    ask = f"exec 3<>/dev/tcp/127.0.0.1/8404; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
    head, _, body = stack.compose("exec", "-T", "haproxy", "bash", "-c", ask).partition("\n\n")
    assert " 200 " in head, head
    return body


def up(stack: Stack) -> int:
    """How many instances HAProxy sends requests to."""
    rows = csv.DictReader(inside(stack, "/;csv").removeprefix("# ").splitlines())
    return sum(
        row["pxname"] == "mailapp" and row["svname"][:3] == "web" and row["status"][:2] == "UP"
        for row in rows
    )


def test_haproxy_takes_nginxs_place_and_is_as_locked_up(stack: Stack) -> None:
    by_service = {
        container["Config"]["Labels"]["com.docker.compose.service"]: container
        for container in stack.containers()
    }
    haproxy = by_service["haproxy"]

    assert "nginx" not in by_service
    published = haproxy["NetworkSettings"]["Ports"]["8080/tcp"]
    assert {where["HostPort"] for where in published} == {str(stack.port)}
    assert int(haproxy["Config"]["User"].split(":")[0]) > 0
    assert haproxy["HostConfig"]["ReadonlyRootfs"]
    assert haproxy["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in haproxy["HostConfig"]["SecurityOpt"]


def test_any_instance_serves_any_request(stack: Stack) -> None:
    what_one_instance_took_all_give_back(stack)


def test_a_client_can_choose_neither_its_address_nor_its_request_id(stack: Stack) -> None:
    liar = stack.person()
    liar.client.headers["X-Forwarded-For"] = "203.0.113.9"
    liar.client.headers["X-Request-ID"] = "chosen-by-the-client"
    liar.log_in("alice@mail.example", PASSWORD)
    liar.visit("/settings")

    assert "This session" in liar.text
    assert "203.0.113.9" not in liar.text
    assert re.fullmatch("[0-9a-f-]{36}", liar.response.headers["X-Request-ID"])
    assert liar.response.headers["X-Request-ID"] in stack.compose("logs", "web")


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(stack: Stack) -> None:
    limit = Settings.from_env({"SECRET_KEY": "0123456789abcdef" * 2}).max_request_bytes
    with socket.create_connection(("127.0.0.1", stack.port), timeout=10) as browser:
        browser.sendall(
            f"POST /drafts/{uuid.uuid4()} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {limit + 1}\r\n\r\n".encode()
        )
        answer = browser.recv(65536).decode()

    assert answer.startswith("HTTP/1.1 413 ")
    assert "x-request-id: " in answer
    assert "<title>" in answer


def test_its_own_figures_are_for_those_inside_alone(stack: Stack) -> None:
    assert "haproxy_server_status" in inside(stack, "/metrics")
    assert stack.person().client.get("/metrics").status_code == 404


def test_an_instance_that_stops_or_dies_costs_nobody_anything(stack: Stack) -> None:
    a_stop_and_a_death_cost_nobody_anything(stack)

    # The one that stopped was taken out because it said so, while it still served.
    assert 'code: 503, info: "SERVICE UNAVAILABLE"' in stack.compose("logs", "haproxy")


def test_the_scale_is_followed_without_a_reload(stack: Stack) -> None:
    visitor = stack.person()

    def served_by_four() -> bool:
        visitor.visit("/login")
        return set(visitor.served_by) >= stack.webs()

    stack.up(instances=4)
    assert eventually(lambda: up(stack) == 4, seconds=10)
    assert eventually(served_by_four, seconds=10)
    stack.up(instances=3)
    assert eventually(lambda: up(stack) == 3, seconds=10)
    assert set(visitor.statuses) == {200}


def test_nobody_sees_a_failed_page_and_haproxy_sends_nobody_to_one_that_hangs(stack: Stack) -> None:
    with balancers.nginx_beside(stack) as nginx:
        costs = balancers.measure(stack, nginx, "hung")

    assert [cost.failed for cost in costs.values()] == [0, 0]
    # HAProxy leaves it out after two checks, and who had come before is answered by another one;
    # nginx tries it again, at a visitor's expense, for as long as it hangs.
    assert costs["HAProxy"].until < balancers.AWAY - 6
    assert costs["nginx"].until > balancers.AWAY - 4


def test_a_send_to_an_instance_that_hangs_is_sent_by_another_once(stack: Stack) -> None:
    alice, writers = stack.person("alice"), [stack.person("bob") for _ in range(6)]
    subjects = {writer: f"while one hangs {uuid.uuid4()}" for writer in writers}
    for writer in writers:
        writer.visit("/")
        writer.follow("Compose")
        writer.served_by.clear()

    def send(writer: Person) -> None:
        writer.press("Send", {"To": "alice@mail.example", "Subject": subjects[writer]})

    hung = stack.compose("ps", "--quiet", "web").split()[0]
    stack.docker("pause", hung)
    try:
        with ThreadPoolExecutor(len(writers)) as pool:
            list(pool.map(send, writers))
    finally:
        stack.docker("unpause", hung)

    assert {status for writer in writers for status in writer.statuses} <= {200, 302, 303}
    assert hung[:12] not in {name for writer in writers for name in writer.served_by}
    received = alice.subjects()
    assert [received.count(subject) for subject in subjects.values()] == [1] * len(writers)


def test_where_no_instance_looks_well_they_are_asked_all_the_same(stack: Stack) -> None:
    stack.compose("pause", "redis")
    try:
        assert eventually(lambda: up(stack) == 0, seconds=20)
        told = stack.person().client.get("/signup")
    finally:
        stack.compose("unpause", "redis")

    # An instance's own page, which gives people back what they typed.
    assert told.status_code == 503
    assert told.headers["Retry-After"] == "5"
    assert told.headers["X-Served-By"] in stack.webs()
    assert eventually(lambda: up(stack) == 3, seconds=10)


def test_without_the_store_the_instances_go_on_serving(stack: Stack) -> None:
    stack.compose("pause", "silo")
    try:
        time.sleep(8)  # longer than HAProxy takes to leave out one that is silent
        assert up(stack) == 3
        stack.person("alice")
    finally:
        stack.compose("unpause", "silo")


def test_where_there_is_no_instance_people_are_told_so(stack: Stack) -> None:
    stack.compose("kill", "web")
    client = stack.person().client
    answers: list[httpx.Response] = []

    def answered() -> bool:
        # A connection to an instance that HAProxy had kept and that broke with the request in it.
        with suppress(httpx.RemoteProtocolError):
            answers.append(client.get("/mail/inbox"))
        return bool(answers)

    assert eventually(answered, seconds=10)
    (told,) = answers
    assert told.status_code == 503
    assert told.headers["Retry-After"] == "5"
    assert told.headers["X-Request-ID"]
    assert "<title>Nobody answers just now" in told.text
