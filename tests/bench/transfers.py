"""Large attachments: speed beside the store's own SDK, and what the process grows by."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Self

from minio import Minio

from deploy.topology import Web, family
from tests.bench import load
from tests.bench.figures import Figure
from tests.bench.pages import compose_form, multipart
from tests.bench.stage import Stage, log_in, resident

SIZE = 1024 * 1024 * 1024
ROUNDS = 3
MOST_GROWTH = 32.0  # MB
LEAST_SPEED = 0.7


def measure(stage: Stage) -> list[Figure]:
    """1 GB up and down, past the application and through it, in turn."""
    stage.account("reader")
    file = load.random_file(stage.directory / "file", SIZE)
    sdk = _Sdk(stage)
    rounds = []
    with stage.web("web-1", MAX_ATTACHMENT_BYTES=str(SIZE)) as web:
        person, cookie = log_in(web, "reader")
        through = _Through(web, cookie)
        with _Growth(web) as growth:
            through.upload(file)
            uploaded = growth.most
            through.send()
            through.download()
        for _ in range(ROUNDS):
            rounds.append(
                [
                    _timed(lambda: sdk.upload(file)),
                    _timed(lambda: through.upload(file)),
                    _timed(sdk.download),
                    _timed(through.download),
                ]
            )
            sdk.remove()
        person.client.close()
    own_up, our_up, own_down, our_down = (median(times) for times in zip(*rounds, strict=True))
    return [
        _speed("upload of 1 GB: speed", own_up, our_up),
        _speed("download of 1 GB: speed", own_down, our_down),
        Figure("growth during the first upload", uploaded, "MB", most=MOST_GROWTH),
        Figure("growth during upload, send and download", growth.most, "MB", most=MOST_GROWTH),
    ]


def _speed(name: str, own: float, ours: float) -> Figure:
    note = f"{SIZE / ours / 1e6:.0f} MB/s of {SIZE / own / 1e6:.0f} MB/s"
    return Figure(name, own / ours, least=LEAST_SPEED, note=note)


def _timed(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


class _Sdk:
    """The same file, put and got with nothing but the SDK."""

    def __init__(self, stage: Stage) -> None:
        self._bucket = stage.settings.minio_bucket
        self._client = Minio(
            stage.s3.endpoint,
            access_key=stage.s3.access_key,
            secret_key=stage.s3.secret_key,
            region=stage.settings.minio_region,
            secure=False,
        )

    def upload(self, file: Path) -> None:
        with file.open("rb") as content:
            self._client.put_object(self._bucket, "measured", content, file.stat().st_size)

    def download(self) -> None:
        response = self._client.get_object(self._bucket, "measured")
        read = sum(len(piece) for piece in response.stream(load.CHUNK))
        response.close()
        response.release_conn()
        if read != SIZE:
            raise RuntimeError(f"{read} of {SIZE} bytes")

    def remove(self) -> None:
        self._client.remove_object(self._bucket, "measured")


class _Through:
    """The application, as a browser's script uses it; each upload into a draft of its own."""

    def __init__(self, web: Web, cookie: str) -> None:
        self._cookie = cookie
        self._connection = load.Connection(web.port)
        self._path, self._fields, self._entry = "", {"": ""}, ""

    def upload(self, file: Path) -> None:
        page = self._connection.ask(load.get("/compose", self._cookie)).body.decode()
        self._path, self._fields = compose_form(page)
        size = file.stat().st_size
        head = load.post_head(
            f"{self._path}/uploads/{uuid.uuid4()}",
            self._cookie,
            "application/offset+octet-stream",
            size,
            Tus_Resumable="1.0.0",
            Upload_Length=str(size),
            X_CSRFToken=self._fields["csrf_token"],
            X_Draft_Key=self._fields["draft_key"],
        )
        answer = self._connection.upload(head, file)
        if answer.status != 201:
            raise RuntimeError(answer.head.decode("latin-1") + answer.body.decode())

    def send(self) -> None:
        fields = self._fields | {
            "to": "reader@mail.example",
            "subject": "1 GB",
            "body": "",
            "action": "send",
        }
        content_type, start, end = multipart(fields, "files")
        body = start.replace(b"measured.bin", b"") + end
        head = load.post_head(self._path, self._cookie, content_type, len(body))
        answer = self._connection.ask(head + body)
        if answer.status != 303:
            raise RuntimeError(answer.head.decode("latin-1") + answer.body.decode())
        page = self._connection.ask(load.get("/mail/inbox", self._cookie)).body.decode()
        self._entry = re.findall(r'href="/mail/(\d+)"', page)[0]

    def download(self) -> None:
        path = f"/mail/{self._entry}/attachments/1/measured.bin"
        status, read = self._connection.download(load.get(path, self._cookie))
        if status != 200 or read != SIZE:
            raise RuntimeError(f"status {status}, {read} of {SIZE} bytes")


class _Growth:
    """The most that any process of an instance has grown by, in MB, looked at all the time."""

    def __init__(self, web: Web) -> None:
        self._before = {pid: resident(pid) for pid in family(web.pid)}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.02):
            for pid, before in self._before.items():
                self.most = max(self.most, resident(pid) - before)
