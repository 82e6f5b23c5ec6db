"""The collector takes what nothing needs, and never what anything does."""

from __future__ import annotations

import io
import os
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mailapp.accounts.models import Account
from mailapp.attachments import collector
from mailapp.attachments.collector import Report, collect
from mailapp.attachments.directory import DirectoryStore
from mailapp.attachments.models import Blob
from mailapp.attachments.services import discard, register
from mailapp.attachments.store import Store, StoreUnavailable, new_key
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.database import read, write
from mailapp.mail.models import Message, MessageBlob
from mailapp.mailbox.models import Entry, Mailbox
from tests.attachments.saving import save

DAY = timedelta(days=1)
NOTHING = Report(0, 0, 0, 0, 0, 0, 0, 0, 0)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def account(app: Flask) -> int:
    """The id of somebody with an inbox."""
    with write() as connection:
        account_id: int = connection.execute(
            insert(Account)
            .values(address="alice@mail.example", name="Alice", password_hash="-", created_at=now())
            .returning(Account.id)
        ).scalar_one()
        connection.execute(insert(Mailbox).values(account_id=account_id, role="inbox"))
    return account_id


def draft(account: int, blob_id: int | None = None, discarded: datetime | None = None) -> uuid.UUID:
    draft_id = uuid.uuid4()
    text = dict.fromkeys(("to", "cc", "bcc", "subject", "body", "in_reply_to", "references"), "")
    times = {"created_at": now(), "updated_at": now(), "discarded_at": discarded}
    with write() as connection:
        connection.execute(insert(Draft).values(id=draft_id, account_id=account, **text, **times))
    if blob_id is not None:
        attach(draft_id, blob_id)
    return draft_id


def attach(draft_id: uuid.UUID, blob_id: int, connection: Any = None) -> None:
    row = insert(DraftAttachment).values(
        id=uuid.uuid4(),
        draft_id=draft_id,
        blob_id=blob_id,
        filename="a",
        content_type="a/b",
        size=1,
        created_at=now(),
    )
    if connection is not None:
        connection.execute(row)
        return
    with write() as own:
        own.execute(row)


def message(account: int, blob_id: int, *, held: bool) -> int:
    text = dict.fromkeys(
        ("subject", "from_name", "from_address", "to_preview", "text_body", "preview"), ""
    )
    with write() as connection:
        message_id: int = connection.execute(
            insert(Message)
            .values(
                message_id=str(uuid.uuid4()),
                sender_id=account,
                created_at=now(),
                headers=[],
                attachments=[],
                attachment_count=1,
                **text,
            )
            .returning(Message.id)
        ).scalar_one()
        connection.execute(insert(MessageBlob).values(message_id=message_id, blob_id=blob_id))
        if held:
            mailbox = connection.execute(select(Mailbox.id)).scalar_one()
            connection.execute(
                insert(Entry).values(
                    account_id=account,
                    mailbox_id=mailbox,
                    message_id=message_id,
                    seen=False,
                    sort_at=now(),
                    modseq=1,
                )
            )
    return message_id


def upload(content: bytes) -> int:
    return save(io.BytesIO(content), limit=len(content)).blob_id


def count(table: Any) -> int:
    with read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def object_count(app: Flask) -> int:
    return len(list(app.extensions["attachments"].list()))


def test_what_a_draft_or_a_message_refers_to_stays(app: Flask, account: int) -> None:
    draft(account, upload(b"in a draft"))
    message(account, upload(b"in a message"), held=True)

    assert collect(now() + 400 * DAY, DAY) == NOTHING
    assert (count(Blob), object_count(app)) == (2, 2)


def test_what_nothing_refers_to_goes_after_the_grace(app: Flask) -> None:
    upload(b"12345")

    assert collect(now() + DAY / 2, DAY) == NOTHING
    report = collect(now() + 2 * DAY, DAY)

    assert (report.blobs, report.size, report.objects) == (1, 5, 0)
    assert (count(Blob), object_count(app)) == (0, 0)


def test_what_is_uploaded_again_has_its_grace_again(app: Flask) -> None:
    blob_id = upload(b"x")
    with write() as connection:
        connection.execute(update(Blob).values(last_used_at=now() - 9 * DAY))

    assert upload(b"x") == blob_id

    assert collect(now(), DAY) == NOTHING


def test_a_message_goes_when_nobody_holds_it_and_its_attachment_with_it(
    app: Flask, account: int
) -> None:
    message(account, upload(b"x"), held=False)
    message(account, upload(b"y"), held=True)

    assert collect(now() + DAY / 2, DAY) == NOTHING
    report = collect(now() + 2 * DAY, DAY)

    assert (report.messages, report.blobs) == (1, 1)
    assert (count(Message), count(MessageBlob), object_count(app)) == (1, 1, 1)


def test_a_discarded_draft_goes_after_a_month_and_others_never(app: Flask, account: int) -> None:
    draft(account)
    draft(account, upload(b"x"), discarded=now() - 31 * DAY)
    kept = draft(account, upload(b"y"), discarded=now() - 29 * DAY)

    report = collect(now() + DAY / 2, timedelta(0))

    assert (report.drafts, report.blobs) == (1, 1)
    assert count(Draft) == 2
    with read() as connection:
        assert connection.scalars(select(DraftAttachment.draft_id)).all() == [kept]


def test_an_object_without_a_row_goes_but_never_one_just_written(app: Flask, account: int) -> None:
    app.extensions["attachments"].put(io.BytesIO(b"half an upload"), 99)
    draft(account, upload(b"whole"))

    assert collect(now(), timedelta(0)).objects == 0
    report = collect(now() + timedelta(hours=2), timedelta(0))

    assert (report.objects, report.blobs) == (1, 0)
    assert object_count(app) == 1


def test_what_a_broken_off_write_left_is_swept(app: Flask, tmp_path: Path) -> None:
    left = tmp_path / "data" / "attachments" / ".tmp" / new_key()
    left.write_bytes(b"half")

    assert collect(now(), timedelta(0)).unfinished == 0
    assert collect(now() + timedelta(hours=2), timedelta(0)).unfinished == 1
    assert not left.exists()


def test_more_than_a_batch_is_collected(
    app: Flask, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "BATCH", 7)
    kept = [upload(b"kept %d" % n) for n in range(10)]
    for blob_id in kept:
        draft(account, blob_id)
    for n in range(30):
        message(account, upload(b"gone %d" % n), held=False)
    for _ in range(16):
        app.extensions["attachments"].put(io.BytesIO(b"no row"), 99)
        draft(account, discarded=now() - 40 * DAY)

    report = collect(now() + 2 * DAY, DAY)

    assert (report.messages, report.blobs, report.objects, report.drafts) == (30, 30, 16, 16)
    assert (count(Blob), object_count(app)) == (10, 10)


def test_a_store_that_is_away_keeps_the_rows_that_lead_to_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(b"x")

    def away() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(app.extensions["attachments"], "check", away)
    with pytest.raises(StoreUnavailable):
        collect(now() + 2 * DAY, DAY)

    assert count(Blob) == 1
    monkeypatch.undo()
    assert collect(now() + 2 * DAY, DAY).blobs == 1


def test_a_crash_between_row_and_object_is_made_good_by_the_next_run(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(b"x")

    def crash(key: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app.extensions["attachments"], "delete", crash)
    with pytest.raises(KeyboardInterrupt):
        collect(now() + 2 * DAY, DAY)

    assert (count(Blob), object_count(app)) == (0, 1)
    monkeypatch.undo()
    assert collect(now() + 2 * DAY, DAY).objects == 1


def test_a_reference_that_is_being_made_keeps_its_blob(app: Flask, account: int) -> None:
    draft_id = draft(account)
    blob_id = upload(b"x")
    with write() as connection:
        connection.execute(update(Blob).values(last_used_at=now() - 9 * DAY))
    made, collected = threading.Event(), threading.Event()

    def refer() -> None:
        with app.app_context(), write() as connection:
            attach(draft_id, blob_id, connection)
            made.set()
            collected.wait(0.5)  # SQLite's collector waits for us, PostgreSQL's need not

    def run() -> Report:
        with app.app_context():
            made.wait()
            try:
                return collect(now(), timedelta(0))
            finally:
                collected.set()

    with ThreadPoolExecutor(2) as pool:
        referring, running = pool.submit(refer), pool.submit(run)
        referring.result()

        assert running.result().blobs == 0
    assert (count(Blob), object_count(app)) == (1, 1)


def test_beside_uploads_and_forwards_no_reference_ever_loses_its_object(
    app: Flask, account: int
) -> None:
    """Few contents, many hands, no grace at all: the worst that can be."""
    contents = [os.urandom(2000) for _ in range(4)]
    draft_ids = [draft(account) for _ in range(4)]
    store: Store = app.extensions["attachments"]
    end = time.monotonic() + 4
    done = {"uploaded": 0, "refused": 0, "removed": 0, "collected": 0}

    def upload_and_refer() -> None:
        """As the compose room does: the row and its reference in one transaction."""
        content = random.choice(contents)
        stored = store.put(io.BytesIO(content), limit=9999)
        with write() as connection:
            registered = register(connection, stored)
            attach(random.choice(draft_ids), registered.blob_id, connection)
        if registered.surplus:
            discard(stored)
        done["uploaded"] += 1

    def upload_then_refer() -> None:
        """In two: the row may be gone in between, and the database then says so."""
        blob_id = upload(random.choice(contents))
        try:
            attach(random.choice(draft_ids), blob_id)
        except IntegrityError:
            done["refused"] += 1

    def remove() -> None:
        time.sleep(0.01)
        with write() as connection:
            done["removed"] += connection.execute(
                update(DraftAttachment)
                .where(DraftAttachment.blob_id.is_not(None))
                .values(blob_id=None, removed_at=now())
            ).rowcount

    def gather() -> None:
        done["collected"] += collect(now(), timedelta(0)).blobs

    def repeat(action: Callable[[], None]) -> None:
        with app.app_context():
            while time.monotonic() < end:
                action()

    actions = [upload_and_refer] * 3 + [upload_then_refer, remove, gather, gather]
    with ThreadPoolExecutor(len(actions)) as pool:
        for running in [pool.submit(repeat, action) for action in actions]:
            running.result()

    assert min(done["uploaded"], done["removed"], done["collected"]) > 5, done
    with read() as connection:
        referred = connection.execute(
            select(Blob.key, Blob.size).join(DraftAttachment, DraftAttachment.blob_id == Blob.id)
        ).all()
        keys = set(connection.scalars(select(Blob.key)))
    for key, size in referred:
        with store.open(key) as stream:
            assert sum(map(len, stream)) == size
    assert keys <= {key for key, _ in store.list()}


def test_a_folder_is_collected_while_another_store_s_files_stay(tmp_path: Path) -> None:
    root = tmp_path / "shared"
    store = DirectoryStore(root)
    store.prepare()
    (root / "ab").mkdir()
    (root / "ab" / "somebody's notes.txt").write_text("not ours")
    (root / ".tmp" / "something").write_text("not ours")

    assert list(store.list()) == []
    assert store.sweep(now() + DAY) == 0
