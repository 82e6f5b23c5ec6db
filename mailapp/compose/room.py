"""Whether everybody a message goes to has room for it: if not, it goes to nobody."""

from __future__ import annotations

from collections.abc import Sequence

from mailapp import quota
from mailapp.compose.letter import Mistake
from mailapp.i18n import ngettext
from mailapp.mail.services import Outgoing
from mailapp.queries import Transaction

# As many addresses as a person reads.
_NAMED = 10


def without_room(
    inside: Transaction,
    sender_id: int,
    recipient_ids: Sequence[int],
    outgoing: Outgoing,
) -> list[Mistake]:
    """Whose mailbox is too full for this message, said to its sender; [] for nobody's.

    Exact in a transaction that holds all these accounts' rows.
    """
    text, whole = outgoing.size_without_files, outgoing.size

    def needed(account_id: int) -> int:
        # The sender's draft, which goes, had the files already.
        copy = text if account_id == sender_id else 0
        return copy + (whole if account_id in recipient_ids else 0)

    full = [
        one
        for one in quota.full(inside, [sender_id, *recipient_ids], text + whole)
        if one.used + needed(one.account_id) > one.limit
    ]
    mistakes = [
        Mistake("", quota.reached_text(one.used, one.limit))
        for one in full
        if one.account_id == sender_id
    ]
    others = [one.address for one in full if one.account_id != sender_id]
    if others:
        named = ", ".join(others[:_NAMED]) + ("…" if len(others) > _NAMED else "")
        mistakes.append(
            Mistake(
                "to",
                ngettext(
                    "The mailbox of %(people)s is full. Nothing was sent to anyone.",
                    "The mailboxes of %(people)s are full. Nothing was sent to anyone.",
                    len(others),
                    people=named,
                ),
            )
        )
    return mistakes
