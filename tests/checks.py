"""What tests ask of the parts behind the pages, and how they do things at once."""

from __future__ import annotations

import email
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import default
from typing import Any

import httpx
from bs4 import BeautifulSoup, Tag
from flask import Flask
from sqlalchemy import func, select

from mailapp.accounts.models import Account
from mailapp.attachments.models import Blob
from mailapp.attachments.store import store
from mailapp.compose import drafts
from mailapp.compose.keys import DraftKey
from mailapp.compose.typed import Typed
from mailapp.database import read
from mailapp.mailbox.models import Conversation, Entry, Mailbox
from tests.people import Person


def original(reader: Person, subject: str = "", folder: str = "Inbox") -> EmailMessage:
    """The original of the message that is open, or of the one with `subject`."""
    if subject:
        reader.open(subject, folder)
    reader.follow("Show original")
    text = reader.response.content
    assert text.isascii()
    assert max(map(len, text.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(text, policy=default)
    for part in message.walk():
        assert not part.defects
    return message


def stored_objects(app: Flask) -> set[str]:
    """The keys of all that the store holds; every row's object is among it."""
    with app.app_context(), read() as connection:
        keys = {key for key, _ in store().list()}
        assert keys >= set(connection.scalars(select(Blob.key)))
        return keys


def account(app: Flask, name: str) -> int:
    """The account's id."""
    with app.app_context(), read() as connection:
        found = select(Account.id).where(Account.address.startswith(f"{name}@"))
        return connection.execute(found).scalar_one()


def draft(app: Flask, account_id: int, typed: Typed) -> uuid.UUID:
    """A new draft with this text."""
    draft_id = uuid.uuid4()
    with app.app_context():
        drafts.save(account_id, draft_id, typed, DraftKey(account_id, 0, draft_id))
    return draft_id


def at_once(acts: Sequence[Callable[[Flask], Any]], instances: list[Flask]) -> list[Any]:
    """What the acts give, eight at a time, on the instances in turn."""
    with ThreadPoolExecutor(8) as pool:
        begun = [
            pool.submit(act, instances[number % len(instances)]) for number, act in enumerate(acts)
        ]
        return [each.result(timeout=60) for each in begun]


def counts_are_right(app: Flask) -> None:
    """What triggers keep of mailboxes, conversations and accounts is what their entries give."""
    with app.app_context(), read() as connection:
        kept = connection.execute(select(Mailbox.id, Mailbox.total, Mailbox.unread)).all()
        counted = {
            row[0]: (row[1], row[2])
            for row in connection.execute(
                select(
                    Entry.mailbox_id,
                    func.count(),
                    func.count().filter(Entry.seen.is_(False)),
                ).group_by(Entry.mailbox_id)
            )
        }
        lists = connection.execute(select(Conversation)).all()
        entries = connection.execute(select(Entry).order_by(Entry.sort_at, Entry.id)).all()
        used = connection.execute(select(Account.id, Account.used_bytes)).all()
    assert {row[0]: (row[1], row[2]) for row in kept} == {
        row[0]: counted.get(row[0], (0, 0)) for row in kept
    }
    assert sorted(map(tuple, lists)) == sorted(_conversations(entries))
    assert {row.id: row.used_bytes for row in used} == {
        row.id: sum(entry.size for entry in entries if entry.account_id == row.id) for row in used
    }


def _conversations(entries: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of the table, as the entries, from the oldest, make them."""
    of_thread: dict[tuple[int, int], list[Any]] = {}
    for entry in entries:
        of_thread.setdefault((entry.mailbox_id, entry.thread_id), []).append(entry)
    return [
        (
            *place,
            found[-1].sort_at,
            found[-1].id,
            len(found),
            sum(not entry.seen for entry in found),
            sum(entry.starred for entry in found),
        )
        for place, found in of_thread.items()
    ]


def submit(
    writer: Person,
    changes: dict[str, str],
    files: Sequence[tuple[str, str, bytes]] = (),
    *,
    to: str = "",
    files_first: bool = False,
    by_script: bool = False,
) -> httpx.Response:
    """Post the compose form that is open with `changes` by its fields' names, byte for byte.

    A file is (file name as in the header, type, content), which no browser would check; `to` is
    another address than the form's own.
    """
    form = writer.page.find("form", id="compose")
    assert isinstance(form, Tag)
    fields = {
        str(field["name"]): str(field.get("value", "")) or field.text.removeprefix("\n")
        for field in form.select("input[type=hidden], input[type=text], textarea")
    }
    texts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode()
        for name, value in {**fields, **changes}.items()
    ]
    kept = [
        f'Content-Disposition: form-data; name="files"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        for name, kind, content in files
    ]
    proofs = len(form.select("input[type=hidden]"))
    parts = [*texts[:proofs], *kept, *texts[proofs:]] if files_first else [*texts, *kept]
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    if by_script:
        headers["Accept"] = "application/json"
    return writer.client.post(
        to or str(form["action"]),
        content=b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n",
        headers=headers,
    )


def alike(one: httpx.Response, other: httpx.Response) -> bool:
    """Whether two answers differ in nothing but who served which request, and its form's token."""

    def told(answer: httpx.Response) -> tuple[int, str, dict[str, str]]:
        headers = dict(answer.headers)
        text = answer.text.replace(headers.pop("x-request-id"), "")
        headers.pop("x-served-by")
        page = BeautifulSoup(text, "html.parser")
        for token in page.select("[name=csrf_token], [name=csrf-token], footer"):
            token.decompose()
        if "content-length" in headers:
            headers["content-length"] = str(len(page.text))
        return answer.status_code, str(page), headers

    return told(one) == told(other)
