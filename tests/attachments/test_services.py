"""Equal content is one row and one object, however many bring it at once."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import func, select

from mailapp.attachments.models import Blob
from mailapp.attachments.store import Store, StoreUnavailable, TooLarge
from mailapp.database import read
from tests.attachments.saving import SavedBlob, save


def objects(app: Flask) -> list[str]:
    store: Store = app.extensions["attachments"]
    return [key for key, _ in store.list()]


def rows() -> int:
    with read() as connection:
        return connection.execute(select(func.count()).select_from(Blob)).scalar_one()


def test_the_same_content_again_is_the_same_row_and_no_second_object(app: Flask) -> None:
    first = save(io.BytesIO(b"same"), limit=9)
    second = save(io.BytesIO(b"same"), limit=9)
    other = save(io.BytesIO(b"other"), limit=9)

    assert first == second
    assert other.blob_id != first.blob_id
    assert (rows(), len(objects(app))) == (2, 2)


def test_using_a_content_again_is_noted(app: Flask) -> None:
    def last_used(blob_id: int) -> object:
        with read() as connection:
            return connection.scalar(select(Blob.last_used_at).where(Blob.id == blob_id))

    blob_id = save(io.BytesIO(b"same"), limit=9).blob_id
    before = last_used(blob_id)
    save(io.BytesIO(b"same"), limit=9)

    assert last_used(blob_id) != before


def test_one_content_brought_by_many_at_once_is_kept_once(app: Flask) -> None:
    def upload(_: int) -> SavedBlob:
        with app.app_context():
            return save(io.BytesIO(b"x" * 100_000), limit=100_000)

    with ThreadPoolExecutor(8) as pool:
        saved = set(pool.map(upload, range(40)))

    assert len(saved) == 1
    assert (rows(), len(objects(app))) == (1, 1)


def test_what_is_too_large_leaves_neither_row_nor_object(app: Flask) -> None:
    with pytest.raises(TooLarge):
        save(io.BytesIO(b"12345"), limit=4)

    assert (rows(), objects(app)) == (0, [])


def test_a_surplus_object_that_can_not_be_deleted_now_does_not_fail_the_upload(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(key: str) -> None:
        raise StoreUnavailable("gone")

    first = save(io.BytesIO(b"same"), limit=9)
    monkeypatch.setattr(app.extensions["attachments"], "delete", away)

    assert save(io.BytesIO(b"same"), limit=9) == first
