"""Stage 3: two web servers behind a load balancer, and one may go."""

from __future__ import annotations

import json

from tests.cluster.stack import eventually
from tests.stages.scene import Scene, must, standing, tell
from tests.stages.views import failures, servers, slowest, view, views

TITLE = "two web servers behind a load balancer"


def show() -> None:
    with standing("3-two-web-servers/compose.yml", people=("alice",), at="web-1") as scene:
        alice = scene.person("alice").client
        before = views(alice, 30)
        tell(f"Alice looks at her inbox 30 times: {servers(before)}, {failures(before)}.")
        must({each.server for each in before} == {"web-1", "web-2"}, "not both servers answered")

        scene.compose("kill", "web-1")
        tell("Now one web server is lost (docker compose kill web-1).")
        during = views(alice, 30)
        tell(
            f"Alice looks 30 times: {servers(during)}, {failures(during)}; the slowest took "
            f"{slowest(during)}. {_told_by_log(scene)}"
        )
        must(all(each.fine for each in during), f"the loss was seen: {failures(during)}")
        must({each.server for each in during} == {"web-2"}, "a killed server answered")

        scene.compose("start", "web-1")
        must(
            eventually(lambda: view(alice).server == "web-1"),
            "web-1 gets no visitors after its return",
        )
        after = views(alice, 30)
        tell(f"web-1 is started again and gets its share: {servers(after)}, {failures(after)}.")
        must(all(each.fine for each in after), f"the return was seen: {failures(after)}")
    tell(
        "Alice stayed logged in at both, because mailapp keeps sessions where both find them. "
        "Next, stage 4: what happens when a server keeps them for itself."
    )


def _told_by_log(scene: Scene) -> str:
    log = scene.compose("logs", "--no-log-prefix", "nginx").splitlines()
    asked = [json.loads(line)["upstream"] for line in log if line.startswith('{"time"')]
    again = sum("," in upstream for upstream in asked)
    if again == 0:
        return "nginx asked web-1 for none of them: the DNS had told it in time."
    return f"For {again} of them nginx asked web-1 in vain, by its log, and then web-2."
