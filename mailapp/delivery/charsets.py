"""Bytes of a message as text: by the charset it names or, where that is wrong, by what they are."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress

from mailapp.attachments.kinds import encoding_of

# What a name means in practice, where Python takes it for less: what is called KS C 5601, GB 2312
# or Latin 1 is written by Windows, in the larger sets of which these are a part (as WHATWG has it).
_MEANT = {
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "euc-kr": "cp949",
    "euckr": "cp949",
    "x-windows-949": "cp949",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "cn-gb": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "unicode-1-1-utf-7": "utf-7",
    "iso-8859-8-i": "iso8859_8",
    "utf8mb4": "utf-8",
}
# Says nothing of the bytes above 127, where there are any.
_ASCII = frozenset({"", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "x-unknown", "7bit"})
# Of Python's own, and for other things than text.
_NOT_CHARSETS = re.compile(r"escape|idna|punycode|undefined|mbcs|oem|unicode_internal")

_FEW = 200
_ISO_2022_JP = re.compile(rb"\x1b\$[@B]|\x1b\([IJ]")


def decoded(data: bytes, charset: str = "", hint: str = "") -> str:
    """`data` as text; `charset` is what it is said to be in, `hint` what else of the mail is in.

    Never fails: what is no text in any of these has replacement characters. NULs are left out,
    which no database keeps.
    """
    return _decoded(data, charset, hint).replace("\0", "")


def _decoded(data: bytes, charset: str, hint: str) -> str:
    if data.startswith(codecs.BOM_UTF8):
        return data[len(codecs.BOM_UTF8) :].decode("utf-8", "replace")
    named = _codec(charset)
    if named:
        with suppress(UnicodeError, ValueError):
            return data.decode(named)
    if _ISO_2022_JP.search(data[:10_000]):
        with suppress(UnicodeError):
            return data.decode("iso2022_jp_ext")
    with suppress(UnicodeError):
        return data.decode("utf-8")
    hinted = _codec(hint)
    if hinted:
        with suppress(UnicodeError, ValueError):
            return data.decode(hinted)
    # A few wrong bytes in what is otherwise as it says: that is likelier than anything guessed.
    if named and named not in {"utf-8", "ascii"}:
        return _replaced(data, named)
    guessed = encoding_of(data)
    if guessed and len(data) < _FEW:
        # Of a few bytes nothing can be guessed for sure; most that names nothing is from the west.
        with suppress(UnicodeError):
            return data.decode(guessed)
        guessed = None
    return _replaced(data, guessed or named or "cp1252")


def _replaced(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding, "replace")
    except (UnicodeError, ValueError):  # a few of Python's codecs know no other way
        return data.decode("utf-8", "replace")


def _codec(charset: str) -> str:
    """Python's name of a charset; empty where it is unknown or says nothing."""
    name = charset.strip().strip("'\"").lower()
    if name in _ASCII:
        return ""
    try:
        info = codecs.lookup(_MEANT.get(name, name))
    except (LookupError, ValueError, UnicodeError):
        return ""
    is_text = getattr(info, "_is_text_encoding", True)
    return info.name if is_text and not _NOT_CHARSETS.search(info.name) else ""
