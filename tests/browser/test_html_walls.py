"""Each of the two walls around formatted mail holds alone, in a real browser, against every attack.

One page has a frame for each mail of the corpus. Whatever asks the network for anything is seen and
answered here; nothing leaves the machine. That the attacks work where there is no wall is shown
too: what can't fail would show nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape

import pytest
from playwright.sync_api import Browser, Dialog, Error, Page, Route

from mailapp.headers import PAGE_POLICY
from mailapp.html import document
from mailapp.html.sanitiser import for_showing
from tests.html.corpus import CORPUS

HOST = "http://mail.test"
NAMES = list(CORPUS)

# Seen from outside of the frame, also where there is no alert (a sandbox has none either).
HIT = "(parent.hits=(parent.hits||0)+1)"

# What is pressed is what can be: with a real press of a key or button much of it would do the same.
# Web addresses that open a tab are not: to lead there is what they are for.
PRESS = """() => {
  for (const { contentDocument: inside } of document.querySelectorAll("iframe")) {
    if (!inside) continue;
    for (const one of inside.querySelectorAll("a, area, button, input, summary, maction, text")) {
      const href = one.getAttribute("href") || "";
      if (/^https?:/.test(href) && one.target === "_blank") continue;
      one.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
    }
    for (const one of inside.forms) {
      try { HTMLFormElement.prototype.submit.call(one) } catch { /* some are not what they seem */ }
    }
  }
}"""

# Every element that is not where the text puts it, or shows what was not in the mail.
ASTRAY = """() => [...document.querySelectorAll("iframe")].flatMap(({ contentDocument: inside }) =>
  [...(inside?.querySelectorAll("*") ?? [])].filter(one => {
    const style = getComputedStyle(one);
    return style.position !== "static" || style.transform !== "none" || style.zIndex !== "auto"
      || style.backgroundImage !== "none" || style.animationName !== "none"
      || parseFloat(style.marginTop) < 0 || parseFloat(style.marginLeft) < 0;
  }).map(one => one.outerHTML.slice(0, 200)))"""


@dataclass
class Seen:
    """What a page with all the mails did."""

    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    ran: int = 0
    astray: list[str] = field(default_factory=list)


Look = Callable[..., Seen]


@pytest.fixture
def look(chromium: Browser) -> Iterator[Look]:
    """A function that shows mails, each in a frame, and says what they did."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(60_000)

    def show(mails: list[str], *, sandbox: str | None, policy: str, page_policy: str) -> Seen:
        seen = Seen()
        page = context.new_page()
        attribute = "" if sandbox is None else f' sandbox="{escape(sandbox)}"'
        frames = "".join(f'<iframe src="/mail/{n}"{attribute}></iframe>' for n in range(len(mails)))

        def answer(route: Route) -> None:
            path = route.request.url.removeprefix(HOST)
            if path == "/":
                body, said = f"<!doctype html><h1>Mailapp</h1>{frames}", page_policy
            elif path.startswith("/mail/") and path[6:].isdigit():
                body, said = mails[int(path[6:])], policy
            elif path == route.request.url:
                seen.asked.append(path)
                route.abort()
                return
            else:  # ours, such as an image with a relative address: it tells nobody anything
                route.fulfill(status=404, body="")
                return
            headers = {"Content-Security-Policy": said} if said else {}
            route.fulfill(
                body=body.encode("utf-8", "replace"),
                content_type="text/html; charset=utf-8",
                headers=headers,
            )

        def hear(dialog: Dialog) -> None:
            seen.said.append(dialog.message)
            with suppress(Error):  # the page that asked is gone
                dialog.dismiss()

        context.route("**/*", answer)
        page.on("dialog", hear)
        page.goto(f"{HOST}/", wait_until="load")
        _press_everything(page, seen)
        context.unroute("**/*")
        for opened in context.pages:
            opened.close()
        return seen

    yield show
    context.close()


def _press_everything(page: Page, seen: Seen) -> None:
    page.wait_for_timeout(1_000)  # for what begins by itself: animations, refreshes, media
    try:
        seen.astray = page.evaluate(ASTRAY)
        seen.ran = page.evaluate("window.hits || 0")
        page.evaluate(PRESS)
        page.wait_for_timeout(1_000)
        seen.ran = max(seen.ran, page.evaluate("window.hits || 0"))
        if page.locator("h1").inner_text() != "Mailapp":
            seen.left.append("the page was written anew")
    except Error as error:  # the page that it was asked of is gone
        seen.left.append(str(error))
    if page.url != f"{HOST}/":
        seen.left.append(page.url)


def raw(name: str) -> str:
    """A mail of the corpus as it came."""
    return "<!doctype html>" + CORPUS[name].replace("alert(1)", HIT)


def test_without_any_wall_the_attacks_work(look: Look) -> None:
    seen = look([raw(name) for name in NAMES], sandbox=None, policy="", page_policy="")
    assert seen.ran > 20
    assert len(set(seen.asked)) > 40
    assert len(seen.astray) > 10
    assert seen.left


def test_the_frame_alone_lets_nothing_run_load_or_leave(look: Look) -> None:
    seen = look(
        [raw(name) for name in NAMES],
        sandbox=document.SANDBOX,
        policy=document.policy(remote=False),
        page_policy=PAGE_POLICY,
    )
    assert (seen.asked, seen.said, seen.left, seen.ran) == ([], [], [], 0)


def test_the_frame_alone_lets_only_images_load_where_they_are_asked_for(look: Look) -> None:
    seen = look(
        [raw(name) for name in NAMES],
        sandbox=document.SANDBOX,
        policy=document.policy(remote=True),
        page_policy=PAGE_POLICY,
    )
    endings = {asked.rpartition(".")[2] for asked in seen.asked}
    # Chromium has no rule of its own for what is fetched beforehand: what any rule lets in, it may.
    assert endings <= {"png", "svg", "cur", "example/prefetch"}, seen.asked
    assert (seen.said, seen.left, seen.ran) == ([], [], 0)


def test_the_document_s_own_policy_holds_where_it_is_opened_by_itself(look: Look) -> None:
    seen = look(
        [raw(name) for name in NAMES],
        sandbox=None,
        policy=document.policy(remote=False),
        page_policy="",
    )
    assert (seen.said, seen.left, seen.ran) == ([], [], 0)
    # Without the page's policy a link may lead the frame away, which only that one can forbid.
    assert all("/self" in asked or asked.count("/") <= 3 for asked in seen.asked), seen.asked


def test_the_sanitiser_alone_lets_nothing_run_load_or_leave(look: Look) -> None:
    mails = [
        document.of_html("A mail", for_showing(CORPUS[name], lambda _: None)) for name in NAMES
    ]
    seen = look(
        [mail.replace("alert(1)", HIT) for mail in mails], sandbox=None, policy="", page_policy=""
    )
    assert seen == Seen()


def test_the_sanitiser_alone_lets_only_images_load_where_they_are_asked_for(look: Look) -> None:
    mails = [
        document.of_html("A mail", for_showing(CORPUS[name], lambda _: None, remote=True))
        for name in NAMES
    ]
    seen = look(mails, sandbox=None, policy="", page_policy="")
    assert {asked.rpartition(".")[2] for asked in seen.asked} == {"png"}
    assert (seen.said, seen.left, seen.ran) == ([], [], 0)


@pytest.mark.parametrize("button", ["left", "middle"])
@pytest.mark.parametrize(
    "address",
    ["javascript:opener.hits=1;parent.hits=1;alert(1)", "data:text/html,<script>alert(1)</script>"],
)
def test_a_link_that_a_hand_presses_runs_nothing_in_a_new_tab(
    chromium: Browser, address: str, button: str
) -> None:
    """With the sanitiser off, and a real click: what opens a tab that is out of the sandbox."""
    context = chromium.new_context()
    said: list[str] = []

    def answer(route: Route) -> None:
        is_mail = route.request.url.endswith("/mail")
        route.fulfill(
            body=f'<a target=_blank rel=opener href="{escape(address)}">press</a>'
            if is_mail
            else f'<iframe src="/mail" sandbox="{document.SANDBOX}"></iframe>',
            content_type="text/html",
            headers={
                "Content-Security-Policy": document.policy(remote=False) if is_mail else PAGE_POLICY
            },
        )

    context.route("**/*", answer)

    def hear(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    context.on("dialog", hear)
    page = context.new_page()
    page.goto(f"{HOST}/")
    page.frame_locator("iframe").get_by_text("press").click(button=button)  # type: ignore[arg-type]
    page.wait_for_timeout(700)
    assert said == []
    assert page.evaluate("window.hits") is None
    context.close()
