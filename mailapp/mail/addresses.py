"""Addresses: RFC 5322 syntax with display names, internationalised domains (RFC 5890, 6532)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from email.errors import InvalidHeaderDefect
from email.headerregistry import Address as HeaderAddress
from email.headerregistry import AddressHeader
from email.policy import EmailPolicy
from typing import cast

import idna

# RFC 5321, section 4.5.3.1: octets before the @, and in all.
_MAX_LOCAL, _MAX_ADDRESS = 64, 254

_POLICY = EmailPolicy()
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# A comma between addresses, not one inside quotes, a comment or angle brackets.
_PIECES = re.compile(r'(?:"(?:\\.|[^"\\])*"|\((?:\\.|[^()\\])*\)|<[^<>]*>|[^,])+')


class AddressError(ValueError):
    """Text that can't be read as addresses; `pieces` are the parts that are wrong, as typed."""

    def __init__(self, pieces: list[str]) -> None:
        super().__init__(", ".join(pieces))
        self.pieces = pieces


@dataclass(frozen=True)
class Address:
    """A mailbox of RFC 5322, section 3.4: a display name, maybe empty, and local@domain."""

    name: str
    local: str
    domain: str

    @property
    def canonical(self) -> str:
        """The one spelling under which accounts are found: lower case, the domain in ASCII."""
        return f"{unicodedata.normalize('NFC', self.local).lower()}@{self.domain}"

    @property
    def spec(self) -> str:
        """local@domain as it stands in a header, the local part quoted where it must be."""
        return HeaderAddress(username=self.local, domain=self.domain).addr_spec

    def __str__(self) -> str:
        return str(HeaderAddress(self.name, self.local, self.domain))


def parse(text: str) -> Address:
    """The one address in `text`; raise AddressError when it is not exactly one."""
    addresses = parse_list(text)
    if len(addresses) != 1:
        raise AddressError([text.strip()])
    return addresses[0]


def parse_list(text: str) -> list[Address]:
    """The addresses of a To, Cc or Bcc field, groups dissolved into their members.

    Empty elements, as after a comma at the end, are no error. Raises AddressError with every
    part that is not an address.
    """
    if any(unicodedata.category(character) == "Cc" and character != "\t" for character in text):
        # A line break could smuggle in a header of its own (RFC 5322, section 2.2).
        raise AddressError([" ".join(text.split())])
    addresses = _read(text)
    if addresses is not None:
        return addresses
    pieces = [piece.strip() for piece in _PIECES.findall(text)]
    raise AddressError([piece for piece in pieces if piece and not _read(piece)] or [text.strip()])


def join(addresses: Iterable[Address]) -> str:
    """The addresses as the text of a field."""
    return ", ".join(str(address) for address in addresses)


def _read(text: str) -> list[Address] | None:
    """The addresses of `text`, or None where any of it is not one."""
    try:
        header = _POLICY.header_factory("To", text)
        if any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects):
            return None
        return [_checked(found) for found in cast(AddressHeader, header).addresses]
    except Exception:  # the standard parser raises almost anything on odd input
        return None


def _checked(found: HeaderAddress) -> Address:
    address = Address(found.display_name.strip(), found.username, _domain(found.domain))
    if (
        not address.local
        or len(address.local.encode()) > _MAX_LOCAL
        or len(address.canonical.encode()) > _MAX_ADDRESS
    ):
        raise ValueError("the address is too long, or has nothing before the @")
    return address


def _domain(text: str) -> str:
    """A domain in ASCII and lower case; raise ValueError (idna's errors are such) for no domain."""
    domain = idna.encode(text, uts46=True).decode("ascii").lower()
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise ValueError("not a domain")
    return domain
