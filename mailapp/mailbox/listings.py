"""The list of a folder's page as HTML, kept while the account's mail does not change.

No state: every request asks the database for the account's change counter first, and the counter is
part of the key. What another instance changes is therefore seen at once; what is kept here only
spares making the same list again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import date
from typing import NamedTuple

# Lists kept in each process, some 20 KB each: the pages that are looked at again and again.
MOST = 128


class Listing(NamedTuple):
    """The rows of a page as HTML, "" where there are none, and where the next page begins."""

    html: str
    next_key: str | None


class Key(NamedTuple):
    """All that a list depends on: whose, of which state of their mail, which page, which day."""

    account_id: int
    modseq: int
    role: str
    before: str | None
    today: date


class Listings:
    """The lists used last, for all threads of a process."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Listing] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Listing]) -> Listing:
        """The list of `key`, made now where it is not kept. What `make` raises passes through.

        Read from the database after the counter was, a list is at least as new as its key says.
        """
        with self._lock:
            listing = self._kept.get(key)
            if listing is not None:
                self._kept.move_to_end(key)
                return listing
        listing = make()
        with self._lock:
            self._kept[key] = listing
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return listing
