"""A request's body as it arrives, for what goes on to the store without being kept in between."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from flask import Request
from gunicorn.http.errors import ParseException

from mailapp.attachments import linger
from mailapp.attachments.store import CHUNK
from mailapp.errors import Problem
from mailapp.i18n import gettext as _
from mailapp.settings import current_settings
from mailapp.templating import filesize

# How long a visitor's silence in the middle of a body may hold a thread.
STALL_SECONDS = 30.0


class _Input(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Body:
    """The bytes of a request, up to a limit, whether or not their number was announced."""

    def __init__(self, request: Request, limit: int) -> None:
        self._input: _Input = request.environ["wsgi.input"]
        # WSGI promises only read(); the input that server.py gives can also fill a buffer.
        self._receive: Callable[[memoryview], int] = getattr(self._input, "readinto", self._copy)
        self._environ = request.environ
        announced = request.content_length
        self._announced = announced is not None
        # One byte more than may come of a body of unknown length, to see whether it does.
        self._left = limit + 1 if announced is None else announced
        if announced is None and not request.environ.get("wsgi.input_terminated"):
            self._left = 0  # neither client nor server says where it ends: there is none
            self._announced = True
        # No piece is larger, and none of a small form needs so much room.
        self.largest_piece = min(CHUNK, self._left)

    def readinto(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer` with the next piece; its size, 0 at the end."""
        if self._left == 0:
            if not self._announced:
                raise too_large()
            self.end()
            return 0
        try:
            size = self._receive(buffer[: min(self.largest_piece, self._left)])
        except (OSError, ParseException):  # the latter for chunks that are none
            raise broken_off() from None
        if not size:
            if self._announced:
                raise broken_off()
            linger.body_is_read(self._environ)
        self._left -= size
        return size

    def end(self) -> None:
        """Note that it was read, where all of it was; else the rest is skipped after the answer."""
        if self._left == 0:
            linger.body_is_read(self._environ)

    def _copy(self, room: memoryview) -> int:
        data = self._input.read(len(room))
        room[: len(data)] = data
        return len(data)


@contextmanager
def patience(request: Request) -> Iterator[None]:
    """Don't wait for ever for a visitor who stopped sending.

    gunicorn's threads do: a handful of silent connections would take an instance out of service
    where no proxy buffers their requests.
    """
    connection = request.environ.get("gunicorn.socket")
    if not isinstance(connection, socket.socket):
        yield
        return
    before = connection.gettimeout()
    connection.settimeout(STALL_SECONDS)
    try:
        yield
    finally:
        connection.settimeout(before)


def too_large() -> Problem:
    """More came than a request may have."""
    return Problem(
        413,
        _("This is too large"),
        _(
            "All that is sent at once can have at most %(most)s. Attach files one by one.",
            most=filesize(current_settings().max_request_bytes),
        ),
    )


def broken_off() -> Problem:
    """Less came than was announced."""
    return Problem(
        400,
        _("The upload broke off"),
        _("Less arrived than was announced, so nothing was done. Please try again."),
    )
