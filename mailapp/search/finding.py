"""What matches, newest first, a page at a time: on PostgreSQL and on SQLite the same.

Two ways lead to a page. Most of what people look for they have seen lately: the newest thousand of
their messages are looked at one after the other, and often make the page. Where they don't, the
full-text index is asked; the account's own word is in every question, so that what is rare for one
is found as quickly however often others say it. What no index knows, such as what does *not* hold a
word, is looked for one after the other again, in many more messages but not in all: the answer then
says how far it got, and going on is the next page. So it is with a question for which the index
takes longer than the database may (DATABASE_TIMEOUT), such as a phrase of words that all are said
in most messages.

On SQLite, which one household uses, one statement looks through all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    bindparam,
    cast,
    func,
    select,
    tuple_,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.exc import OperationalError

from mailapp.database import engine, read
from mailapp.mail.models import Message
from mailapp.mailbox.models import Entry
from mailapp.mailbox.paging import make_key, read_key
from mailapp.postgresql import driver_of
from mailapp.queries import Query, Transaction, among, transaction
from mailapp.search import questions
from mailapp.search.language import Wanted
from mailapp.search.models import SearchEntry

# Messages that are looked at one after the other: before an index is asked; where none can be; and
# where it took too long.
NEWEST = 1_000
MANY = 20_000
SOME = 5_000

# Characters of a text in which the place is looked for that is shown.
_SHOWN_TEXT = 20_000

# What is found by the words is a list of keys, from which the rest is looked up one by one, only
# until the page is full. The planner, which can't know how far it comes, would rather read whole
# tables; and one plan for all words would be a bad one for most.
_PLAN = (
    b"SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
    b"SET LOCAL enable_mergejoin = off; SET LOCAL work_mem = '32MB';"
    b"SET LOCAL plan_cache_mode = force_custom_plan"
)


class Found(NamedTuple):
    """A page of what matches; `next_key` is where to go on, None at the end.

    Where `looked_back_to` is set, the page is not full, and nothing before that has been looked at.
    """

    rows: Sequence[Any]
    next_key: str | None
    looked_back_to: datetime | None = None


class _Shape(NamedTuple):
    """What tells statements apart; all else is values.

    There are so many and no more: each is kept, as every connection keeps what it has prepared.
    """

    whole: bool  # everything that a page shows, or only the keys
    asked: frozenset[str]  # the names of the values there are, and "words"
    newest: str  # of which messages the newest are read: "unread", "starred", "folder" or "all"


def find(
    account_id: int, wanted: Wanted, key: str | None, most: int, *, whole: bool = True
) -> Found:
    """At most `most` of the account's messages that match, after `key`; ValueError for no key.

    With `whole` all that a page shows of them, else their ids and times.
    """
    if any(len(both) > 1 for both in (wanted.files, wanted.seen, wanted.starred, wanted.lies_in)):
        return Found((), None)
    values = _values(account_id, wanted, key) | {"most": most + 1}
    shape = _shape(wanted, values, whole=whole)
    if engine().dialect.name == "sqlite":
        with read() as connection:
            return _page(_all(shape).rows(connection, **values), most)
    try:
        with _asking() as inside:
            if most < NEWEST:  # else they could not make a page
                rows = _newest(shape).rows(inside, look_at=NEWEST, **values)
                if len(rows) > most:
                    return _page(rows, most)
            if questions.has_any(wanted):
                return _page(_indexed(shape).rows(inside, **values), most)
            return _looked_through(inside, shape, values, most, MANY)
    except OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise
    with _asking() as inside:
        return _looked_through(inside, shape, values, most, SOME)


def _looked_through(
    inside: Transaction, shape: _Shape, values: dict[str, Any], most: int, look_at: int
) -> Found:
    rows = _newest(shape).rows(inside, look_at=look_at, **values)
    page = _page(rows, most)
    if page.next_key is None:
        last = _last_of_newest(shape).rows(inside, skip=look_at - 1, **values)
        if last:
            return Found(rows, make_key(last[0].sort_at, last[0].id), last[0].sort_at)
    return page


def _page(rows: Sequence[Any], most: int) -> Found:
    if len(rows) <= most:
        return Found(rows, None)
    return Found(rows[:most], make_key(rows[most - 1].sort_at, rows[most - 1].id))


@contextmanager
def _asking() -> Iterator[Transaction]:
    with transaction() as inside:
        driver_of(inside).command(_PLAN)
        yield inside


def _values(account_id: int, wanted: Wanted, key: str | None) -> dict[str, Any]:
    """The values of the parameters that this question has."""
    render = questions.fts5 if engine().dialect.name == "sqlite" else questions.tsquery
    values: dict[str, Any] = {"account_id": account_id, "query": render(account_id, wanted)}
    if key:
        values["key_moment"], values["key_id"] = read_key(key)
    for name in ("after", "before", "least", "most_bytes"):
        value = wanted.most if name == "most_bytes" else getattr(wanted, name)
        if value is not None:
            values[name] = value
    for name in ("seen", "starred", "lies_in"):
        if given := getattr(wanted, name):
            (values[name],) = given
    if wanted.lies_not_in:
        values["lies_not_in"] = sorted(wanted.lies_not_in)
    return values


def _shape(wanted: Wanted, values: dict[str, Any], *, whole: bool) -> _Shape:
    newest = "all"
    if wanted.starred == {True}:
        newest = "starred"
    elif wanted.seen == {False}:
        newest = "unread"
    elif wanted.lies_in:
        newest = "folder"
    asked = set(values) | ({"words"} if questions.has_words(wanted) else set())
    return _Shape(whole, frozenset(asked), newest)


_WHOLE = (
    Entry.mailbox_id,
    Entry.thread_id,
    Entry.seen,
    Entry.starred,
    Message.subject,
    Message.from_name,
    Message.from_address,
    Message.to_preview,
    Message.preview,
    Message.attachment_count,
    Message.attachments,
    func.substr(Message.text_body, 1, _SHOWN_TEXT).label("text"),
)
_QUERY = bindparam("query", type_=Text())


@cache
def _newest(shape: _Shape) -> Query:
    """Of the account's newest messages those that match."""
    keys = _keys(shape)
    if shape.newest == "all":  # which are read from this table: so its words need no second look
        keys = keys.add_columns(SearchEntry.words)
    newest = keys.limit(bindparam("look_at")).cte("newest").prefix_with("MATERIALIZED")
    words = newest.c.words if shape.newest == "all" else SearchEntry.words.expression
    return Query(_chosen(shape, newest, words.op("@@")(cast(_QUERY, TSQUERY))))


@cache
def _last_of_newest(shape: _Shape) -> Query:
    """The last of those that were looked at, where there are as many."""
    return Query(_keys(shape).offset(bindparam("skip")).limit(1))


@cache
def _indexed(shape: _Shape) -> Query:
    """Of what PostgreSQL's index has the newest that match the rest as well.

    Put in order before anything else is looked up, so that no more is than the page needs.
    """
    found = (
        select(SearchEntry.entry_id.label("id"), SearchEntry.sort_at)
        .where(SearchEntry.words.op("@@")(cast(_QUERY, TSQUERY)))
        .order_by(SearchEntry.sort_at.desc(), SearchEntry.entry_id.desc())
        .cte("found")
        .prefix_with("MATERIALIZED")
    )
    return Query(_chosen(shape, found, None))


@cache
def _all(shape: _Shape) -> Query:
    """On SQLite, all that match."""
    matches = SearchEntry.entry_id.in_(
        sql("SELECT rowid FROM search_words WHERE search_words MATCH :query")
        .bindparams(_QUERY)
        .columns(rowid=SearchEntry.entry_id.type)
    )
    keys = select(SearchEntry.entry_id.label("id"), SearchEntry.sort_at).where(
        SearchEntry.account_id == bindparam("account_id")
    )
    return Query(_chosen(shape, keys.subquery(), matches))


def _keys(shape: _Shape) -> Select[*tuple[Any, ...]]:
    """The keys of the account's messages, newest first, in one walk along an index."""
    moment, identity = Entry.sort_at, Entry.id
    whose: list[ColumnElement[bool]] = [Entry.account_id == bindparam("account_id")]
    if shape.newest == "all":
        moment, identity = SearchEntry.sort_at, SearchEntry.entry_id
        whose = [SearchEntry.account_id == bindparam("account_id")]
    elif shape.newest == "folder":
        whose = [Entry.mailbox_id == bindparam("lies_in")]
    elif shape.newest == "starred":
        whose.append(Entry.starred.expression)
    else:
        whose.append(~Entry.seen)
    keys = select(identity.label("id"), moment)
    keys = keys.where(*whose, *_in_time(shape, moment, identity))
    return keys.order_by(moment.desc(), identity.desc())


def _chosen(shape: _Shape, keys: Any, matches: ColumnElement[bool] | None) -> Select[Any]:
    """Those of the keys whose messages have all that is wanted."""
    chosen = (
        select(keys.c.id, keys.c.sort_at, *(_WHOLE if shape.whole else ()))
        .join_from(keys, Entry, Entry.id == keys.c.id)
        .where(
            Entry.account_id == bindparam("account_id"),
            *_in_time(shape, keys.c.sort_at, keys.c.id),
        )
        .order_by(keys.c.sort_at.desc(), keys.c.id.desc())
        .limit(bindparam("most"))
    )
    if shape.whole:
        chosen = chosen.join(Message, Message.id == Entry.message_id)
    if matches is not None and "words" in shape.asked:
        if "words" not in keys.c:
            chosen = chosen.join(SearchEntry, SearchEntry.entry_id == keys.c.id)
        chosen = chosen.where(matches)
    conditions: list[tuple[str, ColumnElement[bool]]] = [
        ("seen", Entry.seen == bindparam("seen")),
        ("starred", Entry.starred == bindparam("starred")),
        ("lies_in", Entry.mailbox_id == bindparam("lies_in")),
        ("lies_not_in", ~among(Entry.mailbox_id, "lies_not_in")),
        ("least", Entry.size >= bindparam("least")),
        ("most_bytes", Entry.size <= bindparam("most_bytes")),
    ]
    return chosen.where(*(condition for name, condition in conditions if name in shape.asked))


def _in_time(shape: _Shape, moment: Any, identity: Any) -> list[ColumnElement[bool]]:
    conditions = []
    if "after" in shape.asked:
        conditions.append(moment >= bindparam("after", type_=SearchEntry.sort_at.type))
    if "before" in shape.asked:
        conditions.append(moment < bindparam("before", type_=SearchEntry.sort_at.type))
    if "key_id" in shape.asked:
        conditions.append(
            tuple_(moment, identity)
            < tuple_(
                bindparam("key_moment", type_=SearchEntry.sort_at.type),
                bindparam("key_id", type_=SearchEntry.entry_id.type),
            )
        )
    return conditions
