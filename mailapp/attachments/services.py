"""The rules of stored content: one row and one object for equal content, the object always first.

Law: an object is written before the row that names it, and a row deleted before its object. A crash
in between leaves an object that nothing names, which the collector finds; never the reverse.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite

from mailapp.attachments.models import Blob
from mailapp.attachments.store import Stored, StoreUnavailable, store
from mailapp.database import now
from mailapp.queries import Query, Transaction, given

logger = logging.getLogger(__name__)


def _registering(insert: Any) -> Any:
    """One statement, so that of two uploads of one content at once the later finds the earlier's
    row. It writes to a row that exists, because only then it locks it and returns it."""
    return (
        insert.values(
            given("sha256", "size", "key")
            | {"created_at": bindparam("now"), "last_used_at": bindparam("now")}
        )
        .on_conflict_do_update(
            index_elements=[Blob.sha256],
            set_={"last_used_at": bindparam("now", type_=Blob.last_used_at.type)},
        )
        .returning(Blob.id, Blob.key)
    )


_REGISTER = Query(_registering(postgresql.insert(Blob)), sqlite=_registering(sqlite.insert(Blob)))


@dataclass(frozen=True)
class Registered:
    """The row of a content, and whether the object just written is one too many."""

    blob_id: int
    surplus: bool


def register(inside: Transaction, stored: Stored) -> Registered:
    """Name a stored object in the table, or find the row that names equal content already.

    Inside a transaction, best the one that makes the reference too: the row then can't be
    collected in between. Where `surplus` is true, `discard` the object once that is committed.
    """
    found = _REGISTER.rows(
        inside, sha256=stored.sha256, size=stored.size, key=stored.key, now=now()
    )[0]
    return Registered(blob_id=found.id, surplus=found.key != stored.key)


def discard(stored: Stored) -> None:
    """Delete an object that no row names. If that fails the collector does it later."""
    try:
        store().delete(stored.key)
    except StoreUnavailable:
        logger.warning("attachments: object %s is left to the collector", stored.key)
