"""Stage 4: the log-in that is lost when the balancer picks the other server, and Redis."""

from __future__ import annotations

from collections import Counter

from bs4 import Tag

from tests.cluster.parts import PASSWORD
from tests.people import Person
from tests.stages.scene import Scene, must, standing, tell
from tests.stages.views import View, failures, servers, views

TITLE = "sessions: in each web server, and shared"
COMPOSE = "4-sessions/compose.yml"
TRIES = 6
VIEWS = 20


def show() -> None:
    with standing(COMPOSE, people=("alice",), at="web-1") as scene:
        tell("Each web server keeps its sessions in itself.")
        lost(scene)
        tell("Now with deploy/stages/4-sessions/redis.yml: one Redis for both …")
        scene.change_to(COMPOSE, "4-sessions/redis.yml")
        kept(scene)
    tell("Next, stage 5: the attachments.")


def lost(scene: Scene) -> None:
    """Show that a log-in at one server is none at the other; NotSeen where it is one."""
    tries = [_log_in(scene.person()) for _ in range(TRIES)]
    apart = [(form, password) for form, password, status in tries if status == 400]
    must(bool(apart), "every log-in was taken: the servers know each other's sessions")
    tell(
        f"Alice tries to log in {TRIES} times, with the right password. {len(apart)} times the "
        f"page came from one server and her password went to the other ("
        + ", ".join(f"{form} then {password}" for form, password in apart[:2])
        + ", …), which does not know the page and says 400: “This page was open for too long.”"
    )
    # As soon as there is more than one visitor, chance decides who gets which server.
    alice, neighbour = scene.person(), scene.person()
    for _ in range(20):
        form, password, status = _log_in(alice, neighbour)
        if status == 303:
            break
    must(status == 303 and form == password, f"{form} then {password} answered {status}")
    seen = views(alice.client, VIEWS)
    inbox, asked = _by_server(seen, "200"), _by_server(seen, "303 to /login")
    must(bool(inbox) and bool(asked), f"she was asked to log in {asked.total()} of {VIEWS} times")
    tell(
        f"With somebody else's view in between, the page and her password are both {password}'s, "
        f"and she is in. She looks at her inbox {VIEWS} times: {_said(inbox)} showed it, "
        f"{_said(asked)} asked her to log in."
    )
    must(not set(inbox) & set(asked), "the same server knew her at one time and not at another")


def kept(scene: Scene) -> None:
    """Show that a log-in holds at every server; NotSeen where it does not."""
    alice = scene.person()
    form, password, status = _log_in(alice)
    must(status == 303, f"the log-in was answered {status}")
    seen = views(alice.client, VIEWS)
    tell(
        f"Alice logs in once: the page came from {form}, her password went to {password}, and she "
        f"is in. She looks at her inbox {VIEWS} times: {servers(seen)}, {failures(seen)}."
    )
    must(all(each.fine for each in seen), f"the log-in did not hold: {failures(seen)}")
    must({each.server for each in seen} == {"web-1", "web-2"}, "not both servers answered")


def _log_in(person: Person, neighbour: Person | None = None) -> tuple[str, str, int]:
    """Press "Log in" once: who sent the page, who got the password, and the answer's status.

    Redirects are not followed: between two servers that disagree they go round in a circle.
    """
    person.visit("/login")
    sent_by = person.response.headers["X-Served-By"]
    form = person.button("Log in").find_parent("form")
    assert isinstance(form, Tag)
    fields = {
        str(field["name"]): str(field.get("value", ""))
        for field in form.select("input[type=hidden]")
    }
    for label, typed in (("Email", "alice@mail.example"), ("Password", PASSWORD)):
        fields[str(person.control(form, label)["name"])] = typed
    if neighbour is not None:
        neighbour.visit("/livez")
    answer = person.client.post("/login", data=fields)
    return sent_by, answer.headers["X-Served-By"], answer.status_code


def _by_server(seen: list[View], what: str) -> Counter[str]:
    return Counter(each.server for each in seen if each.what == what)


def _said(counts: Counter[str]) -> str:
    return " and ".join(f"{server} {number} times" for server, number in sorted(counts.items()))
