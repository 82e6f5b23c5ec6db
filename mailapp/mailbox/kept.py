"""Signed-in pages and what stands around them, kept while nothing on them changes.

No state: every request reads the account's frame first, and the frame (its change counter, names
and counts) is part of the key, as is all else that the page shows. What another instance changes is
therefore seen at once; what is kept here only spares making the same page again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from flask import Flask, current_app

from mailapp import csrf
from mailapp.mailbox.services import AccountView, Frame, MailboxView

# Pages kept in each process, most of them of some 20 KB: those that are looked at again and again.
MOST = 128
# Characters of a page that is too large to keep, such as a message of a megabyte.
TOO_LARGE = 128 * 1024


class Key(NamedTuple):
    """All that a page depends on: the frame but for its message, which is as old as the account's
    modseq; whatever tells the account's pages apart; the visitor's token in the forms on it."""

    account: AccountView
    mailboxes: tuple[MailboxView, ...]
    page: tuple[object, ...]
    token: str


def init_app(app: Flask) -> None:
    """Give the application its pages: another has another database."""
    app.extensions["kept-pages"] = KeptPages()


def kept(frame: Frame, page: tuple[object, ...], make: Callable[[], str]) -> str:
    """What `make` makes, or made before; `page` tells the pages of an account apart."""
    pages: KeptPages = current_app.extensions["kept-pages"]
    return pages.get(Key(frame.account, frame.mailboxes, page, csrf.token()), make)


class KeptPages:
    """The pages used last, for all threads of a process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], str]) -> str:
        """The page of `key`, made now where it is not kept. What `make` raises passes through.

        Read from the database after the frame was, a page is at least as new as its key says.
        """
        with self._lock:
            page = self._kept.get(key)
            if page is not None:
                self._kept.move_to_end(key)
                return page
        page = make()
        if len(page) < TOO_LARGE:
            with self._lock:
                self._kept[key] = page
                if len(self._kept) > MOST:
                    self._kept.popitem(last=False)
        return page
