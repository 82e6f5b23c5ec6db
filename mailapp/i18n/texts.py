"""A text in the current language. Flask-Babel's functions, with types."""

from __future__ import annotations

import flask_babel
from flask_babel import LazyString


def gettext(text: str, /, **values: object) -> str:
    """`text` in the current language, `values` in the places of its `%(name)s`."""
    translated: str = flask_babel.gettext(text, **values)
    return translated


def ngettext(one: str, many: str, num: int, /, **values: object) -> str:
    """The form of a text that belongs to the number `num`, which is also its `%(num)s`."""
    translated: str = flask_babel.ngettext(one, many, num, **values)
    return translated


def lazy_gettext(text: str, /) -> LazyString:
    """`text` in the language that is current whenever it is turned into a `str`."""
    return LazyString(flask_babel.gettext, text)
