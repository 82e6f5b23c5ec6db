"""A store that is hung, gone, or back again: said in time, and forgotten as soon as it is over."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from urllib3 import PoolManager

from deploy.topology import SeaweedFS
from mailapp.attachments.s3 import S3Store
from mailapp.attachments.store import PIECE, StoreUnavailable

TIMEOUT = 1.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A server of this module's own, because it is paused and killed."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as started:
        yield started


@pytest.fixture
def store(server: SeaweedFS, make_s3: Callable[..., S3Store]) -> S3Store:
    made = make_s3(server, timeout=TIMEOUT)
    made.prepare()
    return made


@contextmanager
def hung(server: SeaweedFS) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


def seconds_until_unavailable(action: Callable[[], object]) -> float:
    start = time.monotonic()
    with pytest.raises(StoreUnavailable):
        action()
    return time.monotonic() - start


class Endless:
    """A stream that goes on until it is told to stop."""

    def __init__(self) -> None:
        self.given = 0
        self.parts_given = threading.Event()

    def readinto(self, buffer: memoryview, /) -> int:
        self.given += len(buffer)
        if self.given > 3 * PIECE:
            self.parts_given.set()
        time.sleep(0.001)
        return len(buffer)


def test_a_hung_store_is_given_up_in_time_and_used_again_when_it_moves(
    server: SeaweedFS, store: S3Store
) -> None:
    key = store.put(io.BytesIO(b"before"), limit=9).key

    with hung(server):
        actions: list[Callable[[], object]] = [
            lambda: store.put(io.BytesIO(b"x"), limit=9),
            lambda: store.put(io.BytesIO(bytes(3 * PIECE)), limit=3 * PIECE),
            lambda: store.open(key),
            lambda: store.delete(key),
            lambda: list(store.list()),
        ]
        waits = [seconds_until_unavailable(action) for action in actions]
        check = seconds_until_unavailable(store.check)

    assert max(waits) < TIMEOUT + 1
    assert check < 1.5
    store.check()
    assert store.put(io.BytesIO(b"after"), limit=9)


def test_a_store_that_hangs_in_the_middle_of_an_upload_ends_it(
    server: SeaweedFS, store: S3Store
) -> None:
    stream = Endless()
    failed: list[float] = []

    def upload() -> None:
        with pytest.raises(StoreUnavailable):
            store.put(stream, limit=1 << 40)
        failed.append(time.monotonic())

    thread = threading.Thread(target=upload)
    thread.start()
    assert stream.parts_given.wait(10)
    with hung(server):
        paused = time.monotonic()
        thread.join(10)

    assert failed[0] - paused < TIMEOUT + 1


def test_a_killed_store_is_said_at_once_and_used_again_without_a_restart(
    server: SeaweedFS, store: S3Store
) -> None:
    key = store.put(io.BytesIO(b"kept"), limit=9).key
    server.kill()

    assert seconds_until_unavailable(lambda: store.put(io.BytesIO(b"x"), limit=9)) < 0.5
    assert seconds_until_unavailable(lambda: store.open(key)) < 0.5
    assert seconds_until_unavailable(store.check) < 0.5

    server.start()
    with store.open(key) as kept:
        assert b"".join(kept) == b"kept"


def test_a_store_that_restarts_between_two_requests_costs_none_of_them(
    server: SeaweedFS, store: S3Store
) -> None:
    store.put(io.BytesIO(b"leaves a connection open"), limit=99)
    server.kill()
    server.start()

    assert store.put(io.BytesIO(b"on a new one"), limit=99)


@pytest.mark.parametrize("size", [0, 9, PIECE + 1])
def test_the_store_is_told_what_hash_it_must_find(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    sent = []
    urlopen = PoolManager.urlopen

    def note(self: PoolManager, *where: Any, **options: Any) -> Any:
        if options["body"] is not None:
            sent.append((bytes(options["body"]), options["headers"]["x-amz-content-sha256"]))
        return urlopen(self, *where, **options)

    monkeypatch.setattr(PoolManager, "urlopen", note)
    store.put(io.BytesIO(bytes(size)), limit=size)

    assert sent
    assert all(hashlib.sha256(body).hexdigest() == told for body, told in sent)


def test_wrong_keys_are_a_store_that_refuses(
    server: SeaweedFS, make_s3: Callable[..., S3Store]
) -> None:
    stranger = make_s3(server)
    stranger._secret_key = "wrong"

    with pytest.raises(StoreUnavailable, match="refuses"):
        stranger.check()
    with pytest.raises(StoreUnavailable, match="SignatureDoesNotMatch"):
        stranger.put(io.BytesIO(b"x"), limit=1)


def test_an_address_where_nothing_answers_is_given_up_in_a_second() -> None:
    nowhere = S3Store(
        "http://192.0.2.1:9000",  # reserved for documentation (RFC 5737): no such machine
        access_key="a",
        secret_key="b",
        bucket="attachments",
        region="us-east-1",
        timeout=3,
        connections=1,
    )

    assert seconds_until_unavailable(lambda: nowhere.open("0" * 32)) < 1.5
    assert seconds_until_unavailable(nowhere.check) < 1.5
