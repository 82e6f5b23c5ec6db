"""Which styles of HTML mail are kept: an allowlist of properties, of values, of selectors.

What a style says is read by tinycss2 as CSS has it, and written anew from what is known to be
harmless: nothing that loads, that is computed from something else, that leaves its place, that
outranks ours or that is larger than a page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import tinycss2

# Where the address in a url() may be loaded from; None if it may not.
Image = Callable[[str], str | None]

# Ours, in what is shown: nobody's style reaches it.
OWN_PREFIX = "mailapp-"

# More than these no newsletter has; what takes longer to read than to make is left out.
_MAX_ATTRIBUTE, _MAX_SHEETS, _MAX_RULES, _MAX_TOKENS = 4_000, 300_000, 2_000, 60

_SIDES = ("top", "right", "bottom", "left")
_IMAGE_PROPERTIES = frozenset({"background", "background-image"})
_PROPERTIES = (
    frozenset(
        """
        background background-color background-image background-position background-repeat
        background-size border border-collapse border-color border-radius border-spacing
        border-style border-width box-sizing caption-side clear color direction display empty-cells
        float font font-family font-size font-stretch font-style font-variant font-weight height
        hyphens
        letter-spacing line-height list-style list-style-position list-style-type margin max-height
        max-width min-height min-width opacity overflow overflow-wrap overflow-x overflow-y padding
        table-layout text-align text-align-last text-decoration text-decoration-color
        text-decoration-line text-decoration-style text-indent text-overflow text-transform
        unicode-bidi vertical-align visibility white-space width word-break word-spacing word-wrap
        """.split()  # noqa: SIM905
    )
    | {f"{box}-{side}" for box in ("margin", "padding", "border") for side in _SIDES}
    | {
        f"border-{side}-{part}"
        for side in (*_SIDES, "top-left", "top-right", "bottom-left", "bottom-right")
        for part in ("color", "style", "width", "radius")
    }
)
_FONTS = frozenset({"font", "font-family"})
_MAY_BE_NEGATIVE = frozenset({"letter-spacing", "text-indent", "word-spacing"})

# How many pixels one of a unit is. Not the units of the view (vh, vw): the frame is made as high as
# its content, so what is as high as the frame would grow for ever.
_PIXELS = {
    "px": 1.0,
    "pt": 4 / 3,
    "pc": 16.0,
    "in": 96.0,
    "cm": 37.8,
    "mm": 3.78,
    "em": 16.0,
    "rem": 16.0,
    "ex": 8.0,
    "ch": 8.0,
}
_MAX_PIXELS, _MAX_NEGATIVE, _MAX_PERCENT = 2_000, 200, 500

_IDENT = re.compile(r"-?[a-z][a-z0-9-]{0,60}", re.IGNORECASE)
_COLOUR = re.compile(r"[0-9a-f]{3,8}", re.IGNORECASE)
_COLOUR_FUNCTIONS = frozenset({"rgb", "rgba", "hsl", "hsla"})
_FONT_NAME = re.compile(r"[\w .-]{1,60}")
_SELECTOR_NAME = re.compile(r"[\w-]{1,100}")
_PSEUDO = frozenset({"link", "visited", "hover", "active", "first-child", "last-child"})
# Names that mean something to a style as a whole: a value that is the parent's is fine, the others
# undo what the page says.
_NOT_IDENTS = frozenset({"fixed", "sticky", "expression", "javascript"})


def _no_image(_address: str) -> None:
    return None


def attribute(style: str, image: Image | None = None) -> str:
    """What is kept of a style attribute, written anew; empty if nothing."""
    if len(style) > _MAX_ATTRIBUTE:
        return ""
    if "url" in style.lower() or "\\" in style:  # an image may be allowed here and not there
        return _attribute(style, image or _no_image)
    return _attribute_without_images(style)


@lru_cache(maxsize=4096)
def _attribute_without_images(style: str) -> str:
    # A table of a thousand rows has the same few styles a thousand times.
    return _attribute(style, _no_image)


def _attribute(style: str, image: Image) -> str:
    return _declarations(_read(tinycss2.parse_declaration_list, style), image)


def sheet(styles: Iterable[str], image: Image | None = None) -> str:
    """What is kept of style elements' contents, as one style sheet; no at-rules."""
    kept: list[str] = []
    left = _MAX_SHEETS
    for style in styles:
        left -= len(style)
        if left < 0:
            break
        for rule in _read(tinycss2.parse_stylesheet, style):
            if rule.type != "qualified-rule" or len(kept) >= _MAX_RULES:
                continue
            selectors = _selectors(rule.prelude)
            said = tinycss2.parse_declaration_list(rule.content, True, True) if selectors else ()
            declarations = _declarations(said, image or _no_image)
            if declarations:
                kept.append(f"{selectors}{{{declarations}}}")
    return "\n".join(kept)


def _read(parse: Callable[[str, bool, bool], list[Any]], style: str) -> list[Any]:
    """What tinycss2 makes of a style, without comments and white space; nothing where it fails."""
    try:
        return parse(style, True, True)
    except ValueError:  # a number of more digits than Python reads
        return []


def _declarations(nodes: Iterable[Any], image: Image) -> str:
    kept = []
    for node in nodes:
        if node.type != "declaration" or node.lower_name not in _PROPERTIES:
            continue
        # Never `!important`, whatever was said: what is ours stays ours.
        value = _value(node.lower_name, node.value, image)
        if value:
            kept.append(f"{node.lower_name}:{value}")
    return ";".join(kept)


def _value(name: str, tokens: list[Any], image: Image) -> str:
    """A property's value, written anew; empty if anything in it is not known to be harmless."""
    parts: list[str] = []
    if len(tokens) > _MAX_TOKENS:
        return ""
    for token in tokens:
        if token.type in {"whitespace", "comment"}:
            parts.append(" ")
            continue
        address = _address(token) if name in _IMAGE_PROPERTIES else None
        if address is not None:
            # Without its image a background keeps its colour.
            allowed = image(address)
            parts.append(_url(allowed) if allowed else "")
            continue
        written = _written(name, token)
        if written is None:
            return ""
        parts.append(written)
    return " ".join("".join(parts).split())


def _written(name: str, token: Any) -> str | None:
    match token.type:
        case "ident":
            ident = str(token.value)
            known = _IDENT.fullmatch(ident) and ident.lower() not in _NOT_IDENTS
            return ident if known else None
        case "hash":
            return f"#{token.value}" if _COLOUR.fullmatch(token.value) else None
        case "number" | "percentage" | "dimension":
            return _number(name, token)
        case "literal":
            return str(token.value) if token.value in {",", "/"} else None
        case "string":
            font = name in _FONTS and _FONT_NAME.fullmatch(token.value)
            return f"'{token.value}'" if font else None
        case "function":
            return _colour(token) if token.lower_name in _COLOUR_FUNCTIONS else None
    return None


def _number(name: str, token: Any) -> str | None:
    value = token.value
    if token.type == "percentage":
        size, unit, most = value, "%", _MAX_PERCENT
    elif token.type == "dimension":
        unit = token.lower_unit
        if unit not in _PIXELS:
            return None
        size, most = value * _PIXELS[unit], _MAX_PIXELS
    else:
        size, unit, most = value, "", _MAX_PIXELS
    least = -_MAX_NEGATIVE if name in _MAY_BE_NEGATIVE else 0
    if name.startswith("background"):
        least = -most
    return f"{value:.6g}{unit}" if least <= size <= most else None


def _colour(function: Any) -> str | None:
    """`rgb()` and the like, of numbers only."""
    parts = []
    for token in function.arguments:
        match token.type:
            case "whitespace":
                parts.append(" ")
            case "number":
                parts.append(f"{token.value:.6g}")
            case "percentage":
                parts.append(f"{token.value:.6g}%")
            case "literal" if token.value in {",", "/"}:
                parts.append(token.value)
            case _:
                return None
    return f"{function.lower_name}({''.join(parts)})" if len(parts) <= 15 else None


def _address(token: Any) -> str | None:
    """What a url() names; None if it is none."""
    if token.type == "url":
        return str(token.value)
    if token.type == "function" and token.lower_name == "url":
        strings = [inner.value for inner in token.arguments if inner.type == "string"]
        return str(strings[0]) if len(strings) == 1 else ""
    return None


def _url(address: str) -> str:
    # Every character that could end it is written as the address's own escape.
    plain = re.sub(r"[^\w:/?#@!$&*+,;=.~%-]", lambda found: _percent(found.group()), address)
    return f'url("{plain}")'


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _selectors(prelude: list[Any]) -> str:
    """The selectors of a rule that are understood whole, as a list; empty if none is."""
    selectors: list[list[Any]] = [[]]
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            selectors.append([])
        else:
            selectors[-1].append(token)
    kept = [written for tokens in selectors if (written := _selector(tokens))]
    return ",".join(kept)


def _selector(tokens: list[Any]) -> str:
    parts: list[str] = []
    if len(tokens) > _MAX_TOKENS:
        return ""
    after = ""
    for token in tokens:
        match token.type:
            case "whitespace" | "comment":
                parts.append(" ")
            case "ident" if _is_theirs(token.value):
                if after == ":" and token.lower_value not in _PSEUDO:
                    return ""
                parts.append(token.value)
            case "hash" if token.is_identifier and _is_theirs(token.value):
                parts.append(f"#{token.value}")
            case "literal" if token.value in {".", ">", "+", "~", "*", ":"} and after != ":":
                parts.append(token.value)
            case _:
                return ""
        after = token.value if token.type == "literal" else ""
    return "" if after in {".", ":", ">", "+", "~"} else "".join(parts).strip()


def _is_theirs(name: str) -> bool:
    # A name begins with no digit where it is not escaped, and none is written escaped.
    return (
        _SELECTOR_NAME.fullmatch(name) is not None
        and not name[0].isdigit()
        and not re.match(r"-(\d|-|$)", name)
        and not name.lower().startswith(OWN_PREFIX)
    )
