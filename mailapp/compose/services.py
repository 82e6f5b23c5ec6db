"""The rules of writing: drafts that lose nothing, replies and forwards, and a send that is once.

Everything that writes a draft first takes its owner's row (`mailbox.services.change`), so saving,
attaching and sending one person's drafts come one after the other, on whichever instance.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from mailapp.accounts.models import Account
from mailapp.accounts.services import find_receiving
from mailapp.attachments.models import Blob
from mailapp.attachments.services import discard as discard_object
from mailapp.attachments.services import register
from mailapp.attachments.serving import clean_filename, safe_type
from mailapp.attachments.store import Stored
from mailapp.compose.keys import DraftKey, Mode
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.database import insert_or_update, now, read, write
from mailapp.mail import addresses
from mailapp.mail import services as mail
from mailapp.mail.addresses import Address, AddressError
from mailapp.mail.models import Message
from mailapp.mail.services import Attached, Outgoing
from mailapp.mailbox.models import Entry
from mailapp.mailbox.paging import Listing, Page
from mailapp.mailbox.services import change, deliver, sent_entry
from mailapp.queries import Query, Transaction, given, transaction
from mailapp.settings import current_settings
from mailapp.telemetry.metrics import metrics

FIELDS = ("to", "cc", "bcc", "subject", "body")
_LABELS = {"to": "To", "cc": "Cc", "bcc": "Bcc"}

MAX_SUBJECT = 500

# How many characters of each of a draft's fields a folder may show.
_SHOWN = 400

_DRAFT = Query(
    select(Draft).where(
        Draft.id == bindparam("draft_id"), Draft.account_id == bindparam("account_id")
    )
)
_FILES = Query(
    select(DraftAttachment, Blob.sha256)
    .join(Blob, Blob.id == DraftAttachment.blob_id)
    .where(DraftAttachment.draft_id == bindparam("draft_id"), DraftAttachment.removed_at.is_(None))
    .order_by(DraftAttachment.created_at, DraftAttachment.id)
)

_select_state = (
    select(
        Account.address,
        Account.name,
        Draft.account_id.label("owner_id"),
        Draft.discarded_at,
        Draft.in_reply_to,
        Draft.references,
        Message.id.label("sent_id"),
        Message.sender_id,
    )
    .select_from(Account)
    .outerjoin(Draft, Draft.id == bindparam("draft_id"))
    .outerjoin(Message, Message.send_id == bindparam("draft_id", type_=Draft.id.type))
    .where(Account.id == bindparam("account_id"))
)
_STATE = Query(_select_state)
_STATE_WITH_FILE = Query(
    _select_state.add_columns(
        DraftAttachment.id,
        DraftAttachment.draft_id,
        DraftAttachment.filename,
        DraftAttachment.content_type,
        DraftAttachment.size,
        DraftAttachment.removed_at,
    ).outerjoin(DraftAttachment, DraftAttachment.id == bindparam("attachment_id"))
)

_INSERT = Query(
    insert(Draft).values(
        given("id", "account_id", *FIELDS, "in_reply_to", "references")
        | {"created_at": bindparam("moment"), "updated_at": bindparam("moment")}
    )
)
_of_draft = Draft.id == bindparam("draft_id")
_revive = update(Draft).where(_of_draft).values(updated_at=bindparam("moment"), discarded_at=None)
_REVIVE = Query(_revive)
_WRITE = Query(_revive.values({name: bindparam(f"typed_{name}") for name in FIELDS}))
_DELETE = Query(delete(Draft).where(_of_draft))
_INSERT_FILE = Query(
    insert(DraftAttachment).values(
        given("id", "draft_id", "blob_id", "filename", "content_type", "size", "created_at")
    )
)

_SOURCE = Query(select(Message).where(Message.id == bindparam("message_id")))

_DRAFTS = Listing(
    select(
        Draft.id,
        # The beginning is what a row has room for; the whole may be a megabyte.
        *(
            func.substr(column, 1, _SHOWN).label(column.key)
            for column in (Draft.to, Draft.subject, Draft.body)
        ),
        Draft.updated_at,
        select(DraftAttachment.id)
        .where(DraftAttachment.draft_id == Draft.id, DraftAttachment.removed_at.is_(None))
        .exists()
        .label("has_files"),
    ).where(Draft.account_id == bindparam("account_id"), Draft.discarded_at.is_(None)),
    Draft.updated_at,
    Draft.id,
)


class NotYours(LookupError):
    """There is no such draft for this person: it is another's, or never was."""


class AlreadySent(Exception):
    """The draft has become the message `message_id`; there is nothing more to save into."""

    def __init__(self, message_id: int) -> None:
        super().__init__(f"it is message {message_id}")
        self.message_id = message_id


class Discarded(Exception):
    """The draft was discarded, in another window perhaps; only a person's saving revives it."""


@dataclass(frozen=True)
class Mistake:
    """Why a draft can't be sent as it is, at which field of the form."""

    field: str
    message: str


class Unsendable(Exception):
    """The draft stays as it is; `mistakes` is everything that has to be put right."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(mistake.message for mistake in mistakes))
        self.mistakes = mistakes


@dataclass(frozen=True)
class Typed:
    """The text of a draft, as typed."""

    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    body: str = ""

    @classmethod
    def from_form(cls, fields: Mapping[str, str]) -> Typed:
        """The form's text: line breaks are \\n, and NUL, which PostgreSQL can't store, is seen."""
        text = {name: fields.get(name, "").replace("\x00", "\ufffd") for name in FIELDS}
        text["body"] = re.sub(r"\r\n?", "\n", text["body"])
        return cls(**text)

    def values(self) -> dict[str, Any]:
        """As columns of the draft."""
        return {name: getattr(self, name) for name in FIELDS}


@dataclass(frozen=True)
class File:
    """An attachment of a draft, as its page shows it."""

    id: uuid.UUID
    filename: str
    content_type: str
    size: int


@dataclass(frozen=True)
class Written:
    """A draft and its files."""

    typed: Typed
    files: Sequence[File]
    updated_at: datetime | None


@dataclass(frozen=True)
class Source:
    """What a reply or forward is made from: its text, its thread's headers, the files it keeps."""

    typed: Typed
    in_reply_to: str
    references: str
    attachments: Sequence[Mapping[str, Any]]


def load(account_id: int, draft_id: uuid.UUID) -> Written | None:
    """The draft with its files, or None where this person has none such."""
    drafts = _DRAFT.read(account_id=account_id, draft_id=draft_id)
    if not drafts:
        return None
    files = [_file_of(row) for row in _FILES.read(draft_id=draft_id)]
    return Written(_typed_of(drafts[0]), files, drafts[0].updated_at)


def prepare(opened: Row[Any] | None, key: DraftKey, me: str) -> Written:
    """What a new draft's page begins with: nothing, or what its source gives. Stores nothing."""
    source = _source(opened, key, me)
    return Written(source.typed, _source_files(source, key.draft_id), None)


def save(
    account_id: int,
    draft_id: uuid.UUID,
    typed: Typed | None,
    key: DraftKey | None,
    *,
    by_itself: bool = False,
) -> datetime:
    """Store the draft's text, making the draft at its first save; when that was.

    Without `typed` only makes sure that the draft exists. A draft is made only under an id that
    `key` proves was given to this person. Raises AlreadySent, NotYours, and Discarded where a
    page saves `by_itself` what was discarded; when the person saves, it is a draft again.
    """
    with transaction() as inside:
        state = _take(inside, account_id, draft_id)
        moment = now()
        if state.owner_id is None:
            _create(inside, account_id, draft_id, typed, key, moment, state.address)
        elif state.discarded_at is not None and by_itself:
            raise Discarded
        elif typed is None:
            _REVIVE.run(inside, draft_id=draft_id, moment=moment)
        else:
            values = {f"typed_{name}": value for name, value in typed.values().items()}
            _WRITE.run(inside, draft_id=draft_id, moment=moment, **values)
        return moment


def attach(
    account_id: int,
    draft_id: uuid.UUID,
    attachment_id: uuid.UUID,
    stored: Stored,
    filename: str,
    content_type: str,
) -> File | None:
    """Refer the draft to a file that is in the store; None when it was removed in the meantime.

    The same `attachment_id` again is the same file. Raises AlreadySent or NotYours.
    """
    file = File(attachment_id, clean_filename(filename), safe_type(content_type), stored.size)
    try:
        with transaction() as inside:
            known = _take(inside, account_id, draft_id, attachment_id)
            _must_exist(known)
            if known.id is None:
                registered = register(inside, stored)
                _insert_file(inside, draft_id, file, registered.blob_id, now())
                surplus = registered.surplus
            elif known.draft_id != draft_id:
                raise NotYours
            else:
                surplus = True
    except (AlreadySent, NotYours):
        discard_object(stored)
        raise
    # After any other failure the object stays: a commit whose answer was lost may have happened,
    # and a message that points at nothing is worse than an object for the collector.
    if surplus:
        discard_object(stored)
    if known.id is None:
        return file
    return None if known.removed_at else _file_of(known)


def remove(account_id: int, draft_id: uuid.UUID, attachment_id: uuid.UUID) -> None:
    """Take a file away from the draft, also one whose upload has not ended yet.

    Raises AlreadySent or NotYours.
    """
    with write() as connection:
        _must_exist(_take(connection, account_id, draft_id))
        _remove(connection, draft_id, attachment_id)


def discard(account_id: int, draft_id: uuid.UUID) -> bool:
    """Discard the draft, for now so that it can be undone; False when there was none."""
    with write() as connection:
        _take(connection, account_id, draft_id)
        return _set_discarded(connection, account_id, draft_id, now())


def undo_discard(account_id: int, draft_id: uuid.UUID) -> bool:
    """Bring a discarded draft back; False when it is gone for good."""
    with write() as connection:
        _take(connection, account_id, draft_id)
        return _set_discarded(connection, account_id, draft_id, None)


def send(account_id: int, draft_id: uuid.UUID, typed: Typed | None = None) -> int | None:
    """Send the draft: one transaction, one message; the id of the sender's own copy.

    With `typed`, the text the person saw as they pressed Send: a saving by itself that was still on
    its way may have put an older one into the draft. The files are always the draft's.

    A draft that has been sent already is the same send: the same id again, None where the sender
    has deleted that copy since. Raises Unsendable, with the draft left as it was, or NotYours.
    """
    while True:
        with transaction() as inside:
            try:
                text = typed or _typed_before(inside, account_id, draft_id)
                # Before any account is locked, because it says which: all at once, in order.
                letter, recipients, mistakes = _addressed(inside, text)
                if mistakes:
                    _look(inside, account_id, draft_id)
                    raise Unsendable(mistakes)
                change(inside, [account_id, *recipients])
                state = _look(inside, account_id, draft_id)
            except AlreadySent as sent:
                # Also by the same press made twice, while this waited for its people.
                return sent_entry(inside, account_id, sent.message_id)
            _must_exist(state)
            if typed or _typed_before(inside, account_id, draft_id) == text:
                entry_id = _send(inside, account_id, draft_id, letter, recipients, state)
                break
        # It was saved from another window while this waited; look at what it says now.
    metrics().messages_sent.inc()
    return entry_id


def sent_copy(account_id: int, draft_id: uuid.UUID) -> int | None:
    """The sender's copy of the message this draft became; None where it became none, or is gone."""
    with read() as connection:
        return connection.execute(
            select(func.min(Entry.id))
            .join(Message, Message.id == Entry.message_id)
            .where(
                Message.send_id == draft_id,
                Message.sender_id == account_id,
                Entry.account_id == account_id,
            )
        ).scalar()


def page(account_id: int, before: str | None) -> Page:
    """A page of a person's drafts, the last written first; ValueError for no key."""
    return _DRAFTS.page(before, account_id=account_id)


# Saving ------------------------------------------------------------------------------------------


def _take(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    attachment_id: uuid.UUID | None = None,
) -> Any:
    """Hold the owner's row, then see how it stands with the draft, as `_look` does."""
    change(inside, [account_id])
    return _look(inside, account_id, draft_id, attachment_id)


def _look(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    attachment_id: uuid.UUID | None = None,
) -> Any:
    """The account and its draft (`owner_id` is None where there is none), in one statement.

    With `attachment_id` also that file: its `id` is None where there is none. Raises AlreadySent,
    and NotYours where the draft is another's.
    """
    if attachment_id is None:
        rows = _STATE.rows(inside, account_id=account_id, draft_id=draft_id)
    else:
        rows = _STATE_WITH_FILE.rows(
            inside, account_id=account_id, draft_id=draft_id, attachment_id=attachment_id
        )
    state = rows[0]
    if state.sent_id is not None and state.sender_id == account_id:
        raise AlreadySent(state.sent_id)
    if state.sent_id is not None or state.owner_id not in {None, account_id}:
        raise NotYours
    return state


def _must_exist(state: Any) -> None:
    if state.owner_id is None:
        raise NotYours


def _create(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    typed: Typed | None,
    key: DraftKey | None,
    moment: datetime,
    me: str,
) -> None:
    if key is None or key.account_id != account_id or key.draft_id != draft_id:
        raise NotYours
    message = None
    if key.mode:
        found = _SOURCE.rows(inside, message_id=key.source_id)
        message = found[0] if found else None
    source = _source(message, key, me)
    _INSERT.run(
        inside,
        id=draft_id,
        account_id=account_id,
        **(source.typed if typed is None else typed).values(),
        in_reply_to=source.in_reply_to,
        references=source.references,
        moment=moment,
    )
    for file, attachment in zip(_source_files(source, draft_id), source.attachments, strict=True):
        _insert_file(inside, draft_id, file, attachment["blob"], moment)
        # Apart, because files are listed in the order in which they were attached.
        moment += timedelta(microseconds=1)


def _set_discarded(
    connection: Connection, account_id: int, draft_id: uuid.UUID, moment: datetime | None
) -> bool:
    return (
        connection.execute(
            update(Draft)
            .where(Draft.id == draft_id, Draft.account_id == account_id)
            .values(discarded_at=moment)
        ).rowcount
        == 1
    )


def _insert_file(
    inside: Transaction, draft_id: uuid.UUID, file: File, blob_id: int, moment: datetime
) -> None:
    _INSERT_FILE.run(
        inside,
        id=file.id,
        draft_id=draft_id,
        blob_id=blob_id,
        filename=file.filename,
        content_type=file.content_type,
        size=file.size,
        created_at=moment,
    )


def _remove(connection: Connection, draft_id: uuid.UUID, attachment_id: uuid.UUID) -> None:
    moment = now()
    removed = {"blob_id": None, "removed_at": moment}
    connection.execute(
        insert_or_update(connection, DraftAttachment)
        .values(
            id=attachment_id,
            draft_id=draft_id,
            filename="",
            content_type="",
            size=0,
            created_at=moment,
            **removed,
        )
        .on_conflict_do_update(
            index_elements=[DraftAttachment.id],
            set_=removed,
            where=DraftAttachment.draft_id == draft_id,
        )
    )


def _file_of(row: Row[Any]) -> File:
    return File(row.id, row.filename, row.content_type, row.size)


def _typed_of(row: Any) -> Typed:
    return Typed(row.to, row.cc, row.bcc, row.subject, row.body)


# Replies and forwards ----------------------------------------------------------------------------


def _source(message: Row[Any] | None, key: DraftKey, me: str) -> Source:
    """What a reply or forward takes from its message; nothing where there is none."""
    if message is None:
        return Source(Typed(), "", "", ())
    in_reply_to, references = mail.reply_headers(message.headers)
    if key.mode == "forward":
        return Source(_forward(message), "", references, message.attachments)
    return Source(_reply(message, key.mode, me), in_reply_to, references, ())


def _reply(row: Row[Any], mode: Mode, me: str) -> Typed:
    sender = addresses.parse_list(
        mail.header(row.headers, "Reply-To") or mail.header(row.headers, "From")
    )
    to, cc = (_readable(mail.header(row.headers, name)) for name in ("To", "Cc"))
    if any(address.canonical == me for address in sender):
        # Answering one's own message means writing to the same people again.
        answer_to, also = to, cc
    else:
        answer_to, also = sender, []
        if mode == "reply_all":
            also = [*to, *cc]
    if mode == "reply":
        also = []
    seen = {address.canonical for address in answer_to} | {me}
    also = [
        address
        for address in also
        if address.canonical not in seen and not seen.add(address.canonical)  # type: ignore[func-returns-value]
    ]
    who = mail.header(row.headers, "From")
    quoted = "".join(f"> {line}\n" for line in _shortened(row.text_body).split("\n"))
    return Typed(
        to=addresses.join(answer_to),
        cc=addresses.join(also),
        subject=_prefixed("Re: ", row.subject),
        body=f"\n\nOn {row.created_at:%d %B %Y at %H:%M} UTC, {who} wrote:\n{quoted}",
    )


def _forward(row: Row[Any]) -> Typed:
    lines = [
        f"{name}: {value}"
        for name in ("From", "Date", "Subject", "To", "Cc")
        if (value := mail.header(row.headers, name))
    ]
    return Typed(
        subject=_prefixed("Fwd: ", row.subject),
        body="\n\n---------- Forwarded message ----------\n"
        + "\n".join(lines)
        + f"\n\n{row.text_body}",
    )


def _readable(text: str) -> list[Address]:
    """The addresses of a header, as far as it can be read."""
    try:
        return [] if text.endswith(":;") else addresses.parse_list(text)
    except AddressError:
        return []


def _prefixed(prefix: str, subject: str) -> str:
    known = subject.lower().startswith(prefix.strip().lower())
    return (subject if known else f"{prefix}{subject}")[:MAX_SUBJECT]


def _shortened(text: str) -> str:
    """What is quoted of a text: so much that the answer, with a mark at each line, can be sent."""
    most = current_settings().max_message_bytes // 8
    text = text.rstrip("\n")
    return text if len(text) <= most else f"{text[:most]}\n[…]"


def _source_files(source: Source, draft_id: uuid.UUID) -> list[File]:
    """The files that a forward keeps, under ids that are known before its draft is stored."""
    return [
        File(
            uuid.uuid5(draft_id, f"source:{number}"),
            attachment["filename"],
            attachment["content_type"],
            attachment["size"],
        )
        for number, attachment in enumerate(source.attachments)
    ]


# Sending -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Letter:
    """The text of a draft read as mail: who gets it, each person once, and what."""

    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    bcc: tuple[Address, ...]
    subject: str
    body: str


def _typed_before(inside: Transaction, account_id: int, draft_id: uuid.UUID) -> Typed:
    """What the draft says now. Raises AlreadySent or NotYours."""
    drafts = _DRAFT.rows(inside, account_id=account_id, draft_id=draft_id)
    if not drafts:
        _look(inside, account_id, draft_id)
        raise NotYours
    return _typed_of(drafts[0])


def _addressed(inside: Transaction, typed: Typed) -> tuple[_Letter, list[int], list[Mistake]]:
    """The text as a letter, the accounts that get it, and every mistake in it."""
    mistakes: list[Mistake] = []
    fields = _recipients(typed, mistakes)
    _check_text(typed, mistakes)
    letter = _Letter(
        to=fields["to"],
        cc=fields["cc"],
        bcc=fields["bcc"],
        subject=typed.subject.replace("\t", " ").strip(),
        body=typed.body,
    )
    if mistakes:
        return letter, [], mistakes
    found = find_receiving(inside, [*letter.to, *letter.cc, *letter.bcc])
    return letter, sorted(set(found.values())), _unknown(fields, found)


def _recipients(typed: Typed, mistakes: list[Mistake]) -> dict[str, tuple[Address, ...]]:
    """Who gets it, each person once, at the first field that names them."""
    settings = current_settings()
    seen: set[str] = set()
    fields: dict[str, tuple[Address, ...]] = {"to": (), "cc": (), "bcc": ()}
    for field in fields:
        try:
            found = addresses.parse_list(getattr(typed, field))
        except AddressError as error:
            mistakes.append(
                Mistake(
                    field,
                    f"{_LABELS[field]}: {_quoted(error.pieces)} {_not_addresses(error.pieces)}. "
                    f"Write name@{settings.mail_domain}, with commas between addresses.",
                )
            )
            continue
        once: list[Address] = []
        for address in found:
            if address.canonical not in seen:
                seen.add(address.canonical)
                once.append(address)
        fields[field] = tuple(once)
        elsewhere = [address.spec for address in once if address.domain != settings.mail_domain]
        if elsewhere:
            mistakes.append(
                Mistake(
                    field,
                    f"{_LABELS[field]}: {_quoted(elsewhere)} {_is(elsewhere)} not at "
                    f"{settings.mail_domain}. Mail goes only to people of this service so far.",
                )
            )
    if not seen and not mistakes:
        mistakes.append(Mistake("to", "Say who gets this message: fill in To, Cc or Bcc."))
    if len(seen) > settings.max_recipients:
        mistakes.append(
            Mistake(
                "to",
                f"{len(seen)} people are too many for one message; "
                f"it can go to at most {settings.max_recipients}.",
            )
        )
    return fields


def _check_text(typed: Typed, mistakes: list[Mistake]) -> None:
    if not addresses.is_one_line(typed.subject):
        # A line break would begin another header (RFC 5322, section 2.2).
        mistakes.append(
            Mistake(
                "subject", "The subject has a line break or control character in it. Remove it."
            )
        )
    if len(typed.subject) > MAX_SUBJECT:
        mistakes.append(
            Mistake(
                "subject",
                f"The subject has {len(typed.subject)} characters; at most {MAX_SUBJECT} will do.",
            )
        )
    most = current_settings().max_message_bytes
    size = len(typed.body.encode())
    if size > most:
        mistakes.append(
            Mistake(
                "body",
                f"The text has {size} bytes; it can have at most {most}. "
                "Attach it as a file instead.",
            )
        )


def _unknown(fields: Mapping[str, Sequence[Address]], found: Mapping[str, int]) -> list[Mistake]:
    mistakes = []
    for field, people in fields.items():
        unknown = [address.spec for address in people if address.canonical not in found]
        if unknown:
            mistakes.append(
                Mistake(
                    field,
                    f"{_LABELS[field]}: there is nobody here with the address {_quoted(unknown)}. "
                    "Nothing was sent to anyone.",
                )
            )
    return mistakes


def _send(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    letter: _Letter,
    recipients: Sequence[int],
    state: Any,
) -> int:
    """Make the message of a draft that is held and in order, and file it."""
    moment = now()
    message_id = mail.create(
        inside,
        Outgoing(
            send_id=draft_id,
            sender_id=account_id,
            sender=replace(addresses.parse(state.address), name=state.name),
            to=letter.to,
            cc=letter.cc,
            subject=letter.subject,
            body=letter.body,
            in_reply_to=state.in_reply_to,
            references=state.references,
            attachments=[
                Attached(file.blob_id, file.sha256, file.filename, file.content_type, file.size)
                for file in _FILES.rows(inside, draft_id=draft_id)
            ],
            date=moment,
        ),
    )
    entry_id = deliver(
        inside,
        message_id,
        moment,
        sender_id=account_id,
        bcc=[str(address) for address in letter.bcc],
        recipient_ids=recipients,
    )
    _DELETE.run(inside, draft_id=draft_id)
    return entry_id


def _quoted(pieces: Iterable[str]) -> str:
    shown = [f"“{piece[:100]}”" for piece in pieces]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "")


def _is(pieces: Sequence[str]) -> str:
    return "is" if len(pieces) == 1 else "are"


def _not_addresses(pieces: Sequence[str]) -> str:
    return "is not an address" if len(pieces) == 1 else "are not addresses"
