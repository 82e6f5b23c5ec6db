"""Stage 1: everything on one machine works, and everything is gone with it."""

from __future__ import annotations

import hashlib
import os

from tests.people import Attached
from tests.stages.scene import must, standing, tell
from tests.stages.views import failures, servers, slowest, views

TITLE = "everything on one machine"


def show() -> None:
    with standing("1-one-machine/compose.yml", people=("alice", "bob")) as scene:
        alice, bob = scene.person("alice"), scene.person("bob")
        file = Attached("plan.pdf", os.urandom(300_000))
        alice.send("bob@mail.example", "The plan", "See attached.", [file])
        bob.open("The plan")
        received = bob.download("plan.pdf")
        must(received == file.content, "Bob did not get the file that Alice sent")
        tell(
            f"Alice sent Bob {len(file.content):,} bytes, and he has the same back: "
            f"SHA-256 {hashlib.sha256(received).hexdigest()[:12]}…"
        )
        before = views(bob.client, 10)
        tell(f"Bob looks at his inbox 10 times: {servers(before)}, {failures(before)}.")
        must(all(each.fine for each in before), "the one server fails while it runs")

        scene.compose("kill", "web")
        tell("Now the machine is lost (docker compose kill web).")
        during = views(bob.client, 10)
        tell(f"Bob looks 10 times: {failures(during)}.")
        must(not any(each.fine for each in during), "pages came from a server that was killed")

        scene.compose("start", "web")
        away = scene.wait_for()
        bob.open("The plan")
        must(bob.download("plan.pdf") == file.content, "the file did not outlive the server")
        after = views(bob.client, 10)
        must(all(each.fine for each in after), "the one server fails after its return")
        tell(
            f"It is started again and answers after {away:.1f} s. What was on its disk is there, "
            f"the file and Bob's session too: {failures(after)}, the slowest took "
            f"{slowest(after)}. Had the disk been lost, nothing would be."
        )
    tell("Next, stage 2: the database on a server of its own.")
