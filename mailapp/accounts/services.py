"""The rules of accounts: signing up, checking a password, changing it, disabling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from mailapp.accounts import passwords
from mailapp.accounts.models import Account
from mailapp.contacts import services as contacts
from mailapp.database import now, read, write
from mailapp.i18n import gettext as _
from mailapp.mail.addresses import Address, AddressError, parse
from mailapp.mailbox.services import create_mailboxes
from mailapp.queries import Query, Transaction, among
from mailapp.settings import current_settings

# What RFC 2142 and custom reserve for who runs the service.
_RESERVED = frozenset(
    [
        "abuse",
        "admin",
        "administrator",
        "hostmaster",
        "mailer-daemon",
        "no-reply",
        "noreply",
        "postmaster",
        "root",
        "security",
        "webmaster",
    ]
)
_LOCAL = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_MAX_NAME = 100

_RECEIVING = Query(
    select(Account.address, Account.id).where(
        among(Account.address, "addresses"), Account.disabled_at.is_(None)
    )
)


class Refused(ValueError):
    """An account can't be made or changed so; `field` is the form's field, the text says why."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True)
class Listed:
    """An account as the command line lists it."""

    address: str
    name: str
    created_at: datetime
    disabled_at: datetime | None
    is_admin: bool


def own_address(text: str) -> str:
    """What was typed as one's own address, in its canonical spelling; the domain may be left out.

    Raises AddressError where that is no address.
    """
    text = text.strip()
    if text and "@" not in text:
        text = f"{text}@{current_settings().mail_domain}"
    return parse(text).canonical


def create(text: str, name: str, password: str, *, by_operator: bool = False) -> int:
    """Make an account and its folders; its id. Raises Refused with every rule's own sentence.

    An operator may give reserved addresses, such as postmaster's.
    """
    domain = current_settings().mail_domain
    try:
        address = own_address(text)
    except AddressError:
        raise Refused(
            "email", _("Please choose an address such as %(address)s.", address=f"you@{domain}")
        ) from None
    local, _at, of_domain = address.rpartition("@")
    if of_domain != domain:
        raise Refused("email", _("Addresses here end in @%(domain)s.", domain=domain))
    if not _LOCAL.fullmatch(local) or len(local) > 64:
        raise Refused(
            "email",
            _("Before the @, use letters a to z and digits, with single . _ or - between."),
        )
    if local in _RESERVED and not by_operator:
        raise Refused(
            "email", _("%(address)s is reserved. Please choose another.", address=address)
        )
    name = clean_name(name)
    try:
        password_hash = passwords.hash_new(password, address=address)
    except passwords.WeakPassword as error:
        raise Refused("password", str(error)) from None
    try:
        with write() as connection:
            account_id = connection.execute(
                insert(Account)
                .values(address=address, name=name, password_hash=password_hash, created_at=now())
                .returning(Account.id)
            ).scalar_one()
            create_mailboxes(connection, account_id)
            contacts.enlist(connection, [(address, name)])
    except IntegrityError:
        raise Refused(
            "email", _("%(address)s is taken. Please choose another.", address=address)
        ) from None
    return account_id


def clean_name(name: str) -> str:
    """A display name, its white space tidied; raises Refused."""
    name = " ".join(name.split())
    if not name:
        raise Refused(
            "name", _("Please say how you are called; others see it beside your address.")
        )
    if len(name) > _MAX_NAME:
        raise Refused("name", _("The name may have at most %(count)s characters.", count=_MAX_NAME))
    # Emoji and several scripts join letters with U+200C and U+200D, which are not printed.
    if not re.sub("[\u200c\u200d]", "", name).isprintable():
        raise Refused("name", _("The name contains characters that can't be shown."))
    return name


def authenticate(text: str, password: str) -> tuple[int, int] | None:
    """(account id, session epoch) when address and password are right, else None.

    It costs one hash whether or not there is such an account, or it is disabled.
    """
    try:
        address = own_address(text)
    except AddressError:
        address = ""
    with read() as connection:
        row = connection.execute(
            select(
                Account.id, Account.password_hash, Account.session_epoch, Account.disabled_at
            ).where(Account.address == address)
        ).one_or_none()
    right = passwords.verify(row.password_hash if row else None, password)
    if row is None or not right or row.disabled_at is not None:
        return None
    better = passwords.upgraded(row.password_hash, password)
    if better is not None:
        with write() as connection:
            connection.execute(
                update(Account)
                # Not over a password that was changed in the meantime.
                .where(Account.id == row.id, Account.password_hash == row.password_hash)
                .values(password_hash=better)
            )
    return row.id, row.session_epoch


def change_password(account_id: int, current: str, new: str) -> int:
    """Set a new password; the new session epoch, under which no earlier session is good.

    Raises Refused, also when the password was changed elsewhere while this was being checked.
    """
    with read() as connection:
        row = connection.execute(
            select(Account.address, Account.password_hash).where(Account.id == account_id)
        ).one()
    if not passwords.verify(row.password_hash, current):
        raise Refused("current_password", _("This is not your current password."))
    try:
        password_hash = passwords.hash_new(new, address=row.address)
    except passwords.WeakPassword as error:
        raise Refused("new_password", str(error)) from None
    with write() as connection:
        epoch = connection.execute(
            update(Account)
            .where(Account.id == account_id, Account.password_hash == row.password_hash)
            .values(password_hash=password_hash, session_epoch=Account.session_epoch + 1)
            .returning(Account.session_epoch)
        ).scalar()
    if epoch is None:
        raise Refused("current_password", _("The password has just been changed elsewhere."))
    return epoch


def set_password(text: str, password: str) -> int:
    """An operator sets somebody's password, ending their sessions; the account's id. May refuse."""
    address = _known(text)
    try:
        password_hash = passwords.hash_new(password, address=address)
    except passwords.WeakPassword as error:
        raise Refused("password", str(error)) from None
    return _update(
        address, {"password_hash": password_hash, "session_epoch": Account.session_epoch + 1}
    )


def disable(text: str) -> int:
    """Nobody logs in to the account any more, nor does it receive mail; its id. Raises Refused."""
    return _update(_known(text), {"disabled_at": now(), "session_epoch": Account.session_epoch + 1})


def set_admin(text: str, *, is_admin: bool) -> None:
    """Make somebody an operator, or no longer one; raises Refused where there is no such account.

    Every page reads the flag with the account, so it counts from the next request on.
    """
    _update(_known(text), {"is_admin": is_admin})


def set_quota(text: str, quota_bytes: int | None) -> None:
    """Let somebody's mailbox have so many bytes; 0: any number, None: the service's QUOTA_BYTES.

    Raises Refused where there is no such account.
    """
    _update(_known(text), {"quota_bytes": quota_bytes})


def list_all() -> list[Listed]:
    """Every account, by address."""
    with read() as connection:
        rows = connection.execute(
            select(
                Account.address,
                Account.name,
                Account.created_at,
                Account.disabled_at,
                Account.is_admin,
            ).order_by(Account.address)
        )
        return [Listed(*row) for row in rows]


def find_receiving(inside: Transaction, wanted: list[Address]) -> dict[str, int]:
    """{canonical address: account id} of those among `wanted` that receive mail here."""
    if not wanted:
        return {}
    rows = _RECEIVING.rows(inside, addresses=sorted({address.canonical for address in wanted}))
    return {row.address: row.id for row in rows}


def _known(text: str) -> str:
    try:
        return own_address(text)
    except AddressError:
        raise Refused("email", _("%(text)s is not an address.", text=repr(text))) from None


def _update(address: str, values: dict[str, object]) -> int:
    with write() as connection:
        account_id = connection.execute(
            update(Account).where(Account.address == address).values(values).returning(Account.id)
        ).scalar()
    if account_id is None:
        raise Refused("email", _("There is no account %(address)s.", address=address))
    return account_id
