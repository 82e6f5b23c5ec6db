"""What a person prefers: how they are called, in which language and by which clock they read, what
pages look like, how long a send can be undone, what stands below their mail."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import update

from mailapp.accounts.models import Account
from mailapp.accounts.services import Refused, clean_name
from mailapp.contacts import services as contacts
from mailapp.database import write
from mailapp.i18n import LANGUAGES, lazy_gettext
from mailapp.i18n import gettext as _
from mailapp.i18n.choice import zone
from mailapp.mailbox.filing import change
from mailapp.mailbox.services import AccountView
from mailapp.settings import current_settings

THEMES = {
    "system": lazy_gettext("As the device is set"),
    "light": lazy_gettext("Light"),
    "dark": lazy_gettext("Dark"),
}

# How many seconds a send can be undone, to choose from.
UNDO_SECONDS = (0, 5, 10, 20, 30, 60)

MAX_SIGNATURE = 2000


class Preferences(NamedTuple):
    """The columns of the account that are its person's to choose; see `Account`."""

    name: str
    language: str | None
    time_zone: str | None
    theme: str
    undo_seconds: int
    signature: str


class Mistaken(ValueError):
    """Not what can be preferred; `problems` says why, by the form's field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


def of(account: AccountView) -> Preferences:
    """An account's, with the service's in the place of what it leaves open."""
    undo = account.undo_seconds
    return Preferences(
        account.name,
        account.language,
        account.time_zone,
        account.theme,
        current_settings().undo_send_seconds if undo is None else undo,
        account.signature,
    )


def undo_choices() -> list[int]:
    """The seconds that Undo Send can be given; the service's own are among them."""
    return sorted({*UNDO_SECONDS, current_settings().undo_send_seconds})


def save(account: AccountView, form: Mapping[str, str]) -> Preferences:
    """Prefer what the form says, the rest as before; raises Mistaken with all that is wrong in it.

    It counts as a change of the account's mail: every page of theirs shows something of it.
    """
    preferred = _read(form, of(account))
    with write() as connection:
        change(connection, [account.id])
        connection.execute(
            update(Account).where(Account.id == account.id).values(preferred._asdict())
        )
        if preferred.name != account.name:
            contacts.enlist(connection, [(account.address, preferred.name)])
    return preferred


def _read(form: Mapping[str, str], before: Preferences) -> Preferences:
    preferred: dict[str, Any] = before._asdict()
    problems: dict[str, str] = {}
    for field, check in _CHECKS.items():
        if field in form:
            try:
                preferred[field] = check(form[field])
            except Refused as error:
                problems[field] = str(error)
    if problems:
        raise Mistaken(problems)
    return Preferences(**preferred)


def _language(text: str) -> str | None:
    if text and text not in LANGUAGES:
        raise Refused("language", _("There is no such language here."))
    return text or None


def _time_zone(text: str) -> str | None:
    if text and zone(text) is None:
        raise Refused("time_zone", _("There is no such time zone."))
    return text or None


def _theme(text: str) -> str:
    if text not in THEMES:
        raise Refused("theme", _("There is no such theme."))
    return text


def _undo_seconds(text: str) -> int:
    if text not in map(str, undo_choices()):
        raise Refused("undo_seconds", _("Please choose one of the times."))
    return int(text)


def _signature(text: str) -> str:
    text = re.sub(r"\r\n?", "\n", text).replace("\x00", "\ufffd").rstrip()
    if len(text) > MAX_SIGNATURE:
        raise Refused(
            "signature",
            _("The signature may have at most %(count)s characters.", count=MAX_SIGNATURE),
        )
    return text


_CHECKS: dict[str, Callable[[str], Any]] = {
    "name": clean_name,
    "language": _language,
    "time_zone": _time_zone,
    "theme": _theme,
    "undo_seconds": _undo_seconds,
    "signature": _signature,
}
