"""`make load`: people who log in, read, attach, send to each other and look whether all arrived.

They come to whatever stack is at BASE and need nothing there but that anybody may sign up. What
fails is noted, and its person does what people do: press the same again, or now and then go away.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from tests.cluster.ledger import (
    BROKEN,
    BUSY,
    CLEAN,
    LATE,
    PROMISED,
    REFUSED,
    SILENT,
    WRONG,
    Found,
    Letter,
    Try,
    Verdict,
    figures,
    harm,
    judge,
    told,
)
from tests.people import Attached, Person

# Seconds a person looks at a page before doing the next thing, on average: twenty of them make
# some thirty to forty requests a second.
THINK = 1.3
# Seconds after which somebody who sees nothing happen presses again.
PATIENCE = 10.0
# Seconds after a failure that did not say how long to wait; every fourth person is so impatient as
# never to wait longer, whatever is said.
AGAIN = 1.0
IMPATIENT = 0.3
# Seconds that those in the middle of something get to finish it, at the end.
FINISH = 20.0
# The most sessions that one person has at a time.
SESSIONS = 3
# How many mailboxes are looked through at once.
LOOKERS = 6

PASSWORD = secrets.token_urlsafe(16)


class GaveUp(Exception):
    """The person went away before a good answer came."""


class Wire(httpx.BaseTransport):
    """One browser's connections. Notes every try, and tries the same again until it is answered.

    With `leaves`, the person goes away at the first failure instead. `sent_at` is when a Send was
    last answered with "sent".
    """

    def __init__(self, load: Load, patience: float) -> None:
        timeout = httpx.Timeout(PATIENCE, connect=PATIENCE / 2)
        self._inner = httpx.HTTPTransport(verify=False)
        self._timeout = timeout.as_dict()
        self._load = load
        self._patience = patience
        self.leaves = False
        self.sent_at: float | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()  # so that it can be sent again
        request.extensions = {**request.extensions, "timeout": self._timeout}
        while True:
            began = time.monotonic()
            kind, wait, response = self._try(request)
            seconds = time.monotonic() - began
            if kind in {"", CLEAN} and seconds > self._load.soon:
                kind = LATE
            what = f"{request.method} {request.url.path}"
            self._load.tries.append(Try(began, seconds, what, kind))
            if response is not None:
                if request.method == "POST" and response.headers.get("Location") == "/mail/sent":
                    self.sent_at = time.monotonic()
                return response
            if self.leaves or time.monotonic() > self._load.deadline:
                raise GaveUp
            # At the end nobody waits: what is under way is to be finished.
            self._load.stopping.wait(min(wait, self._patience))

    def close(self) -> None:
        self._inner.close()

    def _try(self, request: httpx.Request) -> tuple[str, float, httpx.Response | None]:
        """Why there is no good answer, how long to wait before the next try, and the answer."""
        try:
            response = self._inner.handle_request(request)
            response.read()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return SILENT if isinstance(error, httpx.ConnectTimeout) else REFUSED, AGAIN, None
        except httpx.TimeoutException:
            return SILENT, 0.0, None
        except httpx.TransportError:
            return BROKEN, AGAIN, None
        if response.status_code < 500:
            return "", 0.0, response
        wait = response.headers.get("Retry-After", "")
        if response.status_code == 503:
            return (CLEAN if wait.isdigit() else "503 without Retry-After"), _number(wait), None
        return str(response.status_code), _number(wait), None


class Browser(Person):
    """A person on that wire, who sees without reading the page whether they are logged in."""

    def __init__(self, base: str, wire: Wire) -> None:
        self.wire = wire
        super().__init__(httpx.Client(base_url=base, transport=wire, trust_env=False))

    @property
    def logged_in(self) -> bool:
        return b"<span>Log out</span>" in self.response.content


class Mailer:
    """Somebody with an account, a browser that is used all the time, and some that are not."""

    def __init__(self, load: Load, number: int) -> None:
        self.name = f"load{load.run}{number:03}"
        self.address = ""
        self.browsers: list[Browser] = []
        self._load = load
        self._patience = IMPATIENT if number % 4 == 0 else 60.0
        self._random = random.Random(f"{load.run} {number}")

    def sign_up(self) -> None:
        """Make the account; SystemExit with what to do where the service does not let them."""
        browser = self._new_browser()
        browser.sign_up(self.name.title(), self.name, PASSWORD)
        if not browser.logged_in:
            sys.exit(
                f"{self._load.base} let {self.name} not sign up ({browser.response.status_code}): "
                f"{browser.text[:200]}\nIt counts sign-ups from one address: wait, or start it "
                "with LOGIN_TRIES_ADDRESS=100000. SIGNUP_OPEN must be true."
            )
        browser.visit("/settings")
        found = browser.page.select_one(".person small")
        assert found is not None, browser.text
        self.address = found.text
        self.browsers.append(browser)

    def live(self) -> None:
        """One thing after the other, until the load stops."""
        steps: list[tuple[Callable[[], None], int]] = [
            (self._look, 4),
            (self._open, 4),
            (self._write, 3),
            (self._log_in, 1),
        ]
        doings, weights = zip(*steps, strict=True)
        while not self._load.stopping.wait(self._random.uniform(0.1, 2 * THINK - 0.1)):
            try:
                self._random.choices(doings, weights)[0]()
            except GaveUp:
                continue
            except AssertionError as error:  # a link or a button is not there
                self._load.complain(f"{self.name}: {error}")
            if not self._browser.logged_in:
                self._load.complain(f"{self.name} is not logged in: {self._browser.text[:200]}")
                self.count_lost_sessions()

    def count_lost_sessions(self) -> int:
        """Look in each browser whether it is still logged in; log in again where it is not."""
        lost = 0
        for browser in list(self.browsers):
            browser.visit("/mail/inbox")
            if not browser.logged_in:
                lost += 1
                browser.log_in(self.address, PASSWORD)
        self._load.sessions_lost += lost
        return lost

    def rows(self, folder: str, keys: Mapping[str, Letter]) -> Iterator[tuple[str, str]]:
        """(key, address) of what of these letters is in a folder, newest first."""
        browser = self._browser
        browser.visit(f"/mail/{folder}")
        while True:
            links = browser.page.select("main li a")
            found = [(link.text.split()[-1], str(link["href"])) for link in links if link.text]
            ours = [(key, href) for key, href in found if key in keys]
            yield from ours
            if not ours or not browser.sees_link("Next"):
                return
            browser.follow("Next")

    def files(self, href: str) -> dict[str, str]:
        """What is attached to a message, by name, as SHA-256 of what a download gives."""
        browser = self._browser
        browser.visit(href)
        names = [link.text for link in browser.page.select("main .files a[download]")]
        return {name: hashlib.sha256(browser.download(name)).hexdigest() for name in names}

    def close(self) -> None:
        """Close every browser, without logging out."""
        for browser in self.browsers:
            browser.client.close()

    @property
    def _browser(self) -> Browser:
        return self.browsers[0]

    def _new_browser(self) -> Browser:
        return Browser(self._load.base, Wire(self._load, self._patience))

    def _look(self) -> None:
        self._browser.visit(self._random.choice(("/mail/inbox", "/mail/sent", "/mail/drafts")))

    def _open(self) -> None:
        self._browser.visit("/mail/inbox")
        links = [link for link in self._browser.page.select("main li a")[:10] if link.text]
        if not links:
            return
        chosen = self._random.choice(links)
        files = self.files(str(chosen["href"]))
        letter = self._load.letters.get(chosen.text.split()[-1])
        if letter is not None and files != letter.files:
            self._load.complain(f"{self.name}: {letter.key} has {files}, not {letter.files}")

    def _write(self) -> None:
        browser = self._browser
        browser.visit("/mail/inbox")
        browser.follow("Compose")
        letter, fields, files = self._letter()
        browser.wire.leaves = self._random.random() < 0.2
        browser.wire.sent_at = None
        self._load.letters[letter.key] = letter
        try:
            browser.press("Send", fields, files)
        finally:
            letter.answered = browser.wire.sent_at
            browser.wire.leaves = False
        if letter.answered is None:
            self._load.complain(f"{self.name}: {letter.key} was not sent: {browser.text[:300]}")

    def _letter(self) -> tuple[Letter, dict[str, str], list[Attached]]:
        others = [one.address for one in self._load.people if one is not self]
        chosen = self._random.sample(
            others, k=min(len(others), self._random.choice((1, 1, 2, 3, 5)))
        )
        cut = self._random.randint(1, len(chosen))
        key = uuid.uuid4().hex
        files = [
            Attached(f"file-{number}.bin", os.urandom(self._random.randint(1, 150_000)))
            for number in range(self._random.choice((0, 1, 1, 2)))
        ]
        hashes = {file.filename: hashlib.sha256(file.content).hexdigest() for file in files}
        fields = {
            "To": ", ".join(chosen[:cut]),
            "Cc": ", ".join(chosen[cut : cut + 1]),
            "Bcc": ", ".join(chosen[cut + 1 :]),
            "Subject": f"From {self.name}: {key}",
            "Message": "A few words. " * self._random.randint(1, 60),
        }
        return Letter(key, self.name, tuple(chosen), hashes, time.monotonic()), fields, files

    def _log_in(self) -> None:
        browser = self._new_browser()
        for _ in range(2):  # where the first one's answer was lost, the form was out of date
            browser.log_in(self.address, PASSWORD)
            if browser.logged_in:
                break
        else:
            self._load.complain(f"{self.name} could not log in: {browser.text[:200]}")
            browser.client.close()
            return
        self.browsers.append(browser)
        if len(self.browsers) > SESSIONS:
            oldest = self.browsers.pop(1)
            oldest.visit("/mail/inbox")
            oldest.press("Log out")
            oldest.client.close()


class Load:
    """People in front of a stack, and everything they saw.

    Signed up once, they can come (`running`) and be asked what arrived (`audit`) many times. `soon`
    is how many seconds an answer may take without being noted as late.
    """

    def __init__(self, base: str, people: int) -> None:
        self.base = base
        self.run = secrets.token_hex(3)
        self.tries: list[Try] = []
        self.letters: dict[str, Letter] = {}
        self.complaints: list[str] = []
        self.sessions_lost = 0
        self.soon = PROMISED + BUSY
        self.stopping = threading.Event()
        self.deadline = float("inf")
        self.people = [Mailer(self, number) for number in range(people)]

    def sign_up(self) -> None:
        """Make everybody's account, one after the other: a password costs its server some work."""
        self.deadline = time.monotonic() + FINISH
        try:
            for person in self.people:
                person.sign_up()
        except GaveUp:
            last = self.tries[-1]
            sys.exit(f"Nobody serves at {self.base}: {last.what} got {last.kind}.")
        finally:
            self.deadline = float("inf")
        self.tries.clear()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everybody comes and goes on; at the end they finish what they are in the middle of."""
        self.stopping.clear()
        self.deadline = float("inf")
        threads = [threading.Thread(target=person.live, daemon=True) for person in self.people]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.deadline = time.monotonic() + FINISH
            self.stopping.set()
            for thread in threads:
                thread.join()

    def audit(self, since: float = 0.0) -> Verdict:
        """Look through everybody's folders for the letters pressed since then, while nobody comes.

        Raises GaveUp where a mailbox can't be read, even after a while.
        """
        self.deadline = time.monotonic() + FINISH
        letters = {key: one for key, one in self.letters.items() if one.pressed >= since}
        found = {key: Found() for key in letters}
        with ThreadPoolExecutor(LOOKERS) as pool:
            list(pool.map(lambda person: self._look_through(person, letters, found), self.people))
        return judge(letters.values(), found)

    def count_lost_sessions(self) -> int:
        """How many sessions were lost since this was asked last, one looked at after the other."""
        self.deadline = time.monotonic() + FINISH
        with ThreadPoolExecutor(LOOKERS) as pool:
            list(pool.map(Mailer.count_lost_sessions, self.people))
        lost, self.sessions_lost = self.sessions_lost, 0
        return lost

    @property
    def sessions(self) -> int:
        """How many there are."""
        return sum(len(person.browsers) for person in self.people)

    def complain(self, what: str) -> None:
        """Note a page that was answered with and is not what was asked for."""
        self.complaints.append(what)
        self.tries.append(Try(time.monotonic(), 0.0, what[:80], WRONG))

    def close(self) -> None:
        """Close every browser."""
        for person in self.people:
            person.close()

    def _look_through(
        self, person: Mailer, letters: Mapping[str, Letter], found: Mapping[str, Found]
    ) -> None:
        copies = list(person.rows("inbox", letters))
        for key, href in copies:
            found[key].copies[person.address] += 1
            found[key].files[person.address] = person.files(href)
        for key, _ in person.rows("sent", letters):
            found[key].sent += 1
        for key, _ in person.rows("drafts", letters):
            found[key].drafts += 1


def measure(load: Load, seconds: float) -> dict[str, Any]:
    """Let everybody come for so long, and look what became of all they did."""
    with load.running():
        time.sleep(seconds)
    tries = list(load.tries)
    return figures(tries, load.audit(), load.sessions, load.count_lost_sessions())


def _number(text: str) -> float:
    return float(text) if text.isdigit() else AGAIN


def main() -> None:
    """Print the figures, in words and then as one line of JSON; status 1 for anything lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.load", description=__doc__)
    parser.add_argument("--base", required=True, help="where the service is, http://HOST:PORT")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    asked = parser.parse_args()
    load = Load(asked.base, asked.people)
    try:
        load.sign_up()
        measured = measure(load, asked.seconds)
    finally:
        load.close()
    for complaint in load.complaints[:10]:
        print(complaint, file=sys.stderr)
    print(told(measured))
    print(json.dumps(measured))
    sys.exit(1 if harm(measured) else 0)


if __name__ == "__main__":
    main()
