"""The story's two pages tell the same story, of the files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.stages.__main__ import STAGES
from tests.stages.scene import STAGES as FOLDER

ENGLISH = (FOLDER / "README.md").read_text(encoding="utf-8")
KOREAN = (FOLDER / "README.ko.md").read_text(encoding="utf-8")
FOLDERS = sorted(path.parent.name for path in FOLDER.glob("*/compose.yml"))
HANGUL = re.compile("[가-힣]")


def blocks(page: str) -> list[str]:
    """What stands between ``` lines: commands and what they printed."""
    return re.findall(r"^```\w*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def links(page: str) -> list[str]:
    """Where links and pictures lead, but to the page's own sections and the other language."""
    found = re.findall(r"\]\(([^)#]+)\)", page)
    return [link for link in found if not link.startswith("README")]


def sections(page: str) -> list[str]:
    """The stages as a page tells them, each from its heading on."""
    return re.split(r"^## (?=\d\. )", page, flags=re.MULTILINE)[1:]


def test_both_pages_have_the_same_commands_and_the_same_output() -> None:
    assert blocks(ENGLISH) == blocks(KOREAN)


def test_both_pages_have_the_same_links_and_diagrams() -> None:
    assert links(ENGLISH) == links(KOREAN)


@pytest.mark.parametrize("page", [ENGLISH, KOREAN], ids=["English", "Korean"])
def test_a_page_has_a_section_with_diagram_command_and_output_for_every_stage(page: str) -> None:
    assert len(sections(page)) == len(STAGES) == len(FOLDERS)
    for number, (section, folder) in enumerate(zip(sections(page), FOLDERS, strict=True), 1):
        assert section.startswith(f"{number}. ")
        assert f"]({folder}/diagram.svg)" in section
        assert f"make stage N={number}\n" in section
        assert f"docker compose -f deploy/stages/{folder}/compose.yml up" in section
        title = STAGES[number - 1].TITLE
        assert f"Stage {number}: {title}\n" in section, "its output is of another stage"


@pytest.mark.parametrize("page", [ENGLISH, KOREAN], ids=["English", "Korean"])
def test_every_section_is_in_the_table_and_every_link_leads_somewhere(page: str) -> None:
    def anchor(heading: str) -> str:
        return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

    headings = [section.partition("\n")[0] for section in sections(page)]
    assert re.findall(r"^\| \[\d\]\(#([^)]*)\)", page, re.MULTILINE) == list(map(anchor, headings))
    for link in links(page):
        assert (FOLDER / link).exists(), link


def test_the_korean_page_is_in_korean() -> None:
    def paragraphs(page: str) -> list[str]:
        text = re.sub(r"^```\w*\n.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
        return [part for part in text.split("\n\n") if part.strip()]

    assert len(paragraphs(ENGLISH)) == len(paragraphs(KOREAN))
    for paragraph in paragraphs(KOREAN):
        assert HANGUL.search(paragraph) or paragraph.strip() == "[English](README.md)", paragraph


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[1-7]-*/*.yml")), ids=lambda path: path.stem)
def test_every_file_can_be_taken_in_at_a_glance_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    said = text.split("\nname:")[0].split("\nservices:")[0]

    assert said.startswith(f"# Stage {path.parent.name[0]}"), said
    assert "Next: " in said or "Next, " in said or "same as" in said or "deploy/tiers" in said
    assert len(text.splitlines()) <= 45
