"""The document that a message's frame shows, and the two walls around it.

Each wall holds alone. The first is the sanitiser: in what it leaves, nothing runs, loads or leaves
its place. The second is the frame, should the sanitiser ever be wrong: its `sandbox` (in the page,
and again in the document's own policy, where it is opened by itself) lets no script run, no form be
sent and nothing but itself be navigated, and the policy lets nothing be loaded.

The sandbox has `allow-same-origin`. Together with `allow-scripts` that would be no sandbox at all,
because a script in it could take it off; without, there is nothing in the frame that could make use
of the origin. It is there for the page outside, which measures how high the document is, and for
the cookie that the mail's own images are asked for with. `allow-popups` lets links open a tab, and
`allow-popups-to-escape-sandbox` gives that tab, which is another host's, its scripts back; no link
of ours can reach back from there (`rel=noopener`), and a `javascript:` address, were there one, is
stopped by the policy, which a tab inherits until it has left for its host.
"""

from __future__ import annotations

from html import escape

from mailapp.html.css import OWN_PREFIX
from mailapp.html.sanitiser import Shown, text_as_html

SANDBOX = "allow-same-origin allow-popups allow-popups-to-escape-sandbox"

# On white, in the dark too: who wrote it chose colours for that. The sender's own style may change
# all but what is said after it.
_BEFORE = """
:root{color-scheme:light}
body{margin:0;padding:1px 12px;background:#fff;color:#1b1b1f;
font:15px/1.5 system-ui,'Malgun Gothic',sans-serif;overflow-wrap:break-word}
img:not([src]){outline:1px dotted #777}
"""
_AFTER = f"""
html,body{{display:block!important;height:auto!important;min-height:0!important}}
img{{max-width:100%!important}}
@media (max-width:600px){{img{{height:auto!important}}}}
.{OWN_PREFIX}host{{all:revert!important;font:12px/1.5 monospace!important;color:#8a1c1c!important;
background:#fff!important;display:inline!important}}
.{OWN_PREFIX}text{{white-space:pre-wrap}}
"""


def policy(*, remote: bool) -> str:
    """The Content-Security-Policy of the document; `remote` lets it have images of other hosts."""
    return "; ".join(
        (
            "default-src 'none'",
            # http: too. Where this service is reached by HTTPS, browsers ask by HTTPS all the same.
            f"img-src 'self' data:{' https: http:' if remote else ''}",
            "style-src 'unsafe-inline'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
            f"sandbox {SANDBOX}",
        )
    )


def of_html(title: str, shown: Shown) -> str:
    """The document of a message that is shown formatted."""
    return _document(title, shown.html, shown.sheet)


def of_text(title: str, text: str, links: str = "") -> str:
    """The document of its plain text; `links` is HTML of ours that stands before it."""
    return _document(title, f'{links}<div class="{OWN_PREFIX}text">{text_as_html(text)}</div>')


def _document(title: str, body: str, sheet: str = "") -> str:
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="referrer" '
        f'content="no-referrer"><title>{escape(title)}</title>'
        f"<style>{_BEFORE}</style><style>{sheet}</style><style>{_AFTER}</style></head>"
        f"<body>{body}</body></html>"
    )
