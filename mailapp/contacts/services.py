"""Who is meant by a few letters: bounded in what it reads, however many people there are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, delete, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from mailapp.accounts.models import Account
from mailapp.contacts.models import AddressWord, Contact
from mailapp.mail import addresses
from mailapp.mail.addresses import Address
from mailapp.queries import Query, Transaction, Values, among

# The owner of the directory's words.
DIRECTORY = 0

# How many are suggested, and how many of those with the prefix are looked at for them.
MOST = 8
_LOOKED_AT = 100

_LONGEST = 100
_MOST_WORDS = 8

# Words of these scripts are not parted by spaces: a given name begins inside one.
_UNPARTED = re.compile(r"[\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2,6}")

_END = "\U0010ffff"


def _each(dialect: str, *names: str) -> Any:
    """The values of lists of the same length, given under these names, as the rows of a table."""
    lists = [bindparam(name, type_=Values(Text())) for name in names]
    if dialect == "postgresql":
        return func.unnest(*lists).table_valued(*names).render_derived()
    tables = [
        func.json_each(values).table_valued("key", "value", name=f"each_{name}")
        for name, values in zip(names, lists, strict=True)
    ]
    first = tables[0]
    joined = select(*(table.c.value.label(name) for name, table in zip(names, tables, strict=True)))
    for table in tables[1:]:
        joined = joined.where(table.c.key == first.c.key)
    return joined.subquery()


def _noting(dialect: str) -> Any:
    each = _each(dialect, "addresses", "names")
    into: Any = (postgresql if dialect == "postgresql" else sqlite).insert(Contact)
    into = into.from_select(
        ["account_id", "address", "name", "used_at", "uses"],
        select(
            bindparam("account_id", type_=Contact.account_id.type),
            each.c.addresses,
            each.c.names,
            bindparam("moment", type_=Contact.used_at.type),
            literal(1),
        ).where(literal(value=True)),  # SQLite would read ON CONFLICT as a join's
    )
    fresh = into.excluded
    return into.on_conflict_do_update(
        index_elements=[Contact.account_id, Contact.address],
        set_={
            "name": func.coalesce(func.nullif(fresh.name, ""), Contact.name),
            "used_at": fresh.used_at,
            "uses": Contact.uses + 1,
        },
    ).returning(Contact.address, Contact.name, Contact.uses)


def _finding(dialect: str) -> Any:
    each = _each(dialect, "words", "addresses")
    into: Any = (postgresql if dialect == "postgresql" else sqlite).insert(AddressWord)
    return into.from_select(
        ["owner_id", "word", "address"],
        select(
            bindparam("owner_id", type_=AddressWord.owner_id.type),
            each.c.words,
            each.c.addresses,
        ).where(literal(value=True)),
    ).on_conflict_do_nothing()


_NOTE = Query(_noting("postgresql"), sqlite=_noting("sqlite"))
_FIND_BY = Query(_finding("postgresql"), sqlite=_finding("sqlite"))
_FORGET = Query(
    delete(AddressWord).where(
        AddressWord.owner_id == bindparam("owner_id"), AddressWord.address == bindparam("address")
    )
)
_with_prefix = (
    select(AddressWord.address)
    .where(
        AddressWord.owner_id == bindparam("owner_id"),
        AddressWord.word >= bindparam("first"),
        AddressWord.word < bindparam("end"),
    )
    .order_by(AddressWord.word, AddressWord.address)
    .limit(_LOOKED_AT)
    .subquery()
)
_MINE = Query(
    select(Contact.address, Contact.name, Contact.uses, Contact.used_at)
    .join(_with_prefix, _with_prefix.c.address == Contact.address)
    .where(Contact.account_id == bindparam("account_id"))
)
_EVERYBODY = Query(
    select(Account.address, Account.name)
    .join(_with_prefix, _with_prefix.c.address == Account.address)
    .where(Account.disabled_at.is_(None))
)
_NAMES = Query(select(Account.address, Account.name).where(among(Account.address, "addresses")))


def fold(text: str) -> str:
    """`text` as it is compared: without case, and in one spelling for what looks alike."""
    shown = text.replace("\x00", "\ufffd")  # which PostgreSQL can't be asked for
    return unicodedata.normalize("NFKC", " ".join(shown.split())).casefold()


def words(address: str, name: str) -> list[str]:
    """What an address is found by, each the beginning of something that people type."""
    found = [fold(address)]
    parts = fold(name).split(" ")[:_MOST_WORDS]
    for number, part in enumerate(parts):
        found.append(" ".join(parts[number:]))
        if _UNPARTED.fullmatch(part):
            found += [part[begin:] for begin in range(1, len(part))]
    return list(dict.fromkeys(word[:_LONGEST] for word in found if word))


def note(inside: Transaction, account_id: int, people: Sequence[Address], moment: datetime) -> None:
    """Somebody has written to `people`, each of them once."""
    if not people:
        return
    noted = _NOTE.rows(
        inside,
        account_id=account_id,
        addresses=[one.canonical for one in people],
        names=[one.name for one in people],
        moment=moment,
    )
    # A name may come later than the address.
    named = {one.canonical for one in people if one.name}
    new = [(row.address, row.name) for row in noted if row.uses == 1 or row.address in named]
    _find_by(inside, account_id, new)


def enlist(inside: Transaction, people: Iterable[tuple[str, str]]) -> None:
    """Have accounts, as (address, name), found in the directory, also under a new name."""
    people = list(people)
    for address, _name in people:
        _FORGET.run(inside, owner_id=DIRECTORY, address=address)
    _find_by(inside, DIRECTORY, people)


def suggest(account_id: int, typed: str) -> list[Address]:
    """Whom somebody may mean who has `typed` the beginning of a name or address: at most MOST.

    First those they write to, the most written to before the others; then who else is here.
    """
    first = fold(typed)[:_LONGEST]
    if not first:
        return []
    prefix = {"first": first, "end": first + _END}
    mine = _MINE.read(account_id=account_id, owner_id=account_id, **prefix)
    mine.sort(key=lambda row: (-row.uses, -row.used_at.timestamp(), row.address))
    everybody = _EVERYBODY.read(owner_id=DIRECTORY, **prefix)
    everybody.sort(key=lambda row: (fold(row.name), row.address))
    found: dict[str, str] = {}
    for row in (*mine, *everybody):
        found[row.address] = found.get(row.address) or row.name
    chosen = dict(list(found.items())[:MOST])
    unnamed = [address for address, name in chosen.items() if not name]
    if unnamed:
        chosen |= {row.address: row.name for row in _NAMES.read(addresses=unnamed)}
    return [_named(address, name) for address, name in chosen.items()]


def _find_by(inside: Transaction, owner_id: int, people: Iterable[tuple[str, str]]) -> None:
    pairs = [(word, address) for address, name in people for word in words(address, name)]
    if pairs:
        _FIND_BY.run(
            inside,
            owner_id=owner_id,
            words=[word for word, _address in pairs],
            addresses=[address for _word, address in pairs],
        )


def _named(address: str, name: str) -> Address:
    one = addresses.parse(address)
    return Address(name, one.local, one.domain)
