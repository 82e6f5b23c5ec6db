"""Languages: which one an answer is in, and the texts in it. Built on Flask-Babel.

English is what stands in the code and the templates; `mailapp/translations` has the others, which
`make translations` keeps in step. The command line and the logs speak English.

    from mailapp.i18n import gettext as _, ngettext, lazy_gettext

Texts are whole sentences with places, `_("Moved to %(folder)s.", folder=…)`, never in an f-string,
where nothing finds them. `lazy_gettext` is for constants of a module, which are made before
anybody asks. What it gives is no `str`: write `str(…)` around it before it goes into JSON or a
session, so also into `flash`.
"""

from __future__ import annotations

import flask_babel
from flask import Flask

from mailapp.i18n.catalogue import LANGUAGES, Catalogues, Domain
from mailapp.i18n.choice import choose, current_language, in_language, locale_asked_for
from mailapp.i18n.templates import TranslatedEnvironment
from mailapp.i18n.texts import gettext, lazy_gettext, ngettext

__all__ = [
    "LANGUAGES",
    "choose",
    "current_language",
    "gettext",
    "in_language",
    "init_app",
    "lazy_gettext",
    "ngettext",
]


def init_app(app: Flask) -> None:
    """Answer everybody in their language. Before anything asks for the app's templates."""
    app.extensions["catalogues"] = catalogues = Catalogues()
    app.jinja_environment = TranslatedEnvironment  # type: ignore[assignment]
    babel = flask_babel.Babel(app, locale_selector=locale_asked_for)
    babel.domain_instance = Domain(catalogues)
