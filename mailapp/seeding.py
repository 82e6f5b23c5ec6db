"""Two demo people with some mail between them, made by the same services that real people use."""

from __future__ import annotations

import io
import secrets
import struct
import uuid
import zlib

from sqlalchemy import select

from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.attachments.store import store
from mailapp.compose import services as compose
from mailapp.compose.keys import DraftKey, Mode
from mailapp.compose.services import Typed
from mailapp.database import read
from mailapp.mailbox.models import Entry
from mailapp.settings import current_settings

File = tuple[str, str, bytes]


def seed(*, admin: bool = False) -> list[tuple[str, str]]:
    """Make alice and bob and their mail: [(address, password)], empty when they are there already.

    The passwords are random, made here and kept nowhere. With `admin` alice is an operator.
    """
    domain = current_settings().mail_domain
    alice, bob = f"alice@{domain}", f"bob@{domain}"
    with read() as connection:
        known = select(Account.id).where(Account.address.in_((alice, bob)))
        if connection.execute(known).first() is not None:
            return []
    # Their passwords are told at the end: not to fail half-way for want of a store.
    store().check()
    logins = [(alice, secrets.token_urlsafe(12)), (bob, secrets.token_urlsafe(12))]
    try:
        alice_id = accounts.create(alice, "Alice Kim", logins[0][1])
    except accounts.Refused:
        return []  # another seed, started at the same moment, was quicker
    if admin:
        accounts.set_admin(alice, is_admin=True)
    bob_id = accounts.create(bob, "Bob Lee", logins[1][1])

    first = _send(
        alice_id,
        Typed(
            to=bob,
            subject="The plan for scaling out",
            body="Hi Bob,\n\nattached is the plan: first the database apart, then two web servers\n"
            "behind a load balancer, then sessions in Redis and attachments in object\nstorage. "
            "The picture shows the load of last week.\n\nAlice\n",
        ),
        [
            ("scale-out plan.txt", "text/plain", _PLAN.encode()),
            ("load last week.png", "image/png", _picture()),
        ],
    )
    answer = _send(
        bob_id,
        Typed(
            to=alice,
            subject="Re: The plan for scaling out",
            body="Looks right. What happens to somebody who is logged in on the server we stop?\n",
        ),
        source=("reply", first),
    )
    _send(
        alice_id,
        Typed(
            to=bob,
            subject="Re: The plan for scaling out",
            body="Nothing: their session is in Redis, so the next server knows them.\n"
            "Try it: log in, look at the foot of the page, and reload.\n",
        ),
        source=("reply", answer),
    )
    _send(
        bob_id,
        Typed(to=alice, subject="점심 식사", body="내일 12시에 같이 점심 먹을까요?\n"),
        [("식당 지도.txt", "text/plain", "시청역 2번 출구에서 왼쪽으로 100미터\n".encode())],
    )
    return logins


def _send(
    account_id: int,
    typed: Typed,
    files: list[File] | None = None,
    source: tuple[Mode, int] | None = None,
) -> int:
    """Write and send a message as its author would; the message's id."""
    draft_id = uuid.uuid4()
    mode, source_id = source or ("", None)
    compose.save(account_id, draft_id, typed, DraftKey(account_id, 0, draft_id, mode, source_id))
    for filename, content_type, content in files or []:
        stored = store().put(io.BytesIO(content), len(content))
        compose.attach(account_id, draft_id, uuid.uuid4(), stored, filename, content_type)
    entry_id = compose.send(account_id, draft_id)
    with read() as connection:
        return connection.execute(select(Entry.message_id).where(Entry.id == entry_id)).scalar_one()


def _picture() -> bytes:
    """A small bar chart as a PNG file."""
    width, height, bars = 280, 120, (35, 50, 42, 64, 80, 95, 72)
    rows = []
    for y in range(height):
        row = bytearray(b"\x00")
        for x in range(width):
            bar, inside = divmod(x, width // len(bars))
            filled = 6 <= inside < 34 and height - y <= bars[bar] * height // 100
            row += b"\x25\x63\xeb" if filled else b"\xf1\xf5\xf9"
        rows.append(bytes(row))

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


_PLAN = """Scaling out, step by step

1. One server for everything.
2. The database on a server of its own.
3. Two web servers behind a load balancer.
4. The balancer asks each server for its health, and drops one that is dead.
5. Sessions in Redis: whoever logs in on one server is known on all.
6. Attachments in object storage: uploaded through one, downloaded through another.
"""
