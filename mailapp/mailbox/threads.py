"""Conversations of an account: which messages belong together, by what they refer to (RFC 5256).

A message belongs to the thread that any of its own Message-ID, In-Reply-To and References is known
in; never by its subject. What it refers to is remembered whether or not the account has that
message, so that the order in which messages arrive makes no difference: one that connects two
threads makes them one.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from mailapp.accounts.models import Account
from mailapp.mail.services import header
from mailapp.mailbox.models import Entry, Thread, ThreadRef
from mailapp.queries import Query, Transaction, Values, among

# What is looked at of a long chain: its root, and the last ones.
_MOST = 30

_MESSAGE_ID = re.compile(r"<[^<>\s]+>")

_KNOWN = Query(
    select(ThreadRef.account_id, ThreadRef.thread_id)
    .where(among(ThreadRef.account_id, "account_ids"), among(ThreadRef.ref, "refs"))
    .distinct()
    .order_by(ThreadRef.account_id, ThreadRef.thread_id)
)
_BEGIN = Query(
    insert(Thread)
    .from_select([Thread.account_id], select(Account.id).where(among(Account.id, "account_ids")))
    .returning(Thread.id, Thread.account_id)
)


def _remembering(dialect: str) -> Any:
    """For each of those threads, that each of those refs belongs to it, unless it is known to."""
    refs = bindparam("refs", type_=Values(Text()))
    into: Any
    if dialect == "postgresql":
        each = func.unnest(refs).table_valued("value").render_derived()
        into = postgresql.insert(ThreadRef)
    else:
        each = func.json_each(refs).table_valued("value")
        into = sqlite.insert(ThreadRef)
    return into.from_select(
        [ThreadRef.account_id, ThreadRef.ref, ThreadRef.thread_id],
        select(Thread.account_id, each.c.value, Thread.id)
        .join(each, true())
        .where(among(Thread.id, "thread_ids")),
    ).on_conflict_do_nothing()


_REMEMBER = Query(_remembering("postgresql"), sqlite=_remembering("sqlite"))

_MOVE_ENTRIES = Query(
    update(Entry)
    .where(among(Entry.thread_id, "merged"))
    .values(thread_id=bindparam("into"), modseq=bindparam("counter"))
)
_MOVE_REFS = Query(
    update(ThreadRef)
    .where(among(ThreadRef.thread_id, "merged"))
    .values(thread_id=bindparam("into"))
)
_END = Query(delete(Thread).where(among(Thread.id, "merged")))


def ref(message_id: str) -> str:
    """What stands for a Message-ID: of one length, however long that is."""
    return hashlib.sha256(message_id.encode(errors="surrogatepass")).hexdigest()[:32]


def refs_of(message_id: str, headers: Sequence[Sequence[str]]) -> list[str]:
    """What a message with these headers belongs to; the first is the message itself."""
    named = _MESSAGE_ID.findall(header(headers, "References"))
    named += _MESSAGE_ID.findall(header(headers, "In-Reply-To"))
    if len(named) > _MOST:
        named = [named[0], *named[1 - _MOST :]]
    return list(dict.fromkeys(ref(name) for name in (message_id, *named)))


def join(inside: Transaction, modseqs: Mapping[int, int], refs: Sequence[str]) -> dict[int, int]:
    """Find or begin each account's thread of a message with these `refs`: {account: thread}.

    `modseqs` is what `change` gave for the accounts that get the message. Afterwards each of `refs`
    leads to that thread.
    """
    found: dict[int, list[int]] = defaultdict(list)
    for row in _KNOWN.rows(inside, account_ids=list(modseqs), refs=list(refs)):
        found[row.account_id].append(row.thread_id)
    threads = {account: known[0] for account, known in found.items()}
    for account, known in found.items():
        if len(known) > 1:
            _merge(inside, known[0], known[1:], modseqs[account])
    if new := [account for account in modseqs if account not in threads]:
        threads |= {row.account_id: row.id for row in _BEGIN.rows(inside, account_ids=new)}
    _REMEMBER.run(inside, thread_ids=list(threads.values()), refs=list(refs))
    return threads


def _merge(inside: Transaction, into: int, merged: list[int], modseq: int) -> None:
    _MOVE_ENTRIES.run(inside, into=into, merged=merged, counter=modseq)
    _MOVE_REFS.run(inside, into=into, merged=merged)
    _END.run(inside, merged=merged)
