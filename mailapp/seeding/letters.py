"""What lies in the demo mailbox: mail of colleagues and friends, of shops and programs, in two
languages, with answers, files and formatted texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from textwrap import dedent

from mailapp.database import now
from mailapp.seeding import files

# (name, type, content)
File = tuple[str, str, bytes]


@dataclass(frozen=True)
class Written:
    """A message between the two, or a draft; one with the same subject answers the one before."""

    subject: str
    body: str
    ago: timedelta = timedelta()
    by_alice: bool = False
    is_read: bool = False
    files: tuple[File, ...] = ()
    html: str | None = None


@dataclass(frozen=True)
class Received:
    """A message from outside, and what its reader did with it."""

    sender: str
    subject: str
    body: str
    ago: timedelta
    html: str = ""
    image: File | None = None
    files: tuple[File, ...] = ()
    is_read: bool = False
    is_starred: bool = False
    folder: str = ""

    def text(self, address: str) -> bytes:
        """As RFC 5322 has it, to alice at `address`."""
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = f"Alice Kim <{address}>"
        message["Subject"] = self.subject
        message["Date"] = format_datetime(now() - self.ago)
        message["Message-ID"] = make_msgid(domain="demo.example")
        message.set_content(self.body)
        if self.html:
            message.add_alternative(self.html, subtype="html")
        if self.image:
            name, kind, content = self.image
            main, _, sub = kind.partition("/")
            (html,) = [part for part in message.walk() if part.get_content_type() == "text/html"]
            html.add_related(content, main, sub, cid=f"<{name}>", filename=name)
        for name, kind, content in self.files:
            main, _, sub = kind.partition("/")
            message.add_attachment(content, main, sub, filename=name)
        return message.as_bytes()


def _html(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def received() -> list[Received]:
    """From outside, the oldest first."""
    return [
        Received(
            "Kimchi & Letters <table@kimchi-letters.example>",
            "Your table on 12 December",
            "Dear Alice,\n\nwe look forward to seeing you on 12 December at 19:00, four people.\n",
            timedelta(days=16),
            is_read=True,
            folder="Going out",
        ),
        Received(
            "Maria Santos <maria@harbour.example>",
            "Contract, second draft",
            "Hello Alice,\n\nhere is the second draft. Clause 4 now has the dates we agreed on.\n"
            "Could you look at it before the weekend?\n\nBest wishes\nMaria\n",
            timedelta(days=6, hours=3),
            files=(
                ("Contract, second draft.pdf", "application/pdf", files.pdf(_CONTRACT)),
                ("What has changed.txt", "text/plain", b"Clause 4: dates.\nClause 7: removed.\n"),
            ),
            is_read=True,
            is_starred=True,
        ),
        Received(
            "한빛서점 <order@hanbit-books.example>",
            "주문하신 책이 출발했습니다",
            "주문하신 책 2권이 오늘 출발했습니다. 모레 도착할 예정입니다.\n",
            timedelta(days=4, hours=5),
            html=_html("order.html"),
            is_read=True,
        ),
        Received(
            "김민준 <minjun@studio.example>",
            "토요일 등산 사진",
            "지난 토요일 사진이야. 정상에서 찍은 게 제일 잘 나왔어.\n"
            "다음에는 단풍 지기 전에 가자!\n",
            timedelta(days=2, hours=1),
            files=(("정상에서.png", "image/png", files.mountains(640, 400)),),
            is_read=True,
        ),
        Received(
            "Build <build@ci.example>",
            "Passed: main, 412 tests",
            "main: 412 passed in 3 min 8 s.\n",
            timedelta(hours=21),
            is_read=True,
        ),
        Received(
            "Field Notes <letters@field-notes.example>",
            "Five quiet places to work in Seoul",
            "Five quiet places to work in Seoul\n\nA library under a hill, a tea house with\n"
            "sockets, and three more that we would rather keep to ourselves.\n",
            timedelta(hours=3, minutes=12),
            html=_html("newsletter.html"),
            image=("seoul", "image/png", files.mountains(640, 220)),
        ),
        Received(
            "박서연 <seoyeon@studio.example>",
            "목요일 발표 자료",
            "앨리스 님,\n\n목요일 발표 자료 초안을 보냅니다. 3쪽 그래프만 한번 봐 주세요.\n\n"
            "서연 드림\n",
            timedelta(minutes=48),
            files=(("발표 자료.pdf", "application/pdf", files.pdf(["Thursday", "Draft"])),),
        ),
    ]


def written() -> list[Written]:
    """Between the two, the oldest first."""
    plan = "The plan for scaling out"
    return [
        Written(
            plan,
            "Hi Bob,\n\nattached is the plan: first the database apart, then two web servers\n"
            "behind a load balancer, then sessions in Redis and attachments in object\n"
            "storage. The picture shows the load of last week.\n\nAlice\n",
            timedelta(days=1, hours=4),
            by_alice=True,
            is_read=True,
            files=(
                ("scale-out plan.txt", "text/plain", _PLAN.encode()),
                ("load last week.png", "image/png", files.bars(280, 120)),
            ),
        ),
        Written(
            plan,
            "Looks right. What happens to somebody who is logged in on the server we stop?\n",
            timedelta(days=1, hours=2),
            is_read=True,
        ),
        Written(
            plan,
            "Nothing: their session is in Redis, so the next server knows them.\n"
            "Try it: log in, look at the foot of the page, and reload.\n",
            timedelta(hours=23),
            by_alice=True,
        ),
        Written(
            plan,
            "I did, and the foot said web-1, web-2, web-1 … and I never noticed otherwise.\n"
            "Let us do it on Thursday.\n",
            timedelta(hours=1, minutes=40),
        ),
        Written(
            "점심 식사",
            "내일 12시에 같이 점심 먹을까요?\n",
            timedelta(minutes=25),
            files=(
                (
                    "식당 지도.txt",
                    "text/plain",
                    "시청역 2번 출구에서 왼쪽으로 100미터\n".encode(),
                ),
            ),
        ),
    ]


DRAFT = Written(
    "Notes from the load test",
    "Hi Bob,\n\n40 people for an hour, one server stopped in the middle of it:\n\n"
    "- nothing lost, nothing twice\n- the slowest page took 0.4 s\n",
    html="<div>Hi Bob,</div><div><br></div>"
    "<div>40 people for an hour, <b>one server stopped</b> in the middle of it:</div>"
    "<ul><li>nothing lost, nothing twice</li><li>the slowest page took 0.4 s</li></ul>",
)

_CONTRACT = ["Contract", "Second draft", "1. Parties", "2. Subject", "3. Payment", "4. Dates"]

_PLAN = dedent(
    """\
    Scaling out, step by step

    1. One server for everything.
    2. The database on a server of its own.
    3. Two web servers behind a load balancer.
    4. The balancer asks each server for its health, and drops one that is dead.
    5. Sessions in Redis: whoever logs in on one server is known on all.
    6. Attachments in object storage: uploaded through one, downloaded through another.
    """
)
