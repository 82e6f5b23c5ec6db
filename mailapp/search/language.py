"""The query language: what a person typed, read as what they want, or what could not be read.

    budget -draft "annual report" from:kim in:archive after:2025-11 larger:2M has:attachment

Everything must match; `-` before anything means that it must not. Nothing here knows a database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Self

from mailapp.i18n import gettext as _
from mailapp.mail import addresses
from mailapp.mail.addresses import AddressError
from mailapp.search.words import INSIDE, LONGEST, address_word, fold, runs

# Beyond this it is no question of a person's, and would take the database long to answer.
MOST_CHARACTERS = 500
MOST_PARTS = 30

_PART = re.compile(
    r"""\s*(?P<minus>-?)
    (?:(?P<name>[A-Za-z_]{2,})[:\uff1a](?!//))?
    (?:"(?P<quoted>[^"]*)(?P<closed>"?)|(?P<bare>[^\s"]\S*)?)""",
    re.VERBOSE,
)
_QUOTES = str.maketrans("\u201c\u201d\u201e\uff02", '""""')
_DATE = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?")
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([kmg]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


_SETS = ("files", "seen", "starred", "lies_in", "lies_not_in")
_MOMENTS = ("after", "before")


class Unreadable(Exception):
    """A query with parts that can't be read; `problems` says of each what it is, to a person."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Text:
    """Words one after the other, somewhere in a message or in one of its fields.

    `words` are the index's; the last is but the beginning of one where it is `open`. What may be
    `inside` of another word is found there, too, where the index can. `typed` is for marking it.
    """

    words: tuple[str, ...]
    field: str = ""
    open: bool = False
    inside: bool = False
    negated: bool = False
    typed: str = ""


@dataclass
class Wanted:
    """What to look for. All of it must hold; both True and False in a set can't, so nothing does.

    Sizes are in bytes, moments in UTC: from `after` on, before `before`, from `least` to `most`.
    """

    texts: list[Text] = field(default_factory=list)
    files: set[bool] = field(default_factory=set)
    seen: set[bool] = field(default_factory=set)
    starred: set[bool] = field(default_factory=set)
    after: datetime | None = None
    before: datetime | None = None
    least: int | None = None
    most: int | None = None
    # Ids of mailboxes: the one it must lie in (several, if contradictory), those it must not.
    lies_in: set[int] = field(default_factory=set)
    lies_not_in: set[int] = field(default_factory=set)
    # Whether folders that are left out otherwise, Spam and Trash, are looked into as well.
    anywhere: bool = False

    def as_json(self) -> dict[str, Any]:
        """For keeping it."""
        kept = asdict(self)
        for name, value in kept.items():
            if isinstance(value, set):
                kept[name] = sorted(value)
            elif isinstance(value, datetime):
                kept[name] = value.isoformat()
        return kept

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """What `as_json` gave."""
        return cls(
            **{
                **kept,
                "texts": [
                    Text(**{**text, "words": tuple(text["words"])}) for text in kept["texts"]
                ],
                **{name: set(kept[name]) for name in _SETS},
                **{name: kept[name] and datetime.fromisoformat(kept[name]) for name in _MOMENTS},
            }
        )


@dataclass(frozen=True)
class Reader:
    """Reads the queries of somebody in their time zone.

    `folders` are their ids by folded names, `unsearched` what the folder of drafts is called.
    """

    folders: Mapping[str, int]
    zone: tzinfo = UTC
    unsearched: frozenset[str] = frozenset()

    def read(self, query: str) -> Wanted:
        """What `query` asks for; raises Unreadable with everything that is wrong."""
        if len(query) > MOST_CHARACTERS:
            raise Unreadable(
                [_("A search may have %(most)s characters; this has more.", most=MOST_CHARACTERS)]
            )
        text = query.translate(_QUOTES).replace("\0", " ").strip()
        wanted, problems = Wanted(), list[str]()
        place = parts = 0
        while place < len(text):
            part = _PART.match(text, place)
            if part is None or part.end() == place:
                break
            place = part.end()
            parts += 1
            try:
                self._take(part, wanted)
            except _Problem as problem:
                problems.append(str(problem))
        if parts > MOST_PARTS:
            problems = [_("A search may have %(most)s parts; this has more.", most=MOST_PARTS)]
        if problems:
            raise Unreadable(problems)
        return wanted

    def _take(self, part: re.Match[str], wanted: Wanted) -> None:
        negated = part["minus"] == "-"
        name = (part["name"] or "").lower()
        quoted, value = part["quoted"] is not None, part["quoted"] or part["bare"] or ""
        if quoted and not part["closed"]:
            raise _Problem(
                _("The quotation mark before “%(text)s” is never closed.", text=value.strip())
            )
        if name and name not in _OPERATORS:
            if value:
                raise _Problem(
                    _(
                        "There is no operator “%(name)s:”. To find it as text, "
                        "put quotation marks around it.",
                        name=part["name"],
                    )
                )
            name, value = "", part["name"]  # such as the “Re:” of a subject
        if name and not value.strip():
            raise _Problem(_MISSING[name]())
        if not name and not value:
            raise _Problem(
                _("There is nothing between the quotation marks.")
                if quoted
                else _("Nothing follows the minus sign.")
            )
        if name:
            _OPERATORS[name](self, wanted, value.strip(), negated, quoted)
        else:
            _add_text(wanted, "", value, negated, quoted)

    def _folder(self, wanted: Wanted, value: str, negated: bool, _quoted: bool) -> None:
        name = fold(value)
        if name == "anywhere" and not negated:
            wanted.anywhere = True
            return
        if name in self.unsearched:
            raise _Problem(_("Drafts are not searched: they are all in their folder."))
        if name not in self.folders:
            raise _Problem(_("There is no folder “%(name)s”.", name=value))
        (wanted.lies_not_in if negated else wanted.lies_in).add(self.folders[name])

    def _after(self, wanted: Wanted, value: str, negated: bool, _quoted: bool) -> None:
        self._bound(wanted, "after", value, negated)

    def _before(self, wanted: Wanted, value: str, negated: bool, _quoted: bool) -> None:
        self._bound(wanted, "before", value, not negated)

    def _bound(self, wanted: Wanted, operator: str, value: str, is_end: bool) -> None:
        moment = self._moment(operator, value)
        if is_end:
            wanted.before = moment if wanted.before is None else min(wanted.before, moment)
        else:
            wanted.after = moment if wanted.after is None else max(wanted.after, moment)

    def _moment(self, operator: str, value: str) -> datetime:
        """The beginning of a day, a month or a year."""
        found = _DATE.fullmatch(value)
        try:
            if found is None:
                raise ValueError(value)
            year, month, day = (int(number or 1) for number in found.groups())
            return datetime(year, month, day, tzinfo=self.zone).astimezone(UTC)
        except (ValueError, OverflowError):
            raise _Problem(
                _(
                    "“%(value)s” after “%(name)s:” is no date. Write it as 2026-11-30, or as "
                    "2026-11 or 2026.",
                    value=value,
                    name=operator,
                )
            ) from None


class _Problem(Exception):
    """A sentence about a part that can't be read."""


def _add_text(wanted: Wanted, field: str, value: str, negated: bool, quoted: bool) -> None:
    if (
        field in {"from", "to"}
        and not quoted
        and (address := _address(value.strip("<>,;"))) is not None
    ):
        wanted.texts.append(Text((address,), field, open=True, negated=negated, typed=value))
        return
    words, is_open, dense = list[str](), False, False
    for run, dense in runs(fold(value)):
        if dense:
            words += [run[place : place + 2] for place in range(len(run))]
            # The last of them alone is there only where the run ends; here it may go on.
            is_open = len(run) == 1
        else:
            words.append(run[:LONGEST])
            # So many words begin with one or two letters that nobody means them all.
            is_open = not quoted and len(run) >= INSIDE
    if not words:
        raise _Problem(_("In “%(text)s” is no letter or digit to look for.", text=value))
    if dense and not is_open:
        words.pop()
    wanted.texts.append(
        Text(
            tuple(words),
            field,
            open=is_open,
            inside=is_open and not dense and len(words) == 1,
            negated=negated,
            typed=value,
        )
    )


def _address(value: str) -> str | None:
    """An address, or how one begins, as the index has it."""
    local, at, domain = value.rpartition("@")
    if not (local and at and domain) or any(character.isspace() for character in value):
        return None
    try:
        return address_word(addresses.parse(value).canonical)
    except AddressError:
        return address_word(value)


def _text_in(name: str) -> Callable[[Reader, Wanted, str, bool, bool], None]:
    def take(_reader: Reader, wanted: Wanted, value: str, negated: bool, quoted: bool) -> None:
        _add_text(wanted, name, value, negated, quoted)

    return take


def _has(_reader: Reader, wanted: Wanted, value: str, negated: bool, _quoted: bool) -> None:
    if value.lower() not in {"attachment", "attachments"}:
        raise _Problem(_("“has:” can be has:attachment, not “%(value)s”.", value=value))
    wanted.files.add(not negated)


def _is(_reader: Reader, wanted: Wanted, value: str, negated: bool, _quoted: bool) -> None:
    state = value.lower()
    if state in {"unread", "read"}:
        wanted.seen.add((state == "read") is not negated)
    elif state in {"starred", "unstarred"}:
        wanted.starred.add((state == "starred") is not negated)
    else:
        raise _Problem(
            _(
                "“is:” can be is:unread, is:read, is:starred or is:unstarred, not “%(value)s”.",
                value=value,
            )
        )


def _larger(_reader: Reader, wanted: Wanted, value: str, negated: bool, _quoted: bool) -> None:
    size = _size("larger", value)
    _at_most(wanted, size) if negated else _at_least(wanted, size + 1)


def _smaller(_reader: Reader, wanted: Wanted, value: str, negated: bool, _quoted: bool) -> None:
    size = _size("smaller", value)
    _at_least(wanted, size) if negated else _at_most(wanted, size - 1)


def _at_least(wanted: Wanted, size: int) -> None:
    wanted.least = size if wanted.least is None else max(wanted.least, size)


def _at_most(wanted: Wanted, size: int) -> None:
    wanted.most = size if wanted.most is None else min(wanted.most, size)


def _size(operator: str, value: str) -> int:
    found = _SIZE.fullmatch(value)
    if found is None:
        raise _Problem(
            _(
                "“%(value)s” after “%(name)s:” is no size. Write it as 500K, 10M or 1.5G.",
                value=value,
                name=operator,
            )
        )
    return int(float(found[1]) * _UNITS[found[2].lower()])


_OPERATORS: dict[str, Callable[[Reader, Wanted, str, bool, bool], None]] = {
    "from": _text_in("from"),
    "to": _text_in("to"),
    "subject": _text_in("subject"),
    "filename": _text_in("filename"),
    "has": _has,
    "is": _is,
    "in": Reader._folder,
    "before": Reader._before,
    "after": Reader._after,
    "larger": _larger,
    "smaller": _smaller,
}

_MISSING: dict[str, Callable[[], str]] = {
    "from": lambda: _("After “from:” a name or an address is missing."),
    "to": lambda: _("After “to:” a name or an address is missing."),
    "subject": lambda: _("After “subject:” a word is missing."),
    "filename": lambda: _("After “filename:” a file's name is missing."),
    "has": lambda: _("After “has:” there can be “attachment”; nothing is there."),
    "is": lambda: _("After “is:” there can be “unread”, “read” or “starred”; nothing is there."),
    "in": lambda: _("After “in:” a folder's name is missing."),
    "before": lambda: _("After “before:” a date is missing, such as 2026-11-30."),
    "after": lambda: _("After “after:” a date is missing, such as 2026-11-30."),
    "larger": lambda: _("After “larger:” a size is missing, such as 10M."),
    "smaller": lambda: _("After “smaller:” a size is missing, such as 10M."),
}
