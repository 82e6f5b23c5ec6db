"""What a worker's hub makes of events that come together."""

from __future__ import annotations

import socket

import pytest
from flask import Flask

from mailapp.live.hub import Hub, Stream

pytestmark = pytest.mark.parametrize("parts", ["embedded"], indirect=True)


def test_a_connection_that_an_earlier_event_has_closed_is_passed_over(app: Flask) -> None:
    stream = Stream(account_id=1, epoch=0, session_id="any", told=0)
    stream.connection, browser = socket.socketpair()
    stream.connection.close()

    Hub(app)._read(stream)

    browser.close()


def test_a_listener_that_an_earlier_event_has_ended_is_passed_over(app: Flask) -> None:
    Hub(app)._hear()
