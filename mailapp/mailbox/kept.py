"""Signed-in pages and what stands around them, kept while nothing on them changes.

No state: every request reads the account's frame first, and the frame (its change counter, names
and counts) is part of the key, as is all else that the page shows. What another instance changes is
therefore seen at once; what is kept here only spares making the same page again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from flask import Flask, current_app, request, session

from mailapp import csrf
from mailapp.i18n import current_language
from mailapp.mailbox.services import AccountView, Frame, MailboxView
from mailapp.sessions import is_visit

Text = TypeVar("Text", str, bytes)

# Pages kept in each process, most of them of some 20 KB: those that are looked at again and again.
MOST = 128
# Bytes or characters of a page that is too large to keep, such as a message of a megabyte.
TOO_LARGE = 128 * 1024


class Key(NamedTuple):
    """All that a page depends on: the frame but for its message, which is as old as the account's
    modseq; whatever tells the account's pages apart; the visitor's language, and the token in the
    forms on it."""

    account: AccountView
    mailboxes: tuple[MailboxView, ...]
    page: tuple[object, ...]
    language: str
    token: str


def init_app(app: Flask) -> None:
    """Give the application its pages: another has another database."""
    app.extensions["kept-pages"] = KeptPages()


def part(frame: Frame, key: tuple[object, ...], make: Callable[[], str]) -> str:
    """What `make` makes, or made before; `key` tells the pages of an account apart."""
    return _pages().get(_key(frame, key), make)


def page(frame: Frame, key: tuple[object, ...], make: Callable[[], str]) -> bytes:
    """As `part`, a whole page in UTF-8; not kept with a notice on it, which is said once."""

    def made() -> bytes:
        return make().encode()

    return made() if _has_notice() else _pages().get(_key(frame, key), made)


def find_page(frame: Frame, key: tuple[object, ...]) -> bytes | None:
    """What `page` kept before, for who has to ask the database before it can be made."""
    return None if _has_notice() else _pages().find(_key(frame, key))


def _has_notice() -> bool:
    return "_flashes" in session and is_visit(request)


def _pages() -> KeptPages:
    pages: KeptPages = current_app.extensions["kept-pages"]
    return pages


def _key(frame: Frame, page: tuple[object, ...]) -> Key:
    return Key(frame.account, frame.mailboxes, page, current_language(), csrf.token())


class KeptPages:
    """The pages used last, for all threads of a process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, str | bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Text]) -> Text:
        """The page of `key`, made now where it is not kept. What `make` raises passes through.

        Read from the database after the frame was, a page is at least as new as its key says.
        """
        found: Text | None = self.find(key)
        if found is not None:
            return found
        page = make()
        if len(page) < TOO_LARGE:
            with self._lock:
                self._kept[key] = page
                if len(self._kept) > MOST:
                    self._kept.popitem(last=False)
        return page

    def find(self, key: Key) -> Any:
        """The page of `key`, None where it is not kept."""
        with self._lock:
            page = self._kept.get(key)
            if page is not None:
                self._kept.move_to_end(key)
        return page
