"""Doing something with any number of messages: at once as far as that is quick, then bit by bit.

Each piece is a transaction of its own, so that the account is free in between. Where there is more
than one, a row of `bulk_jobs` says how far it has come: whoever holds that row does the next piece.
That is the request at first, for as long as somebody likes to wait, and then the companion of any
instance; one that dies in the middle loses nothing and does nothing twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, insert, select, update

from mailapp.accounts.models import Account
from mailapp.companion import Companion
from mailapp.database import now
from mailapp.mailbox import changes, folders, selections
from mailapp.mailbox.changes import DISSOLVE, INVERSE, FolderGone
from mailapp.mailbox.filing import INBOX, change
from mailapp.mailbox.models import BulkJob
from mailapp.mailbox.selections import Selection
from mailapp.queries import Query, Transaction, given, transaction

# Seconds that somebody waits for a request of theirs to do all of it.
PATIENCE = 1.2
# Seconds between two looks of a companion for what is left to do.
LOOK_EVERY = 1.0

_TOKEN = re.compile(r"(job|move|restore|read|unread|star|unstar)-(\d{1,18})(?:-(\d{1,9}))?", re.A)

_INSERT = Query(
    insert(BulkJob)
    .values(
        given(
            "account_id",
            "created_at",
            "action",
            "selection",
            "target_id",
            "until",
            "after",
            "modseqs",
            "done",
        )
    )
    .returning(BulkJob.id)
)
_COUNTER = Query(select(Account.modseq).where(Account.id == bindparam("account_id")))
_job = select(BulkJob).where(BulkJob.id == bindparam("job_id"))
_HOLD = Query(_job.where(BulkJob.account_id == bindparam("account_id")).with_for_update())
_HOLD_UNFINISHED = Query(
    _job.where(BulkJob.finished_at.is_(None)).with_for_update(skip_locked=True)
)
_UNFINISHED = Query(
    select(BulkJob.id)
    .where(BulkJob.finished_at.is_(None), BulkJob.id > bindparam("after_id"))
    .order_by(BulkJob.id)
    .limit(100)
)
_NOTE = Query(
    update(BulkJob)
    .where(BulkJob.id == bindparam("job_id"))
    .values(
        after=bindparam("following"),
        modseqs=bindparam("counters"),
        done=bindparam("so_far"),
        finished_at=bindparam("ended_at"),
    )
)


class Outcome(NamedTuple):
    """How many messages were changed, whether that is all, and what `undo` takes to undo it."""

    done: int
    finished: bool
    token: str | None


class Undone(NamedTuple):
    """How many messages are as they were, how many of them should be, and whether that is all."""

    done: int
    expected: int
    finished: bool


def perform(
    account_id: int, action: str, selection: Selection, target: int | str | None = None
) -> Outcome:
    """Do `action` with the account's messages of `selection`; what takes long goes on by itself.

    `target` is a folder's id or role. FolderGone if it is not there any more.
    """
    deadline = time.monotonic() + PATIENCE
    with transaction() as inside:
        # Read before the account is held, for that may take seconds: a search does. What is changed
        # meanwhile is not what was read, and is left alone.
        until = _COUNTER.rows(inside, account_id=account_id)[0].modseq + 1
        piece = selections.read(inside, account_id, selection, "")
        modseq = change(inside, [account_id])[account_id]
        folder_id = changes.folder_of(inside, account_id, action, target)
        done = changes.apply(
            inside, account_id, action, piece.ids, folder_id, counter=modseq, until=until
        )
        if piece.after is None:
            _end(inside, account_id, action, selection)
            token = f"{action}-{modseq}-{done}" if done and action in INVERSE else None
            return Outcome(done, True, token)
        job_id = _INSERT.rows(
            inside,
            account_id=account_id,
            created_at=now(),
            action=action,
            selection=selection,
            target_id=folder_id,
            until=until,
            after=piece.after,
            modseqs=[modseq],
            done=done,
        )[0].id
    finished = False
    while not finished and time.monotonic() < deadline:
        with transaction() as inside:
            job = _HOLD.rows(inside, job_id=job_id, account_id=account_id)[0]
            done, finished = _go_on(inside, job)
    return Outcome(done, finished, f"job-{job_id}" if action in INVERSE else None)


def undo(account_id: int, token: str) -> Undone | None:
    """Undo what an Outcome's token says, but for what was changed since; None if it says nothing.

    What is still being done is not gone on with.
    """
    read = _TOKEN.fullmatch(token)
    if read is None:
        return None
    action, number, expected = read[1], int(read[2]), int(read[3] or 0)
    modseqs = [number]
    if action == "job":
        with transaction() as inside:
            held = _HOLD.rows(inside, job_id=number, account_id=account_id)
            if not held or held[0].action not in INVERSE:
                return None
            job = held[0]
            _note(inside, job, None, job.modseqs, job.done)
            action, modseqs, expected = job.action, job.modseqs, job.done
    outcome = perform(account_id, INVERSE[action], selections.changed(modseqs), INBOX)
    return Undone(outcome.done, expected, outcome.finished)


def begin(companion: Companion) -> None:
    """Do what requests have left, beside the workers."""
    app = companion.app

    def work() -> None:
        with app.app_context():
            work_off()

    companion.every(LOOK_EVERY, work)


def work_off() -> None:
    """Do all that is left to do and that nobody else is at, a piece of each job in turn.

    One that fails keeps back none of the others; the first failure is raised at the end.
    """
    failures: dict[int, Exception] = {}
    is_at_work = True
    while is_at_work:
        is_at_work = False
        for job_id in _unfinished():
            if job_id in failures:
                continue
            try:
                with transaction() as inside:
                    for job in _HOLD_UNFINISHED.rows(inside, job_id=job_id):
                        _go_on(inside, job)
                        is_at_work = True
            except Exception as error:
                error.add_note(f"in bulk job {job_id}, which is tried again")
                failures[job_id] = error
    if failures:
        raise next(iter(failures.values()))


def _unfinished() -> Iterator[int]:
    """The jobs that are not finished, each once."""
    last = 0
    while rows := _UNFINISHED.read(after_id=last):
        for row in rows:
            yield row.id
        last = rows[-1].id


def _go_on(inside: Transaction, job: Any) -> tuple[int, bool]:
    """Do the next piece of a job that is held: (how many it has changed in all, whether it ends).

    Somebody else may have ended it.
    """
    if job.finished_at is not None:
        return job.done, True
    account_id = job.account_id
    piece = selections.read(inside, account_id, job.selection, job.after)
    modseq = change(inside, [account_id])[account_id]
    try:
        folder_id = changes.folder_of(inside, account_id, job.action, job.target_id)
    except FolderGone:  # deleted meanwhile; what was moved there has gone on from there with it
        _note(inside, job, None, job.modseqs, job.done)
        return job.done, True
    done = job.done + changes.apply(
        inside, account_id, job.action, piece.ids, folder_id, counter=modseq, until=job.until
    )
    _note(inside, job, piece.after, [*job.modseqs, modseq], done)
    if piece.after is None:
        _end(inside, account_id, job.action, job.selection)
    return done, piece.after is None


def _end(inside: Transaction, account_id: int, action: str, selection: Selection) -> None:
    if action == DISSOLVE:
        folders.hide(inside, account_id, selection["mailbox"])


def _note(
    inside: Transaction, job: Any, after: str | None, modseqs: Sequence[int], done: int
) -> None:
    _NOTE.run(
        inside,
        job_id=job.id,
        following=after,
        counters=list(modseqs),
        so_far=done,
        ended_at=now() if after is None else None,
    )
