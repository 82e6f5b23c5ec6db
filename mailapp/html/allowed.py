"""Which elements and attributes of HTML mail are kept, and what an attribute may say.

Nothing here can run, load or leave its place by itself: addresses have rules of their own
(`links.py`, `sanitiser.py`), and so have styles (`css.py`).
"""

from __future__ import annotations

import re

# No element whose content is not read as HTML (style, title, textarea, noscript, xmp, svg, math…):
# that a browser reads what was written exactly as it was meant rests on that.
ELEMENTS = frozenset(
    """
    a abbr acronym address area article aside b bdi bdo big blockquote br caption center cite code
    col colgroup dd del details dfn dir div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6
    header hr i img ins kbd li main map mark nav ol p pre q rp rt ruby s samp section small span
    strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr
    """.split()  # noqa: SIM905  # eighty strings in quotes read worse
)

VOID = frozenset({"area", "br", "col", "hr", "img", "wbr"})

# What stands in these is no text for people.
WITHOUT_CONTENT = frozenset(
    """
    applet audio canvas embed frame frameset iframe math noembed noframes object param script
    select style svg template textarea title video xml xmp
    """.split()  # noqa: SIM905
)

_TEXT = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{0,2000}")
_WORD = re.compile(r"[a-z][a-z-]{0,29}", re.IGNORECASE)
_COUNT = re.compile(r"-?\d{1,3}")
_LENGTH = re.compile(r"\s*(?:[01]?\d{1,3}(?:\.\d{1,4})?(?:px)?|\d{1,3}(?:\.\d{1,4})?%)\s*")
_COLOUR = re.compile(r"\s*#?[0-9a-z]{1,30}\s*", re.IGNORECASE)
_NAME = re.compile(r"[\w.:-]{1,100}")
_NAMES = re.compile(r"[\w\s.:-]{1,500}")
_FLAG = re.compile(r".{0,30}", re.DOTALL)
_NUMBERS = re.compile(r"[\d\s,.]{1,500}")
_MOMENT = re.compile(r"[\w\s:+.-]{1,40}")

# {attribute: what its value may be}, for every element.
EVERYWHERE = {
    "align": _WORD,
    "class": _NAMES,
    "dir": _WORD,
    "id": _NAME,
    "lang": _NAME,
    "title": _TEXT,
}

_TABLE = {"background": _TEXT, "bgcolor": _COLOUR, "height": _LENGTH, "width": _LENGTH}
_CELL = _TABLE | {
    "abbr": _TEXT,
    "axis": _TEXT,
    "colspan": _COUNT,
    "headers": _NAMES,
    "nowrap": _FLAG,
    "rowspan": _COUNT,
    "scope": _WORD,
    "valign": _WORD,
}
_COLUMN = {"span": _COUNT, "valign": _WORD, "width": _LENGTH}
_LIST = {"compact": _FLAG, "start": _COUNT, "type": _NAME, "reversed": _FLAG}

# No `name` on an image: it would stand for a property of the document (`document.body`).
PER_ELEMENT: dict[str, dict[str, re.Pattern[str]]] = {
    "a": {"href": _TEXT, "name": _NAME},
    "area": {"alt": _TEXT, "coords": _NUMBERS, "href": _TEXT, "shape": _WORD},
    "br": {"clear": _WORD},
    "col": _COLUMN,
    "colgroup": _COLUMN,
    "del": {"datetime": _MOMENT},
    "details": {"open": _FLAG},
    "div": {"background": _TEXT, "bgcolor": _COLOUR},
    "font": {"color": _COLOUR, "face": _TEXT, "size": _COUNT},
    "hr": {"color": _COLOUR, "noshade": _FLAG, "size": _COUNT, "width": _LENGTH},
    "img": {
        "alt": _TEXT,
        "border": _COUNT,
        "height": _LENGTH,
        "hspace": _COUNT,
        # An image may be its own address, of megabytes.
        "src": re.compile(".*", re.DOTALL),
        "usemap": re.compile(r"#[\w.:-]{1,100}"),
        "vspace": _COUNT,
        "width": _LENGTH,
    },
    "ins": {"datetime": _MOMENT},
    "li": {"type": _NAME, "value": _COUNT},
    "map": {"name": _NAME},
    "ol": _LIST,
    "ul": _LIST,
    "pre": {"width": _COUNT},
    "table": _TABLE
    | {
        "border": _COUNT,
        "bordercolor": _COLOUR,
        "cellpadding": _COUNT,
        "cellspacing": _COUNT,
        "frame": _WORD,
        "rules": _WORD,
        "summary": _TEXT,
    },
    "tbody": _CELL,
    "td": _CELL,
    "tfoot": _CELL,
    "th": _CELL,
    "thead": _CELL,
    "time": {"datetime": _MOMENT},
    "tr": _CELL,
}
