"""Sessions, shared by all instances: in Redis, or in the database where no Redis is configured.

Built on Flask-Session, with what a log-out that is final asks for on top:

- JSON only. Flask-Session 0.8 falls back to pickle when it can't read a value; here an unreadable
  session is no session.
- One round trip a request, which reads the session and moves its expiry on. It is written only
  when something in it changed, and only over itself: a request that was under way while the
  person logged out can't bring the session back.
- A new id at log-in. The store knows only the hash of an id, so reading it signs nobody in.
- The cookie outlives any session. The store alone decides when one ends, so that a late answer
  never has to set the cookie again, over a newer one.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar, cast

import msgspec
import redis
from flask import Flask, Request, Response, current_app, request, session
from flask_session.base import Serializer, ServerSideSession, ServerSideSessionInterface
from sqlalchemy import (
    Connection,
    Index,
    LargeBinary,
    String,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime, now, read, write
from mailapp.errors import Unavailable, is_database_away
from mailapp.live import news
from mailapp.queries import Query, among
from mailapp.redis import Client, redis_client
from mailapp.settings import Settings

View = TypeVar("View", bound=Callable[..., Any])

COOKIE = "mailapp_session"

# The longest that browsers keep a cookie.
COOKIE_LIFETIME = timedelta(days=400)

# A visitor who never logs in leaves a session behind that is worth little: it ends after this time,
# visits or not. Their ids are told apart by how they begin.
ANONYMOUS_LIFETIME = 86400
_ANONYMOUS = "~"

# Paths that never look at a session: a health check must not hang on Redis, a style sheet not wait.
_WITHOUT_SESSION = ("/static/", "/livez", "/healthz")

# What a page asks for by itself as long as it is open, and the header that says so of all else. It
# is no visit: a window that somebody left open must not keep their session alive for good.
_NO_VISIT = ("/admin/cluster/now", "/live", "/live/state")
BY_ITSELF = "X-By-Itself"


@dataclass(frozen=True)
class SessionInfo:
    """A session as its owner sees it. `handle` names it without being able to open it."""

    handle: str
    created_at: datetime
    last_seen_at: datetime
    address: str
    agent: str
    current: bool


class SessionStore(Protocol):
    """Where sessions are. Ids are hashes of what the browser holds; `lifetime` is in seconds."""

    def load(self, store_id: str, *, sliding: bool) -> bytes | None:
        """The session or None; with `sliding`, this visit moves its end on by the lifetime."""

    def create(self, store_id: str, data: bytes, lifetime: int, account_id: int | None) -> None:
        """Store a session that did not exist before."""

    def replace(self, store_id: str, data: bytes, lifetime: int) -> None:
        """Store over an existing session; one that has ended meanwhile stays ended."""

    def delete(self, store_id: str, account_id: int | None) -> bool:
        """End a session; False where there was none."""

    def of_account(self, account_id: int) -> Iterable[tuple[str, bytes, int]]:
        """Every live session of an account: id, data, seconds since the last visit."""

    def alive(self, store_ids: Sequence[str]) -> set[str]:
        """Which of these have not ended. This is no visit."""


class UserSession(ServerSideSession):  # type: ignore[misc]  # Flask-Session has no types
    """A session and what this request knows of its place in the store.

    `stored` is whether the store holds it; `failure` is set when the store could not be asked, and
    `aside` where it was not: whatever is put into such a session is forgotten, because writing it
    would take the place of the session that the visitor may have.
    """

    stored = False
    aside = False
    failure: Exception | None = None


class _JsonSerializer(Serializer):  # type: ignore[misc]
    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(dict[str, Any])

    def encode(self, session: UserSession) -> bytes:
        return self._encoder.encode(dict(session))

    def decode(self, serialized_data: bytes) -> dict[str, Any]:
        return self._decoder.decode(serialized_data)


class StoredSessions(ServerSideSessionInterface):  # type: ignore[misc]
    """Flask's sessions on a SessionStore."""

    session_class = UserSession
    serializer: _JsonSerializer

    def __init__(self, app: Flask, store: SessionStore, settings: Settings) -> None:
        super().__init__(app, key_prefix="", permanent=False, cleanup_n_requests=None)
        self.serializer = _JsonSerializer()
        self.store = store
        self.lifetime = settings.session_lifetime
        self.always_secure = settings.cookie_secure == "always"

    def open_session(self, app: Flask, request: Request) -> UserSession:
        """The visitor's session; a new one where there is none, a failed one without an answer."""
        if request.path.startswith(_WITHOUT_SESSION):
            without = UserSession()
            without.aside = True
            return without
        sid = request.cookies.get(COOKIE)
        if sid:
            try:
                data = self._retrieve_session_data(
                    self._get_store_id(sid),
                    sliding=not sid.startswith(_ANONYMOUS) and is_visit(request),
                )
            except (redis.RedisError, SQLAlchemyError) as error:
                # Raised here it would be a bare 500; _report_failure raises it in time for a page.
                failed = UserSession(sid=sid)
                failed.failure = error
                return failed
            if data is not None:
                found = UserSession(data, sid=sid)
                found.stored = True
                return found
        return UserSession(sid=self._anonymous_sid())

    def save_session(self, app: Flask, session: UserSession, response: Response) -> None:
        """Write what changed, and set the cookie when the id is new."""
        if session.accessed or session.modified:
            response.headers.add("Vary", "Cookie")
        if not session.modified or session.aside or session.failure is not None:
            return
        try:
            self._write(session, response)
        except (redis.RedisError, SQLAlchemyError) as error:
            # Noted, so that the error page that follows does not try the same again.
            session.failure = error
            if session.stored and response.location:
                # The view has done its work, a send perhaps, and the session lives on: what is
                # lost is the notice for the next page.
                current_app.logger.warning("a notice could not be stored", exc_info=error)
                return
            raise

    def _write(self, session: UserSession, response: Response) -> None:
        if not session:
            if session.stored:
                self._delete_session(self._get_store_id(session.sid))
            response.delete_cookie(COOKIE, path="/")
            return
        new = not session.stored
        self._upsert_session(
            timedelta(seconds=self.lifetime), session, self._get_store_id(session.sid)
        )
        if new:
            response.set_cookie(
                COOKIE,
                session.sid,
                max_age=COOKIE_LIFETIME,
                path="/",
                secure=self.always_secure or request.is_secure,
                httponly=True,
                samesite="Lax",
            )

    def renew(self, session: UserSession) -> bool:
        """Give the session a new id, the old one ended: what makes a planted id worthless.

        False where the old one was not there any more.
        """
        was_there = session.stored and self.store.delete(
            self._get_store_id(session.sid), session.get("account")
        )
        session.sid = self._generate_sid(self.sid_length)
        session.stored, session.modified = False, True
        return was_there

    def end(self, session: UserSession) -> None:
        """End the session now, not only when the answer has been made."""
        if session.stored:
            self.store.delete(self._get_store_id(session.sid), session.get("account"))
            session.stored = False
        session.clear()
        # What follows, such as a notice for the next page, belongs to a session of its own.
        session.sid = self._anonymous_sid()

    def _get_store_id(self, sid: str) -> str:
        return hashlib.sha256(sid.encode()).hexdigest()

    def _anonymous_sid(self) -> str:
        return _ANONYMOUS + cast(str, self._generate_sid(self.sid_length))

    def _retrieve_session_data(
        self, store_id: str, *, sliding: bool = False
    ) -> dict[str, Any] | None:
        data = self.store.load(store_id, sliding=sliding)
        return None if data is None else self.decoded(data)

    def decoded(self, data: bytes) -> dict[str, Any] | None:
        """What a stored session holds, or None where it is nothing that we have written."""
        try:
            return self.serializer.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _delete_session(self, store_id: str) -> None:
        self.store.delete(store_id, None)

    def _upsert_session(
        self, session_lifetime: timedelta, session: UserSession, store_id: str
    ) -> None:
        account = session.get("account")
        seconds = int(session_lifetime.total_seconds()) if account else ANONYMOUS_LIFETIME
        data = self.serializer.encode(session)
        if session.stored:
            self.store.replace(store_id, data, seconds)
        else:
            self.store.create(store_id, data, seconds, account)


class RedisSessions:
    """Sessions in Redis, each a key that expires, and one set of ids an account."""

    def __init__(self, client: Client, lifetime: int) -> None:
        self.client = client
        self.lifetime = lifetime

    def load(self, store_id: str, *, sliding: bool) -> bytes | None:
        key = f"session:{store_id}"
        command = ("GETEX", key, "EX", self.lifetime) if sliding else ("GET", key)
        return cast("bytes | None", self.client.ask(*command))

    def create(self, store_id: str, data: bytes, lifetime: int, account_id: int | None) -> None:
        if account_id is None:
            self.client.set(f"session:{store_id}", data, ex=lifetime)
            return
        ended = [known for known, alive in self._alive(account_id) if alive is None]
        with self.client.pipeline(transaction=True) as pipe:
            pipe.set(f"session:{store_id}", data, ex=lifetime)
            pipe.sadd(f"sessions-of:{account_id}", store_id)
            if ended:
                pipe.srem(f"sessions-of:{account_id}", *ended)
            pipe.execute()

    def replace(self, store_id: str, data: bytes, lifetime: int) -> None:
        self.client.ask("SET", f"session:{store_id}", data, "EX", lifetime, "XX")

    def delete(self, store_id: str, account_id: int | None) -> bool:
        if account_id is None:
            return bool(self.client.delete(f"session:{store_id}"))
        with self.client.pipeline(transaction=True) as pipe:
            pipe.delete(f"session:{store_id}")
            pipe.srem(f"sessions-of:{account_id}", store_id)
            # Pages that are still open in it are told of nothing more.
            pipe.publish(news.channel(account_id), news.SESSION_ENDED)
            return bool(pipe.execute()[0])

    def of_account(self, account_id: int) -> Iterable[tuple[str, bytes, int]]:
        alive = [(store_id, data) for store_id, data in self._alive(account_id) if data is not None]
        with self.client.pipeline(transaction=False) as pipe:
            for store_id, _ in alive:
                pipe.ttl(f"session:{store_id}")
            remaining = pipe.execute() if alive else []
        # Every visit sets the expiry to the whole lifetime, so what is missing of it is the time
        # since: knowing when somebody was last here costs no write.
        return [
            (store_id, data, max(0, self.lifetime - left))
            for (store_id, data), left in zip(alive, remaining, strict=True)
        ]

    def alive(self, store_ids: Sequence[str]) -> set[str]:
        with self.client.pipeline(transaction=False) as pipe:
            for store_id in store_ids:
                pipe.exists(f"session:{store_id}")
            answers = pipe.execute() if store_ids else []
        return {store_id for store_id, is_there in zip(store_ids, answers, strict=True) if is_there}

    def _alive(self, account_id: int) -> list[tuple[str, bytes | None]]:
        members = cast("set[bytes]", self.client.smembers(f"sessions-of:{account_id}"))
        ids = sorted(member.decode() for member in members)
        if not ids:
            return []
        values = cast(
            "list[bytes | None]", self.client.mget([f"session:{store_id}" for store_id in ids])
        )
        return list(zip(ids, values, strict=True))


class StoredSession(Base):
    """A session on the embedded default, where there is no Redis."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "account_id"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int | None] = mapped_column(BigId)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


_ALIVE = Query(
    select(StoredSession.id).where(
        among(StoredSession.id, "ids"), StoredSession.expires_at > bindparam("moment")
    )
)


class DatabaseSessions:
    """Sessions in the database: shared by every process that uses it, and there after a restart."""

    def __init__(self, lifetime: int) -> None:
        self.lifetime = lifetime

    def load(self, store_id: str, *, sliding: bool) -> bytes | None:
        with read() as connection:
            row = connection.execute(
                select(
                    StoredSession.data, StoredSession.expires_at, StoredSession.account_id
                ).where(StoredSession.id == store_id, StoredSession.expires_at > now())
            ).one_or_none()
        if row is None:
            return None
        expires_at = now() + timedelta(seconds=self.lifetime)
        # Moved on in steps of a minute: a read must not cost a write every time.
        if sliding and expires_at - row.expires_at > timedelta(minutes=1):
            with write() as connection:
                connection.execute(
                    update(StoredSession)
                    .where(StoredSession.id == store_id)
                    .values(expires_at=expires_at)
                )
        return bytes(row.data)

    def create(self, store_id: str, data: bytes, lifetime: int, account_id: int | None) -> None:
        with write() as connection:
            connection.execute(
                insert(StoredSession).values(
                    id=store_id,
                    account_id=account_id,
                    data=data,
                    expires_at=now() + timedelta(seconds=lifetime),
                )
            )

    def replace(self, store_id: str, data: bytes, lifetime: int) -> None:
        with write() as connection:
            connection.execute(
                update(StoredSession)
                .where(StoredSession.id == store_id)
                .values(data=data, expires_at=now() + timedelta(seconds=lifetime))
            )

    def delete(self, store_id: str, account_id: int | None) -> bool:
        with write() as connection:
            ended = connection.execute(delete(StoredSession).where(StoredSession.id == store_id))
            return ended.rowcount == 1

    def of_account(self, account_id: int) -> Iterable[tuple[str, bytes, int]]:
        with read() as connection:
            rows = connection.execute(
                select(StoredSession.id, StoredSession.data, StoredSession.expires_at)
                .where(StoredSession.account_id == account_id, StoredSession.expires_at > now())
                .order_by(StoredSession.id)
            ).all()
        whole = timedelta(seconds=self.lifetime)
        return [
            (row.id, row.data, max(0, int((whole - (row.expires_at - now())).total_seconds())))
            for row in rows
        ]

    def alive(self, store_ids: Sequence[str]) -> set[str]:
        rows = _ALIVE.read(ids=list(store_ids), moment=now())
        return {row.id for row in rows}


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its sessions."""
    with app.app_context():
        client = redis_client()
    store: SessionStore = (
        DatabaseSessions(settings.session_lifetime)
        if client is None
        else RedisSessions(client, settings.session_lifetime)
    )
    app.config["SESSION_COOKIE_NAME"] = COOKIE
    app.session_interface = StoredSessions(app, store, settings)
    app.before_request(_report_failure)


def check_store() -> None:
    """Ask the embedded store for a session that is not there; raise what the database raises."""
    with read() as connection:
        connection.execute(select(StoredSession.id).where(StoredSession.id == "")).all()


def start(account_id: int, epoch: int) -> None:
    """Make this visitor's session that of an account, under a new id."""
    current = _current()
    _interface().renew(current)
    _fill(current, account_id, epoch)


def carry_on(account_id: int, epoch: int) -> bool:
    """Go on under a new id and epoch, as after a change of the password.

    False, with nobody signed in, where the session was ended while the request was under way: a
    log-out is final, whatever it met.
    """
    current = _current()
    if not _interface().renew(current):
        current.clear()
        return False
    _fill(current, account_id, epoch)
    return True


def end() -> None:
    """End this visitor's session, on every instance, now."""
    _interface().end(_current())


def optional(view: View) -> View:
    """Mark a view that can do without a session, so is asked even when the store is away."""
    view.session_is_optional = True  # type: ignore[attr-defined]
    return view


def failed() -> bool:
    """Whether this request's session could not be read, because the store did not answer."""
    return _current().failure is not None


def is_visit(asked: Request) -> bool:
    """Whether a person did this, and not a page by itself, as it does for as long as it is open."""
    return asked.path not in _NO_VISIT and BY_ITSELF not in asked.headers


def handle() -> str:
    """What names this visitor's session without being able to open it."""
    return _interface()._get_store_id(_current().sid)


def alive(handles: Sequence[str]) -> set[str]:
    """Which of these sessions have not ended. Asking is no visit."""
    return _interface().store.alive(handles)


def list_sessions(account_id: int) -> list[SessionInfo]:
    """The account's live sessions, this one first, then the most recently used."""
    interface, here = _interface(), _interface()._get_store_id(_current().sid)
    sessions = []
    for store_id, data, idle in interface.store.of_account(account_id):
        values = interface.decoded(data)
        if values is None:
            continue
        sessions.append(
            SessionInfo(
                handle=store_id,
                created_at=datetime.fromtimestamp(values["since"], UTC),
                last_seen_at=now() - timedelta(seconds=idle),
                address=values["address"],
                agent=values["agent"],
                current=store_id == here,
            )
        )
    sessions.sort(key=lambda info: (info.current, info.last_seen_at), reverse=True)
    return sessions


def end_one(account_id: int, handle: str) -> bool:
    """End the account's session of that handle; False when it has none such."""
    interface = _interface()
    if all(store_id != handle for store_id, _, _ in interface.store.of_account(account_id)):
        return False
    interface.store.delete(handle, account_id)
    return True


def end_others(account_id: int) -> int:
    """End every session of the account but this one; how many there were."""
    interface, here = _interface(), _interface()._get_store_id(_current().sid)
    handles = {store_id for store_id, _, _ in interface.store.of_account(account_id)} - {here}
    return sum(interface.store.delete(handle, account_id) for handle in handles)


def end_all(account_id: int) -> None:
    """End every session of the account (for the command line, where no session is current)."""
    store = _interface().store
    for store_id, _, _ in store.of_account(account_id):
        store.delete(store_id, account_id)


def delete_expired(connection: Connection, moment: datetime) -> int:
    """Remove the embedded store's sessions that ended before `moment`; how many."""
    return connection.execute(
        delete(StoredSession).where(StoredSession.expires_at < moment)
    ).rowcount


def _fill(current: UserSession, account_id: int, epoch: int) -> None:
    current.clear()
    current.update(
        account=account_id,
        epoch=epoch,
        since=int(time.time()),
        address=request.remote_addr or "",
        agent=request.user_agent.string[:200],
        # Flask-WTF's, made now: of two first pages at once each would make one of its own, and
        # the form of one of them would be out of date.
        csrf_token=secrets.token_hex(20),
    )


def _interface() -> StoredSessions:
    return cast(StoredSessions, current_app.session_interface)


def _current() -> UserSession:
    return cast(UserSession, session._get_current_object())  # type: ignore[attr-defined]


def _report_failure() -> None:
    failure = _current().failure
    if failure is None:
        return
    current_app.logger.warning("sessions unavailable", exc_info=failure)
    view = current_app.view_functions.get(request.endpoint or "")
    if getattr(view, "session_is_optional", False):
        return
    if isinstance(failure, SQLAlchemyError) and not is_database_away(failure):
        raise failure
    raise Unavailable("database" if isinstance(failure, SQLAlchemyError) else "redis")
