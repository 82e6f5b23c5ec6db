"""Templates, compiled once for each language: a constant text costs a page nothing.

`{{ _("Send") }}` becomes the translated text while its template is compiled, as if it stood there.
What is put together when a page is made, as in `_("To: %(people)s", people=…)` or `ngettext(…)`, is
looked up then. A translation is HTML, as the template around it is; what is put into it is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from flask import Flask
from flask.templating import Environment as FlaskEnvironment
from jinja2 import Environment, Template
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from mailapp.i18n.choice import current_language


class TranslatedEnvironment(FlaskEnvironment):
    """Jinja's environment, and behind it one for each language with the templates compiled so."""

    language = ""

    def __init__(self, app: Flask, **options: Any) -> None:
        super().__init__(app, **options)
        self.add_extension(_Constants)
        self._by_language: dict[str, Environment] = {}

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,
    ) -> Template:
        """The template in the current language; what it extends and includes is in the same."""
        if self.language:
            return super().get_template(name, parent, globals)
        language = current_language()
        environment = self._by_language.get(language)
        if environment is None:
            # Made at the first page, after everything that belongs to the environment was added.
            environment = self.overlay()
            environment.language = language
            self._by_language[language] = environment
        return environment.get_template(name, parent, globals)


class _Constants(Extension):
    """Puts the translation in the place of `_("…")`."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """The tokens `_`, `(`, a string and `)` become the translated string, marked as HTML."""
        environment = self.environment
        assert isinstance(environment, TranslatedEnvironment)  # noqa: S101
        texts = environment.app.extensions["catalogues"].of(environment.language)
        tokens = list(stream)
        place = 0
        while place < len(tokens):
            token = tokens[place]
            following = [(one.type, one.value) for one in tokens[place : place + 4]]
            match following:
                case [("name", "_"), ("lparen", _), ("string", text), ("rparen", _)]:
                    # As Jinja's own `_` does, which is why a per cent sign is written twice.
                    yield Token(token.lineno, "string", texts.gettext(text) % {})
                    yield Token(token.lineno, "pipe", "|")
                    yield Token(token.lineno, "name", "safe")
                    place += 4
                case _:
                    yield token
                    place += 1
