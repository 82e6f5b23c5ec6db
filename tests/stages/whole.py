"""Stage 7: the project's own docker-compose.yml with three web servers."""

from __future__ import annotations

import os

import httpx

from tests.cluster.stack import eventually
from tests.people import Attached
from tests.stages.scene import Scene, must, standing, tell
from tests.stages.views import failures, servers, slowest, view, views

TITLE = "the whole: docker compose up --scale web=3"


def show() -> None:
    people = ("alice", "bob")
    with standing(
        "7-the-whole/compose.yml", people=people, arguments=("--scale", "web=3")
    ) as scene:
        asked = views(scene.person().client, 12, "/healthz")
        tell(f"Who is there? /healthz is asked 12 times: {servers(asked)}.")
        names = scene.webs()
        must(len(names) == 3, f"{len(names)} web servers instead of three")
        must({each.server for each in asked} == names, "not all three answered")

        alice, bob = scene.person("alice"), scene.person("bob")
        seen = views(alice.client, 30)
        tell(f"Alice logs in once and looks 30 times: {servers(seen)}, {failures(seen)}.")
        must(all(each.fine for each in seen), "her log-in did not hold")
        must({each.server for each in seen} == names, "not all three showed her inbox")

        file = Attached("sea.jpg", os.urandom(500_000))
        alice.send("bob@mail.example", "A photograph", "See attached.", [file])
        bob.open("A photograph")
        bob.served_by.clear()
        downloads = [bob.download("sea.jpg") == file.content for _ in range(12)]
        tell(
            f"She sends Bob a file. He downloads it {len(downloads)} times, through "
            f"{len(bob.served_by)} servers: {sum(downloads)} times it was the same."
        )
        must(all(downloads), "a download was not what was sent")
        must(set(bob.served_by) == names, "not all three gave the file")

        victim = min(names)
        scene.docker("kill", victim)
        tell(f"Now one is lost (docker kill {victim}).")
        seen = views(alice.client, 60)
        tell(
            f"Alice looks 60 times: {servers(seen)}, {failures(seen)}; "
            f"the slowest took {slowest(seen)}."
        )
        must(all(each.fine for each in seen), f"the loss was seen: {failures(seen)}")
        must({each.server for each in seen} == names - {victim}, "not the other two answered")

        scene.docker("start", victim)
        must(eventually(lambda: _who_serves(scene) == names), "the third gets no visitors")
        seen = views(alice.client, 30)
        tell(
            f"It is started again (docker start {victim}), and nginx needs no word. "
            f"Alice looks 30 times: {servers(seen)}, {failures(seen)}."
        )
        must(all(each.fine for each in seen), f"the return was seen: {failures(seen)}")
    tell("That is the whole. What is behind the web servers is still there once.")


def _who_serves(scene: Scene) -> set[str]:
    with httpx.Client(base_url=scene.url, timeout=10) as visitor:
        return {view(visitor, "/login").server for _ in range(12)}
