"""What every page shows, whichever room it is in: who is signed in, which instance answers."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, render_template
from markupsafe import Markup

from mailapp.mailbox.kept import kept
from mailapp.mailbox.services import Frame
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
    def shell(frame: Frame, active: str) -> str:
        return kept(
            frame,
            ("shell", active),
            lambda: Markup(  # noqa: S704  # a template's own output
                render_template("shell.html", frame=frame, active=active)
            ),
        )

    @app.context_processor
    def _shown() -> dict[str, Any]:
        return {**constant, "request_id": request_id(), "frame": g.get("frame")}
