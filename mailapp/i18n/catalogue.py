"""The texts of each language, read from its .po file: it is what people edit, and all there is.

No compiled .mo stands beside it, so none can be out of date, nor has anybody to build one. Reading
takes a process some hundredths of a second, once, when somebody first asks for the language.
"""

from __future__ import annotations

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import flask_babel
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

# Each by the name that it calls itself, because whoever looks for it reads that.
LANGUAGES = {"en": "English", "ko": "한국어"}

FOLDER = Path(__file__).parent.parent / "translations"


class Catalogues:
    """The catalogues of an application, by language. `own` are those that a test puts in place."""

    def __init__(self) -> None:
        self.own: dict[str, NullTranslations] = {}

    def of(self, language: str) -> NullTranslations:
        """The texts of a language; English ones are their own."""
        return self.own.get(language) or read(language)


class Domain(flask_babel.Domain):  # type: ignore[misc]  # Flask-Babel has no types
    """Where Flask-Babel finds its texts."""

    def __init__(self, catalogues: Catalogues) -> None:
        super().__init__()
        self._catalogues = catalogues

    def get_translations(self) -> Any:
        """The catalogue of the current language."""
        locale = flask_babel.get_locale()
        return self._catalogues.of(locale.language if locale else "en")


def path(language: str) -> Path:
    """The .po file of a language other than English."""
    return FOLDER / language / "LC_MESSAGES" / "messages.po"


@cache
def read(language: str) -> NullTranslations:
    """The texts of a language, once for all the applications of a process."""
    if language == "en":
        return NullTranslations()
    with path(language).open("rb") as file:
        catalogue = read_po(file, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)
