"""Lets a client see an answer that was given before its upload ended.

A server that answers and closes while the client still sends makes the client's system throw the
answer away with the connection ("connection reset"). RFC 9112 section 9.6 says what to do instead:
close for writing, go on reading for a while, then close.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Response, request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# How long, and how many bytes of it, an upload that was refused is still read.
LINGER_SECONDS = 10.0
LINGER_BYTES = 1024 * 1024 * 1024

# What gunicorn itself reads on after an answer, without giving up the connection.
_LEFT_TO_SERVER = 64 * 1024

_READ = "mailapp.body_is_read"


def init_app(app: Flask) -> None:
    """Read on after every answer whose request has not been read to its end."""
    app.after_request(_after)


def body_is_read(environ: WSGIEnvironment) -> None:
    """Note that the body of this request was read to its end."""
    environ[_READ] = True


def _after(response: Response) -> Response:
    environ = request.environ
    # Only gunicorn's connections are ours to handle; other servers are for development.
    connection = environ.get("gunicorn.socket")
    if _may_be_sending(environ) and isinstance(connection, socket.socket):
        response.call_on_close(partial(_linger, connection))
    return response


def _may_be_sending(environ: WSGIEnvironment) -> bool:
    announced = environ.get("CONTENT_LENGTH") or "0"
    chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "")
    if not chunked and not (announced.isdigit() and int(announced) > _LEFT_TO_SERVER):
        return False
    return not environ.get(_READ) and "form" not in request.__dict__


def _linger(connection: socket.socket) -> None:
    """Called when the answer has been sent."""
    deadline = time.monotonic() + LINGER_SECONDS
    left = LINGER_BYTES
    buffer = bytearray(64 * 1024)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and (remaining := deadline - time.monotonic()) > 0:
            connection.settimeout(remaining)
            received = connection.recv_into(buffer)
            if received == 0:
                break
            left -= received
    with suppress(OSError):
        # Else gunicorn would read on in the hope of using the connection again.
        connection.shutdown(socket.SHUT_RD)
