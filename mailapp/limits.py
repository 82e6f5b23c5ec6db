"""How often something may be tried, counted over all instances: in Redis, or in the database."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Flask, current_app
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError
from sqlalchemy import Connection, String, case, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, UtcDateTime, insert_or_update, now, read, write
from mailapp.errors import is_database_away
from mailapp.redis import redis_client
from mailapp.settings import Settings


@dataclass(frozen=True)
class Limit:
    """At most `tries` of `name` in `seconds`, for each subject it is asked about."""

    name: str
    tries: int
    seconds: int


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its counters."""
    with app.app_context():
        client = redis_client()
    storage: Storage = (
        DatabaseStorage()
        if client is None
        # The pool is the client's own, and with it the short timeouts.
        else RedisStorage(str(settings.redis_url), connection_pool=client.connection_pool)
    )
    app.extensions["limiter"] = FixedWindowRateLimiter(storage)


def take(limit: Limit, subject: str) -> int | None:
    """Count a try; None when it may go on, else the seconds until the next may.

    Counted before the outcome is known, so that tries made at the same moment on several
    instances can't slip through together; `give_back` returns what turned out not to count.
    """
    limiter, item, key = _limiter(), _item(limit), _key(subject)
    if limiter.hit(item, limit.name, key):
        return None
    return max(1, round(limiter.get_window_stats(item, limit.name, key).reset_time - time.time()))


def give_back(limit: Limit, subject: str) -> None:
    """Un-count one try."""
    _limiter().hit(_item(limit), limit.name, _key(subject), cost=-1)


@contextmanager
def if_judged(*tries: tuple[Limit, str]) -> Iterator[None]:
    """Give tries back where the database was away, so that nobody judged what was tried.

    Who goes on trying to log in while it is away would else be locked out when it is back.
    """
    try:
        yield
    except Exception as error:
        if is_database_away(error):
            with suppress(RedisError, SQLAlchemyError):
                for limit, subject in tries:
                    give_back(limit, subject)
        raise


def forget(limit: Limit, subject: str) -> None:
    """Start the subject's count anew."""
    _limiter().clear(_item(limit), limit.name, _key(subject))


def network_of(address: str) -> str:
    """What to count a visitor's address as: itself, or of IPv6 the /64 that is one customer's."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))


class TryCount(Base):
    """A counter on the embedded default, where there is no Redis."""

    __tablename__ = "try_counts"

    key: Mapped[str] = mapped_column(String(512), primary_key=True)
    tries: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class DatabaseStorage(Storage):
    """Counters in the database, for the `limits` library."""

    STORAGE_SCHEME = None

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        moment = now()
        with write() as connection:
            over = TryCount.expires_at <= moment
            fresh = moment + timedelta(seconds=expiry)
            statement = (
                insert_or_update(connection, TryCount)
                .values(key=key, tries=amount, expires_at=fresh)
                .on_conflict_do_update(
                    index_elements=[TryCount.key],
                    set_={
                        "tries": case((over, amount), else_=TryCount.tries + amount),
                        "expires_at": case((over, fresh), else_=TryCount.expires_at),
                    },
                )
                .returning(TryCount.tries)
            )
            tries: int = connection.execute(statement).scalar_one()
        return tries

    def get(self, key: str) -> int:
        with read() as connection:
            return (
                connection.execute(
                    select(TryCount.tries).where(TryCount.key == key, TryCount.expires_at > now())
                ).scalar()
                or 0
            )

    def get_expiry(self, key: str) -> float:
        with read() as connection:
            expires_at = connection.execute(
                select(TryCount.expires_at).where(TryCount.key == key)
            ).scalar()
        return (expires_at or datetime.now(UTC)).timestamp()

    def check(self) -> bool:
        self.get("")
        return True

    def reset(self) -> int | None:
        with write() as connection:
            return connection.execute(delete(TryCount)).rowcount

    def clear(self, key: str) -> None:
        with write() as connection:
            connection.execute(delete(TryCount).where(TryCount.key == key))


def delete_expired(connection: Connection, moment: datetime) -> int:
    """Remove the counters that ended before `moment`; how many."""
    return connection.execute(delete(TryCount).where(TryCount.expires_at < moment)).rowcount


def _key(subject: str) -> str:
    """A subject as part of a key: whatever was typed, it is short, and it is kept nowhere."""
    return hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()


def _item(limit: Limit) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(limit.tries, limit.seconds)


def _limiter() -> FixedWindowRateLimiter:
    limiter: FixedWindowRateLimiter = current_app.extensions["limiter"]
    return limiter
