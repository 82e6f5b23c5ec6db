"""What a log line looks like, and what never gets into one."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy.exc import IntegrityError

from mailapp.telemetry.logs import JsonLines


def line(message: str, *args: object, exc_info: Any = None, **extra: object) -> dict[str, Any]:
    record = logging.LogRecord("mailapp.test", logging.INFO, "", 0, message, args, exc_info)
    record.__dict__.update({"request_id": "abcdefgh"} | extra)
    text = JsonLines("web-1").format(record)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def caught(failure: Exception) -> Any:
    """What sys.exc_info() says where `failure` is handled."""

    def fail() -> None:
        raise failure

    try:
        fail()
    except Exception:
        return sys.exc_info()


def test_a_line_says_when_where_how_bad_and_for_which_request() -> None:
    said = line("%s messages", 3, folder="inbox")

    moment = datetime.fromisoformat(said.pop("timestamp"))
    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < timedelta(seconds=10)
    assert said == {
        "level": "INFO",
        "logger": "mailapp.test",
        "message": "3 messages",
        "request_id": "abcdefgh",
        "instance": "web-1",
        "folder": "inbox",
    }


def test_an_exception_is_one_field_with_its_traceback() -> None:
    said = line("failed", exc_info=caught(ValueError("on purpose")))

    assert said["message"] == "failed"
    assert said["exception"].startswith("Traceback")
    assert said["exception"].endswith("ValueError: on purpose")


def test_nothing_a_visitor_sends_can_begin_a_line_of_its_own() -> None:
    said = line("GET %s", '/x\n{"level": "CRITICAL"}\r')

    assert said["message"] == 'GET /x\n{"level": "CRITICAL"}\r'


def test_passwords_in_addresses_are_not_logged() -> None:
    failure = OSError("no route to redis://:hunter2@cache:6379/0")
    said = line("postgresql://mailapp:hunter2@db/mailapp is away", exc_info=caught(failure))

    assert "hunter2" not in json.dumps(said)
    assert said["message"] == "postgresql://mailapp:***@db/mailapp is away"


def test_what_people_wrote_is_not_logged_with_a_statement_that_failed() -> None:
    detail = 'null value in column "size"\nDETAIL:  Failing row contains (7, Dear Bob,\n\nsecret'
    failure = IntegrityError("INSERT INTO drafts", {"body": "secret"}, psycopg.Error(detail))
    said = line("failed", exc_info=caught(failure))

    assert "secret" not in json.dumps(said)
    assert "INSERT INTO drafts" in said["exception"]
    assert 'null value in column "size"' in said["exception"]
