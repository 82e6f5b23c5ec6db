"""Stage 2: web server and database apart, and the service is down when either is."""

from __future__ import annotations

import httpx

from tests.stages.scene import Scene, must, standing, tell
from tests.stages.views import failures, outcomes, servers, slowest, views

TITLE = "the database on a server of its own"


def show() -> None:
    with standing("2-database-apart/compose.yml", people=("alice", "bob")) as scene:
        alice = scene.person("alice")
        alice.send("bob@mail.example", "Written before the fall")
        before = views(alice.client, 10)
        tell(f"Alice looks at her inbox 10 times: {servers(before)}, {failures(before)}.")
        must(all(each.fine for each in before), "the service fails while both servers run")

        scene.compose("kill", "postgres")
        tell("Now the database server is lost (docker compose kill postgres).")
        during = views(alice.client, 10)
        page = alice.visit("/mail/inbox")
        waits = alice.response.headers.get("Retry-After")
        heading = page.find("h1")
        tell(
            f"Alice looks 10 times: {failures(during)}, the slowest took {slowest(during)}. The "
            f"web server is there and says so: “{heading.text.strip() if heading else ''}”, "
            f"and when to try again: in {waits} s (Retry-After)."
        )
        must({each.what for each in during} == {"503"}, f"not 503 alone: {outcomes(during)}")
        must(waits is not None, "no Retry-After with the 503")
        _bring_back(scene, alice.client, "postgres")

        scene.compose("kill", "web")
        tell("Then the web server is lost (docker compose kill web). The database runs on.")
        during = views(alice.client, 10)
        tell(f"Alice looks 10 times: {failures(during)}. Nobody is there to say anything.")
        must(not any(each.server for each in during), "somebody answered for a web server killed")
        _bring_back(scene, alice.client, "web")

        must("Written before the fall" in alice.subjects("Sent"), "the message is lost")
        tell(
            "Alice's message and her session outlived both: they are in the database, on its disk."
        )
    tell(
        "So two servers fail more often than one did. But the web server keeps no mail any more, "
        "and there can be two of it. Next, stage 3."
    )


def _bring_back(scene: Scene, visitor: httpx.Client, service: str) -> None:
    scene.wait_for_loss()
    scene.compose("start", service)
    away = scene.wait_for()
    after = views(visitor, 10)
    tell(f"{service} is started again; {away:.1f} s later {failures(after)}.")
    must(all(each.fine for each in after), f"the service fails after the return of {service}")
