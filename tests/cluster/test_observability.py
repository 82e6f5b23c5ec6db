"""Prometheus beside three instances in real containers, and what its dashboard asks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.topology import REPOSITORY, free_port
from tests.cluster.stack import Stack, eventually, running
from tests.people import Attached

pytestmark = pytest.mark.containers

DASHBOARD = REPOSITORY / "deploy" / "observability" / "grafana" / "dashboards" / "mailapp.json"
PORT = free_port()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack with three instances, alice, and Prometheus."""
    with running(Stack(environment={"PROMETHEUS_PORT": str(PORT)}), people=("alice",)) as stack:
        stack.compose("up", "--detach", "--wait", "--no-deps", "prometheus")
        yield stack


def ask(path: str, **parameters: str) -> Any:
    answer = httpx.get(f"http://127.0.0.1:{PORT}/api/v1/{path}", params=parameters, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def value(expression: str) -> float:
    """Of an expression whose result is one number; not one: -1."""
    result = ask("query", query=expression)["result"]
    return float(result[0]["value"][1]) if len(result) == 1 else -1


def test_its_configuration_is_valid(stack: Stack) -> None:
    said = stack.compose(
        *("exec", "-T", "prometheus", "promtool", "check", "config"),
        "/etc/prometheus/prometheus.yml",
    )

    assert "SUCCESS" in said


def test_it_finds_every_instance_and_adds_up_what_each_counts(stack: Stack) -> None:
    assert eventually(lambda: value('sum(up{job="mailapp"})') == 3)
    visitor = stack.person()
    for _ in range(30):
        visitor.visit("/login")

    pages = 'sum(mailapp_http_requests_total{route="/login",method="GET",status="200"})'
    # Alice has not been here yet, and nobody else knows this stack.
    assert eventually(lambda: value(pages) == 30)
    assert value("count(count by (name) (mailapp_build_info))") == 3
    names = {
        found["metric"]["name"] for found in ask("query", query="mailapp_build_info")["result"]
    }
    assert names == stack.webs() == set(visitor.served_by)


def test_every_expression_of_the_dashboard_has_an_answer(stack: Stack) -> None:
    alice = stack.person("alice")
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {target["expr"] for panel in panels for target in panel["targets"]}

    def unanswered() -> set[str]:
        subject = f"seen {len(alice.statuses)}"
        alice.send("alice@mail.example", subject, "See attached.", [Attached("a", b"x" * 1000)])
        alice.open(subject)
        alice.download("a")
        return {expression for expression in asked if not numbers(expression)}

    assert len(asked) > 15
    assert eventually(lambda: not unanswered()), unanswered()


def numbers(expression: str) -> list[str]:
    """What an expression says, without those that are not a number."""
    found = [series["value"][1] for series in ask("query", query=expression)["result"]]
    return [number for number in found if number != "NaN"]


def test_neither_is_reached_from_elsewhere(stack: Stack) -> None:
    (prometheus,) = stack.compose("ps", "--quiet", "prometheus").split()
    (container,) = json.loads(stack.docker("inspect", prometheus))

    assert {
        where["HostIp"]
        for places in container["NetworkSettings"]["Ports"].values()
        for where in places
    } == {"127.0.0.1"}
    assert httpx.get(f"{stack.url}/metrics").status_code == 404


def test_instances_that_come_and_go_are_followed(stack: Stack) -> None:
    stack.up(instances=2)
    assert eventually(lambda: value('count(up{job="mailapp"})') == 2)


def test_one_request_has_one_id_from_nginx_through_the_application(stack: Stack) -> None:
    asked = stack.person().client.get("/login?from=here").headers["X-Request-ID"]

    def lines(service: str) -> list[dict[str, Any]]:
        printed = stack.compose("logs", "--no-log-prefix", "--no-color", service)
        return [json.loads(line) for line in printed.splitlines()]

    (at_nginx,) = [line for line in lines("nginx") if line["request_id"] == asked]
    at_web = lines("web")  # gunicorn's own and the companion's among them
    (access,) = [line for line in at_web if line["request_id"] == asked]
    assert at_nginx["served_by"] == access["instance"]
    assert at_nginx["path"] == access["path"] == "/login"
    assert {"mailapp.access", "gunicorn.error"} <= {line["logger"] for line in at_web}
    assert {line["instance"] for line in at_web} >= stack.webs()
