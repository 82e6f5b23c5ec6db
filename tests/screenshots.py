"""Pictures of the main pages: `make screenshots`.

Starts the application with the demo mailbox in a folder of its own, and takes each page in English
and Korean, in the light and in the dark, wide and as a phone, into build/screenshots. Those that
the README shows are also put into docs/screenshots.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from deploy.run import prepare
from deploy.topology import Web, free_port, running
from tests.browser.conftest import PROGRAMS

ROOT = Path(__file__).parent.parent
ALL = ROOT / "build" / "screenshots"
SHOWN = ROOT / "docs" / "screenshots"

# Whose pictures stand in the README.
CHOSEN = (
    "conversation-en-light-wide",
    "html-mail-en-dark-wide",
    "inbox-ko-light-wide",
    "conversation-ko-dark-phone",
    "compose-en-light-phone",
)

LOCALES = {"en": ("en-GB", "Europe/London"), "ko": ("ko-KR", "Asia/Seoul")}
SIZES = {"wide": (1440, 900), "phone": (390, 844)}

Shot = Callable[[Page], object]


def _inbox(page: Page) -> None:
    page.goto("/mail/inbox")


def _opened(subject: str) -> Shot:
    def shot(page: Page) -> None:
        page.goto("/mail/inbox")
        page.get_by_role("link", name=subject).first.click()
        page.wait_for_load_state("networkidle")

    return shot


def _compose(page: Page) -> None:
    page.goto("/mail/drafts")
    page.get_by_role("link", name="Notes from the load test").click()
    page.wait_for_url("**/drafts/*")


PAGES: dict[str, Shot] = {
    "inbox": _inbox,
    "conversation": _opened("The plan for scaling out"),
    "html-mail": _opened("Five quiet places to work in Seoul"),
    "compose": _compose,
    "search": lambda page: page.goto("/search?q=from%3Abob"),
    "settings": lambda page: page.goto("/settings"),
    "cluster": lambda page: page.goto("/admin/cluster"),
}


def main() -> None:
    """Take them all."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        sys.exit("There is no Chromium here; CHROMIUM=/path/to/it names one.")
    for folder in (ALL, SHOWN):
        folder.mkdir(parents=True, exist_ok=True)
    with _served() as (url, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        for language in LOCALES:
            for scheme in ("light", "dark"):
                for size in SIZES:
                    with _window(browser, url, language, scheme, size) as window:
                        _take(window, password, f"{language}-{scheme}-{size}")
        browser.close()


@contextmanager
def _served() -> Iterator[tuple[str, str]]:
    """The application's address, and alice's password."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DATA_DIR": folder, "DRAIN_SECONDS": "0"}
        logins = prepare(environment, Path(folder, "logins"))
        found = re.search(r"alice@\S+\s+password: (\S+)", logins)
        assert found, logins
        web = Web(
            Path(folder),
            environment,
            name="web-1",
            host="127.0.0.1",
            port=free_port(),
            metrics_port=free_port(),
        )
        with running(web):
            yield web.url, found[1]


@contextmanager
def _window(
    browser: Browser, url: str, language: str, scheme: str, size: str
) -> Iterator[BrowserContext]:
    locale, zone = LOCALES[language]
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=url,
        locale=locale,
        timezone_id=zone,
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
    )
    yield context
    context.close()


def _take(window: BrowserContext, password: str, suffix: str) -> None:
    """Log in and take every page."""
    page = window.new_page()
    page.goto("/login")
    page.locator("#email").fill("alice")
    page.locator("#password").fill(password)
    page.locator("main form button").click()
    page.wait_for_url("**/mail/inbox")
    for name, shot in PAGES.items():
        shot(page)
        page.wait_for_timeout(300)  # for what scripts still draw
        picture = ALL / f"{name}-{suffix}.png"
        page.screenshot(path=picture)
        if picture.stem in CHOSEN:
            shutil.copyfile(picture, SHOWN / picture.name)
        print(picture.relative_to(ROOT))


if __name__ == "__main__":
    main()
