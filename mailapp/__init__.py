"""mailapp: web mail on web servers that keep nothing. `create_app` joins its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from mailapp.settings import Settings

__version__ = "0.1.0"


class _Application(Flask):
    """Flask without its question to every function, a dozen times a request, if it is async."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """None of ours is."""
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """The application on `settings`, by default the environment's; raises SettingsError."""
    # Imported here, so that a command that needs only the settings does not wait for the rest.
    from mailapp import (
        csrf,
        database,
        errors,
        headers,
        health,
        i18n,
        keys,
        limits,
        pages,
        proxies,
        quota,
        redis,
        sessions,
        telemetry,
        templating,
    )
    from mailapp.accounts import views as accounts
    from mailapp.attachments import linger, store
    from mailapp.attachments import views as attachments
    from mailapp.cluster import views as cluster
    from mailapp.compose import views as compose
    from mailapp.contacts import views as contacts
    from mailapp.html import views as html
    from mailapp.live import views as live
    from mailapp.mailbox import acting, kept, own_folders
    from mailapp.mailbox import views as mailbox
    from mailapp.search import views as search
    from mailapp.telemetry import traces
    from mailapp.uploads import views as uploads

    settings = settings or Settings.from_env()
    app = _Application(__name__)
    app.extensions["settings"] = settings
    app.secret_key = settings.secret_key
    # Forms are small; the room that reads attachments has a limit of its own.
    app.config["MAX_CONTENT_LENGTH"] = 64 * 1024

    i18n.init_app(app)
    errors.init_app(app)
    database.init_app(app, settings)
    redis.init_app(app, settings)
    store.init_app(app)
    sessions.init_app(app, settings)
    limits.init_app(app, settings)
    csrf.init_app(app)
    headers.init_app(app)
    templating.init_app(app)
    pages.init_app(app, settings)
    quota.init_app(app)
    kept.init_app(app)
    linger.init_app(app)
    health.init_app(app)
    live.init_app(app)

    app.register_blueprint(accounts.bp)
    app.register_blueprint(mailbox.bp)
    app.register_blueprint(attachments.bp)
    html.init_app(app)
    app.register_blueprint(acting.bp)
    app.register_blueprint(own_folders.bp)
    app.register_blueprint(compose.bp)
    app.register_blueprint(keys.bp)
    app.register_blueprint(uploads.bp)
    app.register_blueprint(search.bp)
    app.register_blueprint(contacts.bp)
    app.register_blueprint(cluster.bp)

    # Around all the others: the trace, who the visitor is, then the stamp that every answer gets.
    traces.init_app(app)
    proxies.init_app(app)
    telemetry.init_app(app)
    return app
