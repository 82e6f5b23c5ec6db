"""Chromium before the whole topology: nginx and two instances on the real servers.

Every window is watched. A test fails when a page of its asked another host for anything, or when
the browser complained: of a script's error, of something that the Content-Security-Policy forbids.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.window import Someone, Window
from tests.cluster.conftest import cluster  # noqa: F401
from tests.cluster.parts import PASSWORD, Cluster

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

_number = itertools.count(1)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser: CHROMIUM, or the first of its usual names that is installed."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None or shutil.which(program) is None:
        pytest.skip("there is no Chromium here; CHROMIUM=/path/to/it names one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def window(
    chromium: Browser,
    cluster: Cluster,  # noqa: F811
) -> Iterator[Callable[..., Window]]:
    """A function that opens a new browser, with what it is given as Playwright's options."""
    opened: list[Window] = []

    def open_one(**options: Any) -> Window:
        opened.append(Window(chromium, cluster.nginx.url, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
    assert [complaint for one in opened for complaint in one.complaints] == []


@pytest.fixture
def someone(
    window: Callable[..., Window],
    cluster: Cluster,  # noqa: F811
) -> Callable[..., Someone]:
    """A function that makes an account and opens a browser that is logged in to it."""

    def make(name: str, **options: Any) -> Someone:
        address = f"{name.lower()}-{next(_number)}@mail.example"
        plain = cluster.person()
        plain.sign_up(name, address, PASSWORD)
        assert plain.logged_in, plain.text
        person = Someone(name, address, PASSWORD, window(**options), plain)
        person.window.take_cookies(plain.client.cookies)
        return person

    return make


@pytest.fixture
def alice(someone: Callable[..., Someone]) -> Someone:
    """Alice, logged in."""
    return someone("Alice")


@pytest.fixture
def bob(someone: Callable[..., Someone]) -> Someone:
    """Bob, logged in."""
    return someone("Bob")
