"""Addresses: RFC 5322 syntax with display names, internationalised domains (RFC 5890, 6532).

Read here and not by the standard library's parser, which takes time with the square of what is
typed, decodes names that only look encoded, and can't say which part of a list is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import idna

# RFC 5321, section 4.5.3.1: octets before the @, and in all.
_MAX_LOCAL, _MAX_ADDRESS = 64, 254

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# RFC 5322, section 3.2.3, with any other script's characters as RFC 6532 allows.
_CHARACTERS = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-"
_ATEXT = f"[{_CHARACTERS}]"
_DOT_ATOM = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED = r'"(?:\\.|[^"\\])*"'

# The words of a display name; dots may stand in them unquoted (section 4.1). Possessive (*+), so
# that text which is no name is seen to be none in one pass.
_PHRASE = re.compile(rf"(?:{_QUOTED}|[.\s{_CHARACTERS}])*+", re.DOTALL)
_WORDS = re.compile(rf"{_QUOTED}|[^\s\"]+|\s+", re.DOTALL)
_PLAIN_PHRASE = re.compile(rf"{_ATEXT}+(?: {_ATEXT}+)*")

# What a list is cut at: text in quotes hides commas, a comment may hold others.
_TOKENS = re.compile(rf'{_QUOTED}|\\.|[(),;:<>]|[^"\\(),;:<>]+|.', re.DOTALL)


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
        return f"{self.local.lower()}@{self.domain}"

    @property
    def spec(self) -> str:
        """local@domain as it stands in a header, the local part quoted where it must be."""
        local = self.local if _DOT_ATOM.fullmatch(self.local) else quoted(self.local)
        return f"{local}@{self.domain}"

    def __str__(self) -> str:
        if not self.name:
            return self.spec
        name = self.name if _PLAIN_PHRASE.fullmatch(self.name) else quoted(self.name)
        return f"{name} <{self.spec}>"


def parse(text: str) -> Address:
    """The one address in `text`; raise AddressError when it is not exactly one."""
    addresses = parse_list(text)
    if len(addresses) != 1:
        raise AddressError([text.strip()])
    return addresses[0]


def parse_list(text: str) -> list[Address]:
    """The addresses of a To, Cc or Bcc field, groups dissolved into their members.

    Empty elements, as after a comma at the end, are no error, and semicolons separate as commas
    do: people are used to it. Raises AddressError with every part that is not an address.
    """
    if not is_one_line(text):
        # A line break could smuggle in a header of its own (RFC 5322, section 2.2).
        raise AddressError([" ".join(text.split())])
    found: list[Address] = []
    wrong: list[str] = []
    for typed, piece in _pieces(text):
        try:
            found.append(_read(piece))
        except ValueError:
            wrong.append(typed)
    if wrong:
        raise AddressError(wrong)
    return found


def join(addresses: Iterable[Address]) -> str:
    """The addresses as the text of a field."""
    return ", ".join(str(address) for address in addresses)


def quoted(text: str) -> str:
    """`text` as a quoted-string (RFC 5322, section 3.2.4)."""
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def is_one_line(text: str) -> bool:
    """Whether it has no control character but tabs, and nothing that anybody breaks a line at."""
    return not any(
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} and character != "\t"
        for character in text
    )


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """(as typed, without comments) of each element of a list that is not empty."""
    typed: list[str] = []
    bare: list[str] = []
    depth = 0  # of comments, which nest
    in_angle = in_group = False

    def piece() -> Iterator[tuple[str, str]]:
        whole, kept = "".join(typed).strip(), "".join(bare).strip()
        typed.clear()
        bare.clear()
        if whole and (kept or depth):
            yield whole, kept

    for sign in _TOKENS.findall(text):
        if depth == 0 and not in_angle and sign in {",", ";"}:
            yield from piece()
            in_group = in_group and sign == ","
            continue
        if sign == ":" and depth == 0 and not in_angle and not in_group:
            in_group = True
            if _PHRASE.fullmatch(name := "".join(bare)) and name.strip():
                # The name of a group, of which nothing is kept (section 3.4).
                typed.clear()
                bare.clear()
                continue
        typed.append(sign)
        if sign == "(":
            depth += 1
        if depth == 0:
            bare.append(sign)
        elif sign == ")":
            depth -= 1
            bare.append(" ")
        if depth == 0 and sign in {"<", ">"}:
            in_angle = sign == "<"
    if depth:
        bare.append("(")  # a comment without an end: nothing that can be read
    yield from piece()


def _read(piece: str) -> Address:
    """One element, its comments taken out; raise ValueError where it is no address."""
    name = ""
    if piece.endswith(">"):
        phrase, angle, piece = piece[:-1].rpartition("<")
        if not angle or not _PHRASE.fullmatch(phrase):
            raise ValueError("not a display name")
        words = _WORDS.findall(phrase)
        name = " ".join("".join(_unquoted(word) for word in words).split())
    local, at, domain = piece.rpartition("@")
    local = local.strip()
    if re.fullmatch(_QUOTED, local):
        local = _unquoted(local)
    elif not _DOT_ATOM.fullmatch(local):
        raise ValueError("nothing an address can begin with")
    if len(local) > _MAX_ADDRESS:
        # Before it is normalised, which takes time with the square of a run of accents.
        raise ValueError("the address is too long")
    # One spelling for what looks the same, and for some signs, such as that of Kelvin, a letter.
    local = unicodedata.normalize("NFC", local)
    if not at or not local.isprintable():
        raise ValueError("not an address")
    address = Address(name, local, _domain(domain.strip()))
    if (
        not local
        or len(local.encode()) > _MAX_LOCAL
        or len(address.canonical.encode()) > _MAX_ADDRESS
    ):
        raise ValueError("the address is too long, or has nothing before the @")
    return address


def _unquoted(word: str) -> str:
    if not word.startswith('"'):
        return word
    return re.sub(r"\\(.)", r"\1", word[1:-1])


@lru_cache(maxsize=256)
def _domain(text: str) -> str:
    """A domain in ASCII and lower case; raise ValueError (idna's errors are such) for no domain."""
    if len(text) > _MAX_ADDRESS:
        raise ValueError("too long for a domain")
    domain = idna.encode(text, uts46=True).decode("ascii").lower()
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise ValueError("not a domain")
    return domain
