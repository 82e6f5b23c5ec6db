"""What people are promised at the compose stack with three instances, whatever balances them."""

from __future__ import annotations

import os
import time
import uuid

from tests.beside import again_and_again
from tests.cluster.stack import Stack
from tests.people import Attached


def what_one_instance_took_all_give_back(stack: Stack) -> None:
    """A file that was uploaded through one is downloaded through each, as it was."""
    alice, bob = stack.person("alice"), stack.person("bob")
    content = os.urandom(3 * 1024 * 1024)
    subject = f"one in, another out {uuid.uuid4()}"
    alice.send("bob@mail.example", subject, "See attached.", [Attached("holiday.jpg", content)])

    bob.served_by.clear()
    bob.open(subject)
    for _ in range(12):
        assert bob.download("holiday.jpg") == content
    assert set(bob.served_by) == stack.webs()


def a_stop_and_a_death_cost_nobody_anything(stack: Stack) -> None:
    """Bob reads and sends while one instance stops and one is killed; leaves one of three."""
    alice, bob, reader = stack.person("alice"), stack.person("bob"), stack.person("bob")
    sent: list[str] = []

    def read_and_send() -> None:
        reader.visit("/mail/sent")
        subject = f"in between {uuid.uuid4()}"
        bob.send("alice@mail.example", subject, "Still there?", [Attached("a", b"b")])
        sent.append(subject)

    with again_and_again(read_and_send):
        first, second, _ = stack.compose("ps", "--quiet", "web").split()
        time.sleep(1)
        stack.docker("stop", first)
        stack.docker("kill", second)
        time.sleep(2)

    assert {*bob.statuses, *reader.statuses} <= {200, 302, 303}
    received = alice.subjects()
    assert [received.count(subject) for subject in sent] == [1] * len(sent)
    assert len(sent) > 5
