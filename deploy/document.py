"""Writes the table of settings in README.md from the code, or with --check says if it is so."""

from __future__ import annotations

import sys
from pathlib import Path

from mailapp.settings import VARIABLES, Variable

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- settings: written by `make docs` from mailapp/settings.py -->\n"
END = "<!-- end of settings -->\n"


def table() -> str:
    """The table, a row a variable."""
    rows = "".join(
        f"| `{variable.name}` | {_default(variable)} | {variable.meaning} |\n"
        for variable in VARIABLES
    )
    return f"| variable | default | meaning |\n| --- | --- | --- |\n{rows}"


def with_table(text: str) -> str:
    """The README's text with the table as it should be; ValueError where it has no place for it."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md must hold the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}{table()}{END}{after}"


def main() -> None:
    """Write or check."""
    text = README.read_text(encoding="utf-8")
    right = with_table(text)
    if text == right:
        return
    if "--check" in sys.argv:
        sys.exit("The table of settings in README.md is not the code's: run `make docs`.")
    README.write_text(right, encoding="utf-8")


def _default(variable: Variable) -> str:
    return variable.shown or f"`{variable.default}`"


if __name__ == "__main__":
    main()
