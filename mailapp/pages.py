"""What every page shows, whichever room it is in: who is signed in, which instance answers."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, render_template, request
from markupsafe import Markup

from mailapp.i18n import current_language, dates
from mailapp.mailbox import kept
from mailapp.mailbox.services import Frame
from mailapp.sessions import is_visit
from mailapp.settings import Settings
from mailapp.telemetry import request_id
from mailapp.templating import filesize


def init_app(app: Flask, settings: Settings) -> None:
    """Give every template what base.html and plain.html need."""
    constant = {
        "instance": settings.instance_name,
        "signup_open": settings.signup_open,
        "mail_domain": settings.mail_domain,
        "max_attachment_bytes": settings.max_attachment_bytes,
        "max_attachment_text": filesize(settings.max_attachment_bytes),
    }

    @app.template_global()
    def shell(frame: Frame, active: str, query: str) -> str:
        return kept.part(
            frame,
            ("shell", active, query),
            lambda: Markup(  # noqa: S704  # a template's own output
                render_template("shell.html", frame=frame, active=active, query=query)
            ),
        )

    @app.context_processor
    def _shown() -> dict[str, Any]:
        language = current_language()
        return {
            **constant,
            "language": language,
            "dates": dates.tag(language),
            "request_id": request_id(),
            "frame": g.get("frame"),
            "is_visit": is_visit(request),
        }
