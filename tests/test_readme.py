"""The README says what is so."""

from __future__ import annotations

import re

from click import Group

from deploy.document import README, with_table
from mailapp.cli import main

TEXT = README.read_text(encoding="utf-8")
MAKEFILE = (README.parent / "Makefile").read_text(encoding="utf-8")


def test_the_table_of_settings_is_the_code_s() -> None:
    assert with_table(TEXT) == TEXT, "run `make docs`"


def test_every_make_target_it_names_exists() -> None:
    named = set(re.findall(r"^(?:\| )?`?make ([a-z-]+)", TEXT, re.MULTILINE))
    assert {"run", "test", "lint", "bench", "cluster"} <= named
    for target in named:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_every_command_of_mailapp_is_in_it() -> None:
    for name, command in main.commands.items():
        below = command.commands if isinstance(command, Group) else None
        for called in [f"{name} {sub}" for sub in below] if below else [name]:
            assert f"`mailapp {called}" in TEXT, called


def test_it_names_no_file_that_is_not_there() -> None:
    for path in re.findall(r"`((?:mailapp|nginx|deploy|tests)/[a-z_./]*)`", TEXT):
        assert (README.parent / path).exists(), path
