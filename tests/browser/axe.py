"""axe-core (from npm), which finds what keeps people out of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.browser.window import PHONE, WIDE, Window

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"


def what_axe_finds(browser: Window, sizes: Sequence[dict[str, int]] = (WIDE, PHONE)) -> list[str]:
    """What axe finds on the shown page, wide and narrow, in the light and in the dark."""
    found = []
    browser.page.evaluate(AXE.read_text())
    for viewport in sizes:
        browser.page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
        for is_dark in (False, True):
            browser.page.emulate_media(color_scheme="dark" if is_dark else "light")
            result = browser.page.evaluate("axe.run({resultTypes: ['violations']})")
            found += [
                f"{viewport['width']} wide, dark {is_dark}: {fault['id']} at {node['html']}"
                for fault in result["violations"]
                for node in fault["nodes"]
            ]
    return found
