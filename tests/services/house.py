"""Instances as real processes on real parts, and requests to follow through bad times."""

from __future__ import annotations

import http.client
import subprocess
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from bs4 import BeautifulSoup

from deploy.topology import Nginx, Postgres, SeaweedFS, Server, Valkey, Web, script
from mailapp.attachments.store import StoreUnavailable, from_settings
from mailapp.settings import Settings
from tests.people import Attached, Person

PASSWORD = "three green lamps by the sea"
PEOPLE = ("alice", "bob")

T = TypeVar("T")


@dataclass
class House:
    """The parts, the instances on them, and people who come to an instance of their choice."""

    database: Postgres
    redis: Valkey
    attachments: SeaweedFS
    webs: list[Web]
    settings: dict[str, str]
    _clients: ExitStack = field(default_factory=ExitStack)
    _objects: list[str] = field(default_factory=list)

    def part(self, name: str) -> Server:
        """A part by the name that /healthz gives it."""
        found: Server = getattr(self, name)
        return found

    def person(self, name: str, at: Web | Nginx | None = None) -> Person:
        """Somebody who has an account, logged in."""
        client = httpx.Client(base_url=(at or self.webs[0]).url, timeout=20)
        person = Person(self._clients.enter_context(client))
        person.log_in(f"{name}@mail.example", PASSWORD)
        assert person.logged_in, person.text
        return person

    def command(self, *arguments: str, said: str = "") -> None:
        """`mailapp …` with the settings the instances have."""
        ran = subprocess.run(
            [script("mailapp"), *arguments],
            env={"PATH": "/usr/bin:/bin", **self.settings},
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def wait_until(self, status: str) -> None:
        """Until every instance's /healthz says so; bounded."""
        for web in self.webs:
            deadline = time.monotonic() + 15
            while (said := get(web, "/healthz").json()["status"]) != status:
                assert time.monotonic() < deadline, said
                time.sleep(0.1)

    def wait_for_store(self) -> None:
        """Until objects can be written and read; SeaweedFS's gateway answers before it can."""
        store = from_settings(Settings.from_env(self.settings))
        deadline = time.monotonic() + 15
        while True:
            try:
                self._objects.append(store.put(BytesIO(b"an object"), 100).key)
                for key in self._objects:
                    with store.open(key) as stream:
                        assert b"".join(stream) == b"an object"
                break
            except StoreUnavailable:
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def logs(self) -> str:
        """What the instances have written."""
        return "".join(web.log.read_text() for web in self.webs)


@dataclass(frozen=True)
class Answer:
    """What came back, and how many seconds after the last byte of the request was sent."""

    status: int
    headers: dict[str, str]
    content: bytes
    seconds: float

    @property
    def text(self) -> str:
        """A page as it is read aloud, or JSON as it is."""
        if "html" not in self.headers.get("content-type", ""):
            return self.content.decode(errors="replace")
        page = BeautifulSoup(self.content, "html.parser")
        return " ".join(page.get_text(" ").split())

    def json(self) -> Any:
        """The content as JSON."""
        return httpx.Response(200, content=self.content).json()


class Request:
    """One request on a connection of its own, whose body may be sent in pieces."""

    def __init__(
        self, at: Web | Nginx, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> None:
        where = urlsplit(at.url)
        assert where.hostname is not None
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
        self._connection.putrequest(method, path)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        if body:
            self._connection.putheader("Content-Length", str(len(body)))
        self._left = body
        self._connection.endheaders()

    def send(self, size: int | None = None) -> None:
        """Send the next `size` bytes of the body, or all the rest; less to a server that refused
        to read on."""
        piece, self._left = self._left[:size], b"" if size is None else self._left[size:]
        with suppress(ConnectionError):
            self._connection.send(piece)

    def close(self) -> None:
        """Give up."""
        self._connection.close()

    def answer(self, *, and_send_on: bool = True) -> Answer:
        """Send what is left, if that is wanted, and wait for the answer."""
        if and_send_on:
            self.send()
        began = time.monotonic()
        with closing(self._connection):
            response = self._connection.getresponse()
            content = response.read()
        seconds = time.monotonic() - began
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, content, seconds)


def get(at: Web | Nginx, path: str, cookie: str = "") -> Answer:
    """One GET."""
    return Request(at, "GET", path, {"Cookie": cookie} if cookie else {}).answer()


class Letter:
    """A compose form with all that a person has put in, which can be sent again and to anybody."""

    def __init__(
        self, writer: Person, subject: str, message: str = "", files: Sequence[Attached] = ()
    ) -> None:
        self.subject, self.message, self.files = subject, message, tuple(files)
        page = writer.visit("/compose")
        form = page.select_one("form#compose")
        assert form is not None
        self.path = str(form["action"])
        self._client = writer.client
        self.hidden = {
            str(control["name"]): str(control.get("value", ""))
            for control in form.select("input[type=hidden]")
        }

    @property
    def cookie(self) -> str:
        """The writer's."""
        return "; ".join(f"{name}={value}" for name, value in self._client.cookies.items())

    def send(self, at: Web | Nginx) -> Request:
        """Press Send; the body is still to be sent."""
        return self._request(at, self.path, {"action": "send"}, self.files, "text/html")

    def save(self, at: Web | Nginx) -> Request:
        """What the page's script does while somebody types."""
        return self._request(at, self.path, {"action": "save"}, (), "application/json")

    def upload(self, at: Web | Nginx, attachment_id: uuid.UUID) -> Request:
        """What the page's script does with the first chosen file."""
        file = self.files[0]
        headers = {
            "Accept": "application/json",
            "Cookie": self.cookie,
            "Content-Type": "application/offset+octet-stream",
            "Tus-Resumable": "1.0.0",
            "Upload-Length": str(len(file.content)),
            "Upload-Metadata": f"filename {b64encode(file.filename.encode()).decode()}",
            "X-CSRFToken": self.hidden["csrf_token"],
            "X-Draft-Key": self.hidden["draft_key"],
        }
        return Request(at, "POST", f"{self.path}/uploads/{attachment_id}", headers, file.content)

    def _request(
        self,
        at: Web | Nginx,
        path: str,
        button: dict[str, str],
        files: Sequence[Attached],
        accept: str,
    ) -> Request:
        typed = {"to": "bob@mail.example", "subject": self.subject, "body": self.message}
        fields = {**self.hidden, **button, **typed}
        parts: list[tuple[str, Any]] = [(name, (None, text)) for name, text in fields.items()]
        parts += [("files", tuple(file)) for file in files or (Attached("", b""),)]
        made = self._client.build_request("POST", path, files=parts)
        headers = {
            "Content-Type": made.headers["Content-Type"],
            "Cookie": self.cookie,
            "Accept": accept,
        }
        return Request(at, "POST", path, headers, made.read())


def all_at_once(asks: Sequence[Callable[[], T]]) -> list[T]:
    """Do them at the same time; their results in order."""
    with ThreadPoolExecutor(len(asks)) as pool:
        return [future.result() for future in [pool.submit(ask) for ask in asks]]
