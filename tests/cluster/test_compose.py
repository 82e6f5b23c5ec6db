"""The compose stack in real containers, three instances of it, as a user starts it."""

from __future__ import annotations

import json
import os
import re
import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.certificate import make
from deploy.topology import free_port
from tests.cluster.any_balancer import (
    a_stop_and_a_death_cost_nobody_anything,
    what_one_instance_took_all_give_back,
)
from tests.cluster.parts import PASSWORD
from tests.cluster.stack import Stack, eventually, running
from tests.people import Attached, Person

pytestmark = pytest.mark.containers


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with three instances, and alice and bob; a certificate is there, and not used."""
    certificate: Path = tmp_path_factory.mktemp("certificate")
    make(certificate, ["127.0.0.1"])
    environment = {
        "TLS_PORT": str(free_port()),
        "TLS_CERTIFICATE": str(certificate / "certificate.pem"),
        "TLS_KEY": str(certificate / "key.pem"),
    }
    with running(Stack(environment=environment), people=("alice", "bob")) as stack:
        yield stack


def test_only_nginx_is_published(stack: Stack) -> None:
    published = {
        (container["Config"]["Labels"]["com.docker.compose.service"], port, where["HostPort"])
        for container in stack.containers()
        for port, places in (container["NetworkSettings"]["Ports"] or {}).items()
        for where in places or []
    }

    assert published == {("nginx", "8080/tcp", str(stack.port))}


def test_no_container_is_root_or_can_write_to_its_image_or_has_a_capability(stack: Stack) -> None:
    containers = stack.containers()

    assert (
        len(containers) == 11
    )  # nginx, 3 web, migrate, static, gc, secrets, postgres, redis, silo
    for container in containers:
        host = container["HostConfig"]
        assert int(container["Config"]["User"].split(":")[0]) > 0, container["Name"]
        assert host["ReadonlyRootfs"], container["Name"]
        assert host["CapDrop"] == ["ALL"], container["Name"]
        assert not host["CapAdd"], container["Name"]
        assert "no-new-privileges:true" in host["SecurityOpt"], container["Name"]


def test_no_secret_is_in_an_environment(stack: Stack) -> None:
    secrets = stack.compose("exec", "-T", "web", "sh", "-c", "cat /run/mailapp/*").split()
    shown = json.dumps([container["Config"] for container in stack.containers()])

    assert len(secrets) > 0
    for secret in secrets:
        assert secret not in shown


def test_a_service_can_read_its_own_secrets_alone(stack: Stack) -> None:
    for service, files in {
        "postgres": {"password"},
        "redis": {"password", "redis.conf"},
        "silo": {"access-key", "secret-key"},
    }.items():
        assert set(stack.compose("exec", "-T", service, "ls", "/run/mailapp").split()) == files


def test_any_instance_serves_any_request(stack: Stack) -> None:
    alice = stack.person("alice")
    for _ in range(30):
        alice.visit("/mail/inbox")
        assert alice.logged_in

    assert set(alice.served_by) == stack.webs()
    assert len(alice.served_by) == 3


def test_what_one_instance_took_another_gives_back(stack: Stack) -> None:
    what_one_instance_took_all_give_back(stack)


def test_nginx_fetches_attachments_from_the_store_by_itself(stack: Stack) -> None:
    alice, bob = stack.person("alice"), stack.person("bob")
    content = os.urandom(300_000)
    subject = f"past the application {uuid.uuid4()}"
    alice.send("bob@mail.example", subject, "See attached.", [Attached("straight.bin", content)])
    bob.open(subject)
    assert bob.download("straight.bin") == content

    lines = [
        json.loads(line)
        for line in stack.compose("logs", "--no-log-prefix", "nginx").splitlines()
        if line.startswith("{")
    ]
    (download,) = [line for line in lines if line["path"].endswith("/straight.bin")]
    assert download["upstream_status"] == "200 : 200"  # the application's and the store's
    assert ":9000" in download["upstream"]
    assert download["served_by"] in stack.webs()


def test_nginx_reaches_the_object_store_and_none_of_the_databases(stack: Stack) -> None:
    by_network: dict[str, set[str]] = {}
    for container in stack.containers():
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        for network in container["NetworkSettings"]["Networks"]:
            by_network.setdefault(network.removeprefix(f"{stack.project}_"), set()).add(service)

    beside_nginx = [services for services in by_network.values() if "nginx" in services]
    assert set.union(*beside_nginx) == {"nginx", "web", "silo"}


def test_the_address_a_client_claims_is_not_believed(stack: Stack) -> None:
    liar = stack.person()
    liar.client.headers["X-Forwarded-For"] = "203.0.113.9"
    liar.log_in("alice@mail.example", PASSWORD)
    liar.visit("/settings")

    assert "This session" in liar.text
    assert "203.0.113.9" not in liar.text


def test_an_instance_that_stops_or_dies_costs_nobody_anything(stack: Stack) -> None:
    a_stop_and_a_death_cost_nobody_anything(stack)

    stack.up()


def test_operators_see_within_five_seconds_that_an_instance_was_killed(stack: Stack) -> None:
    stack.compose("exec", "-T", "web", "mailapp", "user", "admin", "bob")
    bob = stack.person("bob")

    def shown() -> set[str]:
        return {name.text for name in bob.visit("/admin/cluster").select(".instances h3")}

    assert eventually(lambda: shown() == stack.webs())
    killed = min(stack.webs())
    stack.docker("kill", killed)
    assert eventually(lambda: killed not in shown(), seconds=5)
    assert len(shown()) == 2
    # Perhaps not the only one: such a line stays for a minute.
    assert re.search(r"\d instances? stopped without a word", bob.text)

    stack.up()


def test_a_new_instance_is_used_without_a_reload(stack: Stack) -> None:
    stack.up(instances=4)
    visitor = stack.person()

    def served_by_four() -> bool:
        visitor.visit("/login")
        return set(visitor.served_by) >= stack.webs()

    assert len(stack.webs()) == 4
    assert eventually(served_by_four, seconds=15)
    stack.up(instances=3)


def test_health_checks_fail_with_what_they_check(stack: Stack) -> None:
    def health(service: str) -> set[str]:
        ids = stack.compose("ps", "--quiet", service).split()
        return set(stack.docker("inspect", "--format", "{{.State.Health.Status}}", *ids).split())

    stack.compose("pause", "postgres")
    try:
        assert eventually(lambda: health("web") == {"unhealthy"})
    finally:
        stack.compose("unpause", "postgres")
    assert eventually(lambda: health("web") == {"healthy"})


def test_what_is_kept_survives_down_and_up(stack: Stack) -> None:
    alice, bob = stack.person("alice"), stack.person("bob")
    content = os.urandom(100_000)
    subject = f"to be kept {uuid.uuid4()}"
    alice.send("bob@mail.example", subject, "For long.", [Attached("kept.bin", content)])

    stack.compose("down")
    stack.up()

    # Bob's session too: he does not log in again.
    bob.open(subject)
    assert bob.download("kept.bin") == content


def test_https_is_one_more_file_on_the_command_line(stack: Stack) -> None:
    files = ("--file", "docker-compose.yml", "--file", "deploy/tls.yml")
    stack.compose(*files, "up", "--detach", "--no-deps", "--wait", "nginx")
    folder = Path(stack.environment["TLS_KEY"]).parent
    trust = ssl.create_default_context(cafile=folder / "ca.pem")
    with httpx.Client(verify=trust, follow_redirects=True) as browser:
        alice = Person(browser)
        alice.visit(f"{stack.url}/login")
        alice.press("Log in", {"Email": "alice@mail.example", "Password": PASSWORD})

    assert alice.logged_in
    assert str(alice.response.url).startswith(f"https://127.0.0.1:{stack.environment['TLS_PORT']}/")
