"""What both stores promise."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from deploy.topology import SeaweedFS
from mailapp.attachments.directory import DirectoryStore
from mailapp.attachments.store import PIECE, Begun, Gone, Store, StoreUnavailable, TooLarge, new_key

MIB = 1024 * 1024


class Trickle:
    """A stream that gives a few bytes at a time, then ends or raises."""

    def __init__(self, data: bytes, step: int, error: Exception | None = None) -> None:
        self._data = io.BytesIO(data)
        self._step = step
        self._error = error
        self.given = 0

    def readinto(self, buffer: memoryview, /) -> int:
        size = self._data.readinto(buffer[: self._step])
        self.given += size
        if not size and self._error:
            raise self._error
        return size


def content(store: Store, key: str, start: int = 0, length: int | None = None) -> bytes:
    with store.open(key, start, length) as stream:
        return b"".join(stream)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 12345])
def test_what_is_put_is_what_is_opened(store: Store, size: int) -> None:
    data = os.urandom(size)

    stored = store.put(io.BytesIO(data), limit=size)

    assert (stored.size, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert content(store, stored.key) == data


def test_a_stream_that_comes_in_small_pieces_is_put_whole(store: Store) -> None:
    data = os.urandom(PIECE + 777)

    stored = store.put(Trickle(data, step=4099), limit=len(data))

    assert content(store, stored.key) == data


def test_what_is_put_has_nothing_of_what_was_put_before(store: Store) -> None:
    contents = [b"1" * (PIECE + 100), b"22", b"", b"3" * 100]

    stored = [store.put(io.BytesIO(data), limit=len(data)) for data in contents]

    assert [content(store, one.key) for one in stored] == contents
    assert [one.sha256 for one in stored] == [hashlib.sha256(c).hexdigest() for c in contents]


def test_a_part_of_an_object_is_read_from_where_it_stands(store: Store) -> None:
    data = os.urandom(MIB)
    key = store.put(io.BytesIO(data), limit=MIB).key

    assert content(store, key, 0, 1) == data[:1]
    assert content(store, key, 700_000, 300_000) == data[700_000:1_000_000]
    assert content(store, key, MIB - 5) == data[-5:]


def test_equal_contents_are_separate_objects(store: Store) -> None:
    first = store.put(io.BytesIO(b"same"), limit=4)
    second = store.put(io.BytesIO(b"same"), limit=4)

    store.delete(first.key)

    assert first.sha256 == second.sha256
    assert content(store, second.key) == b"same"


@pytest.mark.parametrize("limit", [0, 10, MIB, PIECE, 3 * PIECE])
def test_a_stream_over_the_limit_is_refused_early_and_leaves_nothing(
    store: Store, limit: int
) -> None:
    stream = Trickle(bytes(limit + 40 * MIB), step=65536)

    with pytest.raises(TooLarge):
        store.put(stream, limit)

    assert stream.given <= limit + 65536
    assert list(store.list()) == []
    assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0


@pytest.mark.parametrize("size", [10, PIECE + 1, 4 * PIECE])
def test_a_stream_that_fails_leaves_nothing_and_its_error_passes(store: Store, size: int) -> None:
    threads = threading.active_count()

    with pytest.raises(ConnectionResetError, match="gone"):
        store.put(Trickle(bytes(size), 65536, ConnectionResetError("gone")), limit=size)

    assert list(store.list()) == []
    assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
    assert threading.active_count() == threads


def test_an_object_that_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(FileNotFoundError):
        store.open(new_key())


def test_deleting_what_is_not_there_is_fine(store: Store) -> None:
    key = store.put(io.BytesIO(b"x"), limit=1).key

    store.delete(key)
    store.delete(key)

    with pytest.raises(FileNotFoundError):
        store.open(key)


def test_the_list_names_every_object_and_when_it_was_written(store: Store) -> None:
    keys = {store.put(io.BytesIO(str(n).encode()), limit=9).key for n in range(20)}

    listed = dict(store.list())

    assert set(listed) == keys
    assert all(abs(datetime.now(UTC) - when) < timedelta(minutes=1) for when in listed.values())


def test_preparing_may_be_repeated_and_run_at_once(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        for prepared in [pool.submit(store.prepare) for _ in range(8)]:
            prepared.result()

    store.check()


def test_many_threads_put_and_open_at_once(store: Store) -> None:
    def round_trip(n: int) -> bool:
        data = str(n).encode() * 5000
        return content(store, store.put(io.BytesIO(data), limit=len(data)).key) == data

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(40)))


def test_a_stream_closed_half_way_gives_everything_back(store: Store) -> None:
    key = store.put(io.BytesIO(bytes(4 * MIB)), limit=4 * MIB).key
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(30):
        with store.open(key) as stream:
            next(iter(stream))

    # A pool may keep one connection that it did not have before.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_works_beside_its_parent(store: Store) -> None:
    keys = [store.put(io.BytesIO(bytes([n]) * MIB), limit=MIB).key for n in range(4)]

    child = os.fork()
    if child == 0:
        right = all(content(store, key) == bytes([n]) * MIB for n, key in enumerate(keys))
        os._exit(0 if right else 1)
    right = all(content(store, key) == bytes([n]) * MIB for n, key in enumerate(keys))

    assert right
    assert os.waitpid(child, 0)[1] == 0


def test_keys_are_fresh(store: Store) -> None:
    keys = sorted(new_key() for _ in range(1000))

    assert all(one != other for one, other in pairwise(keys))


def test_a_store_that_was_not_prepared_says_so(
    tmp_path: Path, s3_server: SeaweedFS, make_s3: Callable[..., Store]
) -> None:
    with pytest.raises(StoreUnavailable, match=r"has no bucket 'elsewhere'.*mailapp migrate"):
        make_s3(s3_server, bucket="elsewhere").check()
    with pytest.raises(StoreUnavailable, match="nowhere does not exist"):
        DirectoryStore(tmp_path / "nowhere").check()


# In pieces ---------------------------------------------------------------------------------------


def begun_with(store: Store, *pieces: bytes) -> Begun:
    begun = store.begin()
    for piece in pieces:
        begun = store.add(begun, io.BytesIO(piece), len(piece))
    return begun


def test_an_object_made_of_pieces_is_what_they_were(store: Store) -> None:
    pieces = [os.urandom(PIECE), os.urandom(PIECE), b"the end"]

    stored = store.finish(begun_with(store, *pieces))

    whole = b"".join(pieces)
    assert (stored.size, stored.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert content(store, stored.key) == whole


def test_nobody_sees_an_object_before_its_last_piece(store: Store) -> None:
    begun = begun_with(store, os.urandom(PIECE))

    assert list(store.list()) == []
    with pytest.raises(FileNotFoundError):
        store.open(begun.key)


def test_a_piece_that_breaks_off_is_not_there_and_can_be_sent_again(store: Store) -> None:
    begun = begun_with(store, b"1" * PIECE)
    with pytest.raises(ValueError, match="cut"):
        store.add(begun, Trickle(b"2" * 1_000_000, 99_999, ValueError("cut")), PIECE)

    begun = store.add(begun, io.BytesIO(b"2" * 100), 100)

    assert content(store, store.finish(begun).key) == b"1" * PIECE + b"2" * 100


def test_a_piece_takes_no_more_of_a_stream_than_its_size(store: Store) -> None:
    stream = io.BytesIO(b"1" * PIECE + b"2" * 10)
    begun = store.add(store.begin(), stream, PIECE)
    begun = store.add(begun, stream, 10)

    assert content(store, store.finish(begun).key) == b"1" * PIECE + b"2" * 10


def test_two_instances_that_store_the_same_piece_do_no_harm(store: Store) -> None:
    begun = begun_with(store, b"1" * PIECE)
    late = store.add(begun, io.BytesIO(b"end"), 3)
    first = store.add(begun, io.BytesIO(b"end"), 3)
    stored = store.finish(first)

    with suppress(Gone):  # or it is the same object once more
        stored = store.finish(late)
    with suppress(Gone):
        store.add(begun, io.BytesIO(b"another end"), 11)

    assert content(store, stored.key) == b"1" * PIECE + b"end"


def test_finishing_can_be_repeated_where_its_answer_was_lost(store: Store) -> None:
    begun = begun_with(store, b"1" * PIECE, b"2")
    store.finish(begun)

    stored = store.finish(begun)

    assert content(store, stored.key) == b"1" * PIECE + b"2"


def test_what_was_finished_stays_when_the_rest_is_abandoned(store: Store) -> None:
    begun = begun_with(store, b"1" * PIECE, b"2")
    stored = store.finish(begun)

    store.abandon(begun)

    assert [key for key, _ in store.list()] == [stored.key]
    assert content(store, stored.key) == b"1" * PIECE + b"2"
    assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0


def test_nothing_stays_of_what_is_abandoned(store: Store) -> None:
    begun = begun_with(store, b"1" * PIECE)

    store.abandon(begun)

    assert store.sweep(datetime.now(UTC) + timedelta(days=1)) == 0
    with pytest.raises(Gone):
        store.finish(store.add(begun, io.BytesIO(b"2"), 1))


def test_a_sweep_leaves_those_whose_pieces_still_come(store: Store) -> None:
    kept, left = begun_with(store, b"1" * PIECE), begun_with(store, b"2" * PIECE)

    swept = store.sweep(datetime.now(UTC) + timedelta(days=1), {kept.key})

    assert swept == 1
    assert store.finish(kept).size == PIECE
    with pytest.raises(Gone):
        store.finish(left)
