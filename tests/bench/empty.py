"""What every figure is relative to: an empty Flask view under the server of `mailapp serve`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask import Flask

from mailapp.server import serve
from mailapp.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def load(_settings: Settings) -> WSGIApplication:
    """An application that does nothing."""
    app = Flask("empty")

    @app.get("/")
    def _empty() -> str:
        return ""

    return app


if __name__ == "__main__":
    serve(Settings.from_env(os.environ), load)
