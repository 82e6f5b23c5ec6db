"""The counts of mailboxes and the change counters, after anything that can happen to mail."""

from __future__ import annotations

import random

from flask import Flask
from sqlalchemy import select

from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.compose import sending
from mailapp.compose.typed import Typed
from mailapp.database import read
from mailapp.mailbox import bulk, selections
from mailapp.mailbox.changes import DESTROY, MOVE, READ, RESTORE, STAR, UNREAD, UNSTAR
from mailapp.mailbox.models import Entry
from tests.checks import counts_are_right, draft

# {entry: (account, mailbox, seen, modseq)}
Entries = dict[int, tuple[int, int, bool, int]]


def test_counts_and_change_counters_follow_whatever_happens(instances: list[Flask]) -> None:
    dice = random.Random(7162)
    names = ["ann", "ben", "cat"]
    with instances[0].app_context():
        people = [accounts.create(name, name, "correct horse battery staple") for name in names]
    before = snapshot(instances[0])
    for step in range(120):
        app = instances[step % 2]
        me = dice.choice(people)
        with app.app_context():
            mine = [entry for entry, row in before[1].items() if row[0] == me]
            act = dice.choice(["send", MOVE, MOVE, RESTORE, DESTROY, READ, UNREAD, STAR, UNSTAR])
            if act == "send" or not mine:
                to = ", ".join(f"{n}@mail.example" for n in dice.sample(names, dice.randint(1, 3)))
                sending.send(me, draft(app, me, Typed(to=to, subject=str(step))))
            else:
                # Also another's entry, and one that is gone, which must do nothing.
                entry = dice.choice([*mine, *mine, *before[1], 10**6])
                place = dice.choice(["inbox", "archive", "spam", "trash"])
                outcome = bulk.perform(me, act, selections.messages([entry]), place)
                if outcome.token and dice.random() < 0.3:
                    bulk.undo(me, outcome.token)
        after = snapshot(app)
        check(before, after)
        before = after
        if step % 10 == 0:
            counts_are_right(app)
    counts_are_right(instances[0])


def snapshot(app: Flask) -> tuple[dict[int, int], Entries]:
    """({account: modseq}, entries)."""
    with app.app_context(), read() as connection:
        counters = {
            row.id: row.modseq for row in connection.execute(select(Account.id, Account.modseq))
        }
        entries: Entries = {
            row.id: (row.account_id, row.mailbox_id, row.seen, row.modseq)
            for row in connection.execute(
                select(Entry.id, Entry.account_id, Entry.mailbox_id, Entry.seen, Entry.modseq)
            )
        }
    return counters, entries


def check(before: tuple[dict[int, int], Entries], after: tuple[dict[int, int], Entries]) -> None:
    """A counter never falls; what changed carries the counter of its account, which has grown."""
    for person, counter in after[0].items():
        assert counter >= before[0][person]
    for entry, row in after[1].items():
        if before[1].get(entry) != row:
            person = row[0]
            assert row[3] == after[0][person] > before[0][person]
    for entry, row in before[1].items():
        if entry not in after[1]:
            person = row[0]
            assert after[0][person] > before[0][person]
