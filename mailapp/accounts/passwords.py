"""Passwords: Argon2id hashes, made and checked so that timing tells nobody who has an account."""

from __future__ import annotations

import functools

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mailapp.i18n import gettext as _

MIN_LENGTH = 10

# Argon2 reads all of a password; without a bound a megabyte of it would be a way to keep us busy.
MAX_LENGTH = 256

# OWASP's first choice for Argon2id: 19 MiB, two passes, one lane. A hash made under older
# parameters is made anew at the next log-in.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class WeakPassword(ValueError):
    """A password that must not be taken; the text says why."""


def hash_new(password: str, *, address: str) -> str:
    """The hash of a new password; raise WeakPassword where it is too easy to guess."""
    if len(password) < MIN_LENGTH:
        raise WeakPassword(_("The password needs at least %(count)s characters.", count=MIN_LENGTH))
    if len(password) > MAX_LENGTH:
        raise WeakPassword(
            _("The password may have at most %(count)s characters.", count=MAX_LENGTH)
        )
    if len(set(password)) < 4:
        raise WeakPassword(_("The password repeats the same few characters."))
    if password.lower() in {address.lower(), address.partition("@")[0].lower()}:
        raise WeakPassword(_("The password must not be the address."))
    return _hasher.hash(password)


def verify(password_hash: str | None, password: str) -> bool:
    """Whether the password is right. Without a hash (nobody of that name) it takes as long."""
    if len(password) > MAX_LENGTH:
        password = ""
    nobodys_hash = _nobodys_hash()  # also where it is not needed: making the first one takes time
    try:
        _hasher.verify(password_hash or nobodys_hash, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def upgraded(password_hash: str, password: str) -> str | None:
    """A new hash of a password just verified, when the old one's parameters are out of date."""
    return _hasher.hash(password) if _hasher.check_needs_rehash(password_hash) else None


@functools.cache
def _nobodys_hash() -> str:
    return _hasher.hash("the password of nobody")
