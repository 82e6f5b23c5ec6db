"""Which hits are marked, and that no text takes long."""

from __future__ import annotations

import subprocess
import sys

# Apart from these tests, which could not be stopped while a regular expression is at work.
_MARK = """
from mailapp.search.language import Reader
from mailapp.search.marks import Marker

SIGN = "\\u093e"  # a letter of a word here, and none to \\w
VOWEL = "\\u0e32"  # so is this, of a script without spaces
for letter in (SIGN, VOWEL):
    marker = Marker(Reader({}).read(f'"{" ".join(letter * 6)} z"'))
    found = f"{letter} {letter}, {letter} {letter} {letter} {letter} _ z"
    marked = marker.mark(letter * 20_000 + " end " + found, "subject")
    assert marked.endswith(f"end \\x02{found}\\x03"), marked[-60:]
"""


def test_what_a_run_is_made_of_stands_between_none() -> None:
    # Not a measurement: tried in every way, it takes longer than anybody lives.
    subprocess.run([sys.executable, "-c", _MARK], check=True, timeout=60)
