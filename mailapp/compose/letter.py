"""A draft's text read as mail: who gets it, each person once, and everything that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailapp.accounts.services import find_receiving
from mailapp.compose import markup
from mailapp.compose.typed import Typed
from mailapp.i18n import gettext as _
from mailapp.i18n import ngettext
from mailapp.mail import addresses
from mailapp.mail.addresses import Address, AddressError
from mailapp.queries import Transaction
from mailapp.settings import current_settings

MAX_SUBJECT = 500
# Characters of To, Cc and Bcc in all, or as many for each person where more people are allowed.
_MAX_ADDRESSES, _MAX_ADDRESS = 64 * 1024, 320


@dataclass(frozen=True)
class Mistake:
    """Why a draft can't be sent as it is, at which field of the form."""

    field: str
    message: str


class Unsendable(Exception):
    """The draft stays as it is; `mistakes` is everything that has to be put right."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(mistake.message for mistake in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Letter:
    """The text of a draft read as mail: who gets it, each person once, and what."""

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    subject: str
    body: str
    html: str | None


def addressed(inside: Transaction, typed: Typed) -> tuple[Letter, list[int], list[Mistake]]:
    """The text as a letter, the accounts that get it, and every mistake in it."""
    mistakes: list[Mistake] = []
    fields = _recipients(typed, mistakes)
    _check_text(typed, mistakes)
    letter = Letter(
        to=fields["to"],
        cc=fields["cc"],
        bcc=fields["bcc"],
        subject=subject_of(typed),
        body=typed.body,
        # A formatted text without any format is sent as what it is.
        html=typed.html if typed.html and markup.is_formatted(typed.html) else None,
    )
    if mistakes:
        return letter, [], mistakes
    found = find_receiving(inside, [*letter.to, *letter.cc, *letter.bcc])
    return letter, sorted(set(found.values())), _unknown(fields, found)


def subject_of(typed: Typed) -> str:
    """The subject as it is sent."""
    return typed.subject.replace("\t", " ").strip()


def _recipients(typed: Typed, mistakes: list[Mistake]) -> dict[str, tuple[Address, ...]]:
    """Who gets it, each person once, at the first field that names them."""
    settings = current_settings()
    seen: set[str] = set()
    fields: dict[str, tuple[Address, ...]] = {"to": (), "cc": (), "bcc": ()}
    size = len(typed.to) + len(typed.cc) + len(typed.bcc)
    most = max(_MAX_ADDRESSES, settings.max_recipients * _MAX_ADDRESS)
    if size > most:
        text = _(
            "The addresses have %(size)s characters in all; at most %(most)s will do.",
            size=size,
            most=most,
        )
        mistakes.append(Mistake("to", text))
        return fields
    for field in fields:
        try:
            found = addresses.parse_list(getattr(typed, field))
        except AddressError as error:
            mistakes.append(_at(field, _not_addresses(error.pieces)))
            continue
        once: list[Address] = []
        for address in found:
            if address.canonical not in seen:
                seen.add(address.canonical)
                once.append(address)
        fields[field] = tuple(once)
        elsewhere = [address.spec for address in once if address.domain != settings.mail_domain]
        if elsewhere:
            mistakes.append(_at(field, _elsewhere(elsewhere)))
    if not seen and not mistakes:
        mistakes.append(Mistake("to", _("Say who gets this message: fill in To, Cc or Bcc.")))
    if len(seen) > settings.max_recipients:
        text = _(
            "%(count)s people are too many for one message; it can go to at most %(most)s.",
            count=len(seen),
            most=settings.max_recipients,
        )
        mistakes.append(Mistake("to", text))
    return fields


def _check_text(typed: Typed, mistakes: list[Mistake]) -> None:
    if not addresses.is_one_line(typed.subject):
        # A line break would begin another header (RFC 5322, section 2.2).
        text = _("The subject has a line break or control character in it. Remove it.")
        mistakes.append(Mistake("subject", text))
    if len(typed.subject) > MAX_SUBJECT:
        text = _(
            "The subject has %(size)s characters; at most %(most)s will do.",
            size=len(typed.subject),
            most=MAX_SUBJECT,
        )
        mistakes.append(Mistake("subject", text))
    most = current_settings().max_message_bytes
    size = max(len(typed.body.encode()), len((typed.html or "").encode()))
    if size > most:
        text = _(
            "The text has %(size)s bytes; it can have at most %(most)s. "
            "Attach it as a file instead.",
            size=size,
            most=most,
        )
        mistakes.append(Mistake("body", text))


def _unknown(fields: Mapping[str, Sequence[Address]], found: Mapping[str, int]) -> list[Mistake]:
    mistakes = []
    for field, people in fields.items():
        unknown = [address.spec for address in people if address.canonical not in found]
        if unknown:
            text = _(
                "there is nobody here with the address %(addresses)s. Nothing was sent to anyone.",
                addresses=_quoted(unknown),
            )
            mistakes.append(_at(field, text))
    return mistakes


def _at(field: str, text: str) -> Mistake:
    """A mistake that begins with its field's label."""
    label = {"to": _("To"), "cc": _("Cc"), "bcc": _("Bcc")}[field]
    return Mistake(field, f"{label}: {text}")


def _not_addresses(pieces: Sequence[str]) -> str:
    return ngettext(
        "%(pieces)s is not an address. Write name@%(domain)s, with commas between addresses.",
        "%(pieces)s are not addresses. Write name@%(domain)s, with commas between addresses.",
        len(pieces),
        pieces=_quoted(pieces),
        domain=current_settings().mail_domain,
    )


def _elsewhere(specs: Sequence[str]) -> str:
    return ngettext(
        "%(addresses)s is not at %(domain)s. Mail goes only to people of this service so far.",
        "%(addresses)s are not at %(domain)s. Mail goes only to people of this service so far.",
        len(specs),
        addresses=_quoted(specs),
        domain=current_settings().mail_domain,
    )


def _quoted(pieces: Sequence[str]) -> str:
    shown = ", ".join(f"“{piece[:100]}”" for piece in pieces[:10])
    if len(pieces) <= 10:
        return shown
    return _("%(shown)s and %(count)s more", shown=shown, count=len(pieces) - 10)
