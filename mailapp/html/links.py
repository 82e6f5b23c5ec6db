"""Where the links of HTML mail go, whether their text says so, and addresses in plain text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import idna

# As browsers read addresses (WHATWG URL): tabs and line ends in one are not there, spaces around it
# neither. An address that leads somewhere only because \ is read as / is none here.
_DROPPED = re.compile(r"[\t\r\n]")
_AROUND = "".join(map(chr, range(0x21)))
_WEB = re.compile(r"https?://([^\s/\\?#\x00-\x1f\x7f]+)[^\s\\\x00-\x1f\x7f]*", re.IGNORECASE)
_MAIL = re.compile(r"mailto:[^\s\\<>\"\x00-\x1f\x7f]+", re.IGNORECASE)
_PLACE = re.compile(r"#[\w.:%-]{1,200}")
_MAX = 2_000

# Seen by nobody, as all of the category Cf: variation selectors, joiners, fillers (Unicode's
# Default_Ignorable_Code_Point).
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)

# What looks like a host in a link's text, in any script, with all that browsers take for dots.
_DOT = "[.\u3002\uff0e\uff61]"
# From its beginning only: else a text of one long word would be looked at from each character on.
_HOSTS = re.compile(rf"(?<![\w-])[\w-]++(?:{_DOT}[\w-]++)+")
_ADDRESSES = re.compile(r"(?<![^\s<>@,;:()\"])[^\s<>@,;:()\"]++@[^\s<>@,;:()\"]++")

# Hosts in these are what they look like; a Cyrillic letter may look like one of ours.
_UNMISTAKABLE = re.compile("[\x00-\x7f\u3002\uff0e\uff61\u4e00-\u9fff\uac00-\ud7a3]+")

# Characters that RFC 3986 (section 2) never allows bare in an address, and the two that plain text
# puts around one; everything else may belong to it, also letters of any script.
_IN_TEXT = re.compile(r"https?://[^\s<>\"\x00-\x1f\x7f]+", re.IGNORECASE)
_CLOSING = {")": "(", "]": "[", "}": "{"}


def allowed(raw: str) -> str | None:
    """The address a link may have: http, https, mailto, or a place in the same mail; else None."""
    address = _DROPPED.sub("", raw[: _MAX * 2]).strip(_AROUND).replace(" ", "%20")
    if address.startswith("//"):
        address = f"https:{address}"
    if len(address) > _MAX:
        return None
    if _WEB.fullmatch(address):
        return address if host(address) else None
    return address if _MAIL.fullmatch(address) or _PLACE.fullmatch(address) else None


def host(address: str) -> str:
    """The host that a web address leads to, as browsers find it, in ASCII; empty if it has none."""
    found = _WEB.match(address)
    if found is None:
        return ""
    named = found.group(1).rpartition("@")[2]
    if named.startswith("["):
        return named.partition("]")[0] + "]"
    return _ascii(named.partition(":")[0])


def hidden(text: str, address: str) -> str:
    """Where a link goes whose text names another host, or mail address; empty if it names none."""
    seen = "".join(c for c in _UNSEEN.sub("", text) if unicodedata.category(c) != "Cf")
    plain = " ".join(unicodedata.normalize("NFKC", seen).split())
    if address.lower().startswith("mailto:"):
        goes_to = address[len("mailto:") :].partition("?")[0].replace("%40", "@")
        named = {found.lower() for found in _ADDRESSES.findall(plain[:_MAX])}
        return goes_to if named - {goes_to.lower()} else ""
    true = host(address)
    if not true or (plain == address and plain.isascii()):
        return ""
    if len(plain) > _MAX:  # nobody reads so much of a link
        return true
    for found in _HOSTS.findall(plain):
        said = _ascii(found).removeprefix("www.")
        # A number, such as 1.5, is no host; neither is what ends in one letter.
        if not re.search(r"\.[^\W\d_][\w-]+$", said) and not re.fullmatch(r"\d+(\.\d+){3}", said):
            continue
        if true != said and not true.endswith(f".{said}"):
            return true
        if not _UNMISTAKABLE.fullmatch(found):
            return true
    return ""


def in_text(text: str) -> Iterator[tuple[int, int]]:
    """Where http and https addresses begin and end in plain text."""
    for match in _IN_TEXT.finditer(text):
        address = _without_sentence_end(match.group())
        if len(address) > address.index("//") + 2:
            yield match.start(), match.start() + len(address)


def _without_sentence_end(address: str) -> str:
    """Drop the punctuation that belongs to the sentence around an address, not to the address."""
    end = len(address)
    # Counted once: a message may be a megabyte of closing brackets.
    count = {bracket: address.count(bracket) for bracket in "()[]{}"}
    while True:
        last = address[end - 1]
        if last in _CLOSING and count[last] > count[_CLOSING[last]]:
            count[last] -= 1
        elif last not in ".,;:!?'*_…、。":
            return address[:end]
        end -= 1


def _ascii(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode().lower().rstrip(".")
    except idna.IDNAError:
        return re.sub(_DOT, ".", name).lower().rstrip(".")
