"""What a message is found by, and writing it down as it is filed.

The index's words come from words.py. A word stands once as it is, wherever it was said, and once
more behind the field it was said in, as in `s:budget`. Beside them stand whole addresses, as in
`f:bob@mail.example`, and what can be asked for without any word: `#file`, `#z21` for a size of 21
binary digits, `@7` for the account whose copy it is. None of these can be a word, which has only
letters and digits.

Of the words of subjects, people and file names their ends are there too, as in `~dget`, by which
one is found inside of another, as `port` in `airport`. Not so of the text: with the ends of its
words an index of a hundred thousand messages took more than seven minutes to build, without them
one. There a word is found by how it begins.

Places in the text tell which words follow one another. There are limits, PostgreSQL's, kept here
for both databases: what is beyond the 16,000th word of a message, or the 250th time that a word is
said in it, is not found, nor what is beyond some hundred thousand characters of different words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Text,
    bindparam,
    case,
    cast,
    delete,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from mailapp.mail import addresses
from mailapp.mail.addresses import AddressError
from mailapp.mail.models import Message
from mailapp.mail.services import header
from mailapp.mailbox.models import Entry
from mailapp.queries import Query, Transaction, among, transaction
from mailapp.search.models import SearchEntry, SearchMissing
from mailapp.search.words import INSIDE, address_word, words

# A tsvector counts places up to 16,383, keeps 255 for a word and has less than 1 MiB in all.
MOST_WORDS = 16_000
MOST_TIMES = 250
MOST_BYTES = 900_000

# Longer words are numbers and keys, which nobody looks for by what is inside them.
LONGEST_WITH_ENDS = 24

SIGNS = {"subject": "s:", "from": "f:", "to": "t:", "filename": "n:"}
FILE = "#file"

_READ = Query(
    select(
        Message.id,
        Message.headers,
        Message.subject,
        Message.text_body,
        Message.attachments,
        Message.attachment_count,
        Message.size,
        select(Entry.bcc)
        .where(Entry.message_id == Message.id, Entry.bcc.is_not(None))
        .limit(1)
        .scalar_subquery()
        .label("bcc"),
    ).where(among(Message.id, "message_ids"))
)


def _write(
    into: postgresql.Insert | sqlite.Insert,
    separator: str,
    words: Callable[[ColumnElement[str]], ColumnElement[str]],
) -> Insert:
    """One statement for all copies of a message; each has its account's word beside the others.

    Somebody else may be writing the same.
    """
    mine = case(
        (Entry.bcc.is_(None), bindparam("words", type_=Text())),
        else_=bindparam("with_bcc", type_=Text()),
    )
    text = mine + literal(f" {separator}@") + cast(Entry.account_id, Text) + literal(separator)
    copies = select(Entry.id, Entry.account_id, Entry.sort_at, words(text)).where(
        Entry.message_id == bindparam("message_id"),
        ~select(SearchEntry.entry_id).where(SearchEntry.entry_id == Entry.id).exists(),
    )
    return into.from_select(
        (SearchEntry.entry_id, SearchEntry.account_id, SearchEntry.sort_at, SearchEntry.words),
        copies.order_by(Entry.id),
    ).on_conflict_do_nothing()


_WRITE = Query(
    _write(postgresql.insert(SearchEntry), "'", lambda text: cast(text, postgresql.TSVECTOR)),
    sqlite=_write(sqlite.insert(SearchEntry), "", lambda text: text),
)


def index(inside: Transaction, message_ids: Iterable[int]) -> None:
    """Let every copy of these messages be found that is not found yet."""
    for message in _READ.rows(inside, message_ids=list(message_ids)):
        found_by = _words(message, ())
        with_bcc = _words(message, message.bcc) if message.bcc else found_by
        form = Words.as_line if _is_sqlite(inside) else Words.as_tsvector
        _WRITE.run(inside, message_id=message.id, words=form(found_by), with_bcc=form(with_bcc))


# Indexed in one transaction.
_BATCH = 200

_MISSING = Query(
    select(SearchMissing.entry_id, Entry.message_id)
    .join(Entry, Entry.id == SearchMissing.entry_id)
    .order_by(SearchMissing.entry_id)
    .limit(_BATCH)
    .with_for_update(of=SearchMissing, skip_locked=True)
)
_NOT_MISSING = Query(delete(SearchMissing).where(among(SearchMissing.entry_id, "ids")))


def index_missing(inside: Transaction) -> int:
    """Index some of what was filed by a version that knew of no search; how many it were."""
    missing = _MISSING.rows(inside)
    if missing:
        # In one order for all who do so at once, who may wait for each other's copies of a message.
        index(inside, sorted({row.message_id for row in missing}))
        _NOT_MISSING.run(inside, ids=[row.entry_id for row in missing])
    return len(missing)


def index_all_missing() -> int:
    """Index all of it, some at a time; how many it were."""
    indexed = 0
    while True:
        with transaction() as inside:
            some = index_missing(inside)
        if not some:
            return indexed
        indexed += some


def _is_sqlite(inside: Transaction) -> bool:
    return isinstance(inside, Connection) and inside.dialect.name == "sqlite"


def _words(message: Any, bcc: Sequence[str]) -> Words:
    """What a copy is found by: the short fields first, and the text as far as there is room."""
    found_by = Words()
    if message.attachment_count:
        found_by.mark(FILE)
    found_by.mark(size_sign(message.size))
    sender = _people(header(message.headers, "From"))
    receivers = [
        person
        for text in (header(message.headers, "To"), header(message.headers, "Cc"), ", ".join(bcc))
        for person in _people(text)
    ]
    for field, people in (("from", sender), ("to", receivers)):
        for _, address in people:
            if address:
                found_by.mark(SIGNS[field] + address_word(address))
    fields = {
        "subject": [message.subject],
        "from": [text for person in sender for text in person],
        "to": [text for person in receivers for text in person],
        "filename": [attached["filename"] for attached in message.attachments],
    }
    for sign in (True, False):
        for field, texts in fields.items():
            for text in texts:
                found_by.add(text, SIGNS[field] if sign else "", with_ends=True)
    found_by.add(message.text_body)
    return found_by


def _people(text: str) -> list[tuple[str, str]]:
    """(name, address) of each of a header's; (all of it, "") where it can't be read."""
    if not text or text.endswith(":;"):
        return []
    try:
        return [(person.name, person.canonical) for person in addresses.parse_list(text)]
    except AddressError:
        return [(text, "")]


def size_sign(size: int) -> str:
    """The word that stands for sizes of as many binary digits."""
    return f"#z{size.bit_length()}"


def account_sign(account_id: int) -> str:
    """The word that every copy of an account has."""
    return f"@{account_id}"


class Words:
    """Everything a message is found by, in the form that either database takes."""

    def __init__(self) -> None:
        # The words in their order, an empty one where none follow the last; then those without one.
        self._line: list[str] = []
        self._loose: dict[str, None] = {}
        self._times: dict[str, int] = {}
        self._bytes = 0

    def add(self, text: str, sign: str = "", *, with_ends: bool = False) -> None:
        """The words of a text, behind the sign of its field; what comes next does not follow."""
        for word in words(text):
            if len(self._line) >= MOST_WORDS:
                return
            self._line.append(sign + word if self._has_room(sign + word) else "")
            if with_ends and INSIDE < len(word) <= LONGEST_WITH_ENDS:
                for begin in range(1, len(word) - INSIDE + 1):
                    self.mark(f"{sign}~{word[begin:]}")
        self._line.append("")

    def mark(self, word: str) -> None:
        """A word without a place."""
        if word not in self._loose and self._has_room(word):
            self._loose[word] = None

    def as_tsvector(self) -> str:
        """For PostgreSQL: each word with its places, counted from 1."""
        places: dict[str, list[str]] = {}
        for place, word in enumerate(self._line, 1):
            if word:
                places.setdefault(word, []).append(str(place))
        return " ".join(
            [
                *(f"'{word}':{','.join(numbers)}" for word, numbers in places.items()),
                *(f"'{word}'" for word in self._loose),
            ]
        )

    def as_line(self) -> str:
        """For SQLite's FTS5, which counts places itself; a dot is a word that nobody looks for."""
        return " ".join([word or "." for word in self._line] + [".", *self._loose])

    def _has_room(self, word: str) -> bool:
        times = self._times.get(word, 0)
        size = 2 if times else len(word.encode()) + 6
        if times >= MOST_TIMES or self._bytes + size > MOST_BYTES:
            return False
        self._times[word] = times + 1
        self._bytes += size
        return True
