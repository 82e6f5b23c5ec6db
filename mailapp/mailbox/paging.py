"""Lists by time and id, newest first: a page at a time by key, none slower than another."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from mailapp.queries import Query

PAGE = 50

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Digits of the microseconds since then, up to some year after 5000.
_MOST_DIGITS = 17


@dataclass(frozen=True)
class Page:
    """One page of a list; `next_key` is where the next begins, None on the last."""

    rows: Sequence[Any]
    next_key: str | None


def number(text: str) -> int:
    """The id that a text says; ValueError where it is no number."""
    if not _is_digits(text):
        raise ValueError("not a key of a page")
    return min(int(text), 2**63 - 1)  # which is as much as a BIGINT holds


class Listing:
    """What `statement` selects, by the columns `moment` and `identity`, which are among its own."""

    def __init__(
        self,
        statement: Select[*tuple[Any, ...]],
        moment: InstrumentedAttribute[datetime],
        identity: InstrumentedAttribute[Any],
    ) -> None:
        newest = statement.order_by(moment.desc(), identity.desc()).limit(PAGE + 1)
        before = tuple_(
            bindparam("before_moment", type_=moment.type),
            bindparam("before_id", type_=identity.type),
        )
        self._newest = Query(newest)
        self._next = Query(newest.where(tuple_(moment, identity) < before))
        self._moment, self._identity = moment.key, identity.key
        self._read_id = uuid.UUID if identity.type.python_type is uuid.UUID else number

    def page(self, before: str | None, **values: Any) -> Page:
        """The page that begins after the key `before`, or the first; ValueError for no key.

        `values` are those of the statement's parameters.
        """
        if before is None:
            rows = self._newest.read(**values)
        else:
            moment, identity = read_key(before, self._read_id)
            rows = self._next.read(before_moment=moment, before_id=identity, **values)
        if len(rows) <= PAGE:
            return Page(rows, None)
        last = rows[PAGE - 1]
        return Page(
            rows[:PAGE], make_key(getattr(last, self._moment), getattr(last, self._identity))
        )


def make_key(moment: datetime, identity: int | uuid.UUID) -> str:
    """A place in a list, for a URL: microseconds since 1970, and the id."""
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    return f"{micros}-{identity.hex if isinstance(identity, uuid.UUID) else identity}"


def read_key(key: str, read_id: Callable[[str], Any] = number) -> tuple[datetime, Any]:
    """The moment and the id of a key; ValueError where it is none."""
    micros, _, identity = key.partition("-")
    if not _is_digits(micros) or len(micros) > _MOST_DIGITS:
        raise ValueError("not a key of a page")
    return _EPOCH + timedelta(microseconds=int(micros)), read_id(identity)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
