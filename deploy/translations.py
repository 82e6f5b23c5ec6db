"""Keeps mailapp/translations in step with the code: `make translations`.

Every text of the code and the templates gets an entry, a text that is gone loses its own, and the
rest stays as it was translated. What is left to translate is listed, and makes the command fail.
Entries are sorted by their English and carry no place or date, so that the same texts always make
the same file, and two changes seldom meet.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

from mailapp.i18n.catalogue import LANGUAGES, path

ROOT = Path(__file__).parent.parent

_METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
_OPTIONS = {"templates/**.html": {"silent": "false"}}
_KEYWORDS = {**DEFAULT_KEYWORDS, "lazy_gettext": None, "lazy_ngettext": (1, 2)}

_HEAD = """\
# mailapp in {name}. Texts are found by `make translations`; translate them here.
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plurals}\\n"

"""


def found() -> Catalog:
    """Every text that the code and the templates ask to have translated."""
    texts = Catalog()
    for _file, _line, message, comments, context in extract_from_dir(
        ROOT / "mailapp", _METHODS, _OPTIONS, _KEYWORDS, comment_tags=("Translators:",)
    ):
        texts.add(message, auto_comments=comments, context=context)
    return texts


def updated(language: str, texts: Catalog) -> Catalog:
    """The catalogue of a language with exactly these texts, as far as they are translated."""
    with path(language).open("rb") as file:
        catalogue = read_po(file, locale=language)
    catalogue.update(texts, no_fuzzy_matching=True)
    for message in catalogue:
        if message.fuzzy and message.id:  # it has a plural now, or none any more: no guesses
            message.flags.discard("fuzzy")
            message.string = "" if isinstance(message.id, str) else ("",) * catalogue.num_plurals
    return catalogue


def written(catalogue: Catalog) -> bytes:
    """A catalogue as the text of its file."""
    language = str(catalogue.locale)
    head = _HEAD.format(name=LANGUAGES[language], language=language, plurals=catalogue.plural_forms)
    entries = BytesIO()
    write_po(
        entries,
        catalogue,
        width=100,
        no_location=True,
        omit_header=True,
        sort_output=True,
        ignore_obsolete=True,
    )
    return head.encode() + entries.getvalue().lstrip(b"\n")


def untranslated(catalogue: Catalog) -> list[str]:
    """The English of every entry without a sure translation."""
    return [
        message.id if isinstance(message.id, str) else message.id[0]
        for message in catalogue
        if message.id
        and (
            message.fuzzy
            or not all(message.string if isinstance(message.string, tuple) else [message.string])
        )
    ]


def main() -> int:
    """Write every catalogue anew; 1 when something has no translation."""
    texts = found()
    missing = 0
    for language in LANGUAGES:
        if language == "en":
            continue
        catalogue = updated(language, texts)
        path(language).write_bytes(written(catalogue))
        left = untranslated(catalogue)
        missing += len(left)
        for text in left:
            print(f"{language}: no translation of {text!r}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
