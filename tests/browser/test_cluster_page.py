"""The operators' page of the instances, live: nothing is reloaded in these tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from deploy.topology import Web
from tests.browser.window import Someone, Window
from tests.cluster.conftest import cluster  # noqa: F401
from tests.cluster.parts import Cluster

# What the issue promises an operator, in milliseconds.
SEEN_WITHIN = 5000


@pytest.fixture
def operator(
    someone: Callable[..., Someone],
    cluster: Cluster,  # noqa: F811
) -> Someone:
    """Olga, who has the admin flag, at the page."""
    olga = someone("Olga")
    cluster.command("user", "admin", olga.address)
    olga.window.go("/mail/inbox")
    olga.window.follow("Cluster")
    olga.window.page.evaluate("window.isTheSame = true")
    return olga


@pytest.fixture
def another(
    cluster: Cluster,  # noqa: F811
    tmp_path: Path,
) -> Iterator[Web]:
    """One more instance, which no balancer knows."""
    with Web(tmp_path / "web-3", cluster.settings, name="web-3") as web:
        yield web


def card(window: Window, name: str) -> Locator:
    """What the page shows of an instance."""
    heading = window.page.get_by_role("heading", name=name, exact=True)
    return window.page.locator(".instances > li").filter(has=heading)


def is_live(window: Window) -> None:
    """Wait until the page says so, and see that it was never loaded again."""
    expect(window.page.locator("#live")).to_have_text("Live")
    assert window.page.evaluate("window.isTheSame")


def test_an_instance_that_is_killed_is_gone_within_five_seconds(
    operator: Someone, another: Web
) -> None:
    window = operator.window
    for name in ("web-1", "web-2", "web-3"):
        expect(card(window, name)).to_contain_text("Serving")
    window.sees("3 instances, all serving")

    another.kill()
    expect(card(window, "web-3")).to_have_count(0, timeout=SEEN_WITHIN)
    window.sees("2 instances, all serving")
    window.sees("1 instance stopped without a word")
    is_live(window)


def test_an_instance_that_stops_is_seen_to_drain_and_leave(operator: Someone, another: Web) -> None:
    window = operator.window
    expect(card(window, "web-3")).to_contain_text("Serving")

    another.terminate()
    expect(card(window, "web-3")).to_contain_text("Draining", timeout=SEEN_WITHIN)
    window.sees("1 draining")
    expect(card(window, "web-3")).to_have_count(0, timeout=15_000)
    is_live(window)


def test_what_people_do_is_drawn(operator: Someone) -> None:
    for _ in range(40):
        operator.plain.visit("/mail/inbox")

    page = operator.window.page
    expect(page.locator("section.total dd").first).not_to_have_text("0")
    expect(page.locator("section.total .line")).to_have_attribute("d", re.compile(r"^M.+L"))
    said = page.get_by_role("img", name="Requests a second over the last 4 minutes: now")
    expect(said).to_have_count(3)
    is_live(operator.window)


def test_it_asks_only_while_it_is_looked_at(operator: Someone) -> None:
    window = operator.window
    is_live(window)
    look = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    look += "document.dispatchEvent(new Event('visibilitychange'))"
    window.page.evaluate(look % "true")
    window.page.wait_for_timeout(500)  # one that was under way
    asked = len(window.requests)
    window.page.wait_for_timeout(2500)
    assert len(window.requests) == asked

    with window.page.expect_response("**/admin/cluster/now"):
        window.page.evaluate(look % "false")
    is_live(window)


def test_it_says_since_when_it_is_out_of_date_and_recovers(operator: Someone) -> None:
    window = operator.window
    is_live(window)
    window.context.set_offline(True)
    expect(window.page.locator("#live")).to_contain_text("Last updated")
    expect(card(window, "web-1")).to_be_visible()

    window.context.set_offline(False)
    is_live(window)


def test_who_is_no_operator_any_more_is_told_and_asks_no_longer(
    operator: Someone,
    cluster: Cluster,  # noqa: F811
) -> None:
    window = operator.window
    is_live(window)
    cluster.command("user", "admin", operator.address, "--revoke")
    window.sees("Whoever runs this service can open it to you")
    asked = len(window.requests)
    window.page.wait_for_timeout(2500)

    assert len(window.requests) == asked


def test_without_javascript_it_is_reloaded_by_hand(
    someone: Callable[..., Someone],
    cluster: Cluster,  # noqa: F811
) -> None:
    olga = someone("Olga", java_script_enabled=False)
    cluster.command("user", "admin", olga.address)
    olga.window.go("/admin/cluster")

    expect(card(olga.window, "web-1")).to_contain_text("Serving")
    olga.window.follow("Reload")
    expect(card(olga.window, "web-2")).to_contain_text("Serving")
