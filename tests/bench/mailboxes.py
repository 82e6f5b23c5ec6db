"""Mailboxes of any size, written straight into PostgreSQL's tables."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from mailapp.mailbox.models import Mailbox

# One message a minute, the last just now; like mail, they differ in length and have some files.
_MESSAGES = """
INSERT INTO messages (message_id, created_at, headers, subject, from_name, from_address,
                      to_preview, text_body, preview, attachments, attachment_count)
SELECT '<' || n || '@bench>', now() - (:count - n) * interval '1 minute',
       json_build_array(json_build_array('Date', 'Mon, 01 Jun 2026 12:00:00 +0000'),
                        json_build_array('From', 'Somebody <somebody@mail.example>'),
                        json_build_array('To', 'Reader <reader@mail.example>'),
                        json_build_array('Subject', 'Message ' || n)),
       'Message ' || n || ': ' || repeat('about something ', (1 + n % 3)::int),
       'Somebody ' || n % 100, 'somebody' || n % 100 || '@mail.example', 'Reader',
       repeat('The text of a message. ', (5 + n % 20)::int),
       repeat('The text of a message. ', 6), '[]', (n % 10 = 0)::int
FROM generate_series(1, :count) AS n
"""

# The newest message is in every mailbox; the others are spread evenly over all messages.
_ENTRIES = """
INSERT INTO entries (account_id, mailbox_id, message_id, seen, sort_at, modseq)
SELECT b.account_id, b.id, m.id, :seen, m.created_at, 0
FROM (SELECT id, account_id FROM mailboxes WHERE account_id = :account_id AND role = 'inbox') b,
     (SELECT id, created_at FROM messages ORDER BY id DESC) m
WHERE (SELECT max(id) FROM messages) - m.id < :total AND m.id % :step = 0
ORDER BY m.id
"""


def fill(connection: Connection, sizes: Mapping[int, tuple[int, bool]]) -> None:
    """Give accounts that many messages, read or unread: {account id: (messages, seen)}.

    Needs a superuser: checking a foreign key and counting for each of millions of rows would take
    minutes, so the triggers are off and the counts are written at the end.
    """
    largest = max(size for size, _ in sizes.values())
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(text(_MESSAGES), {"count": largest})
    for account_id, (size, seen) in sizes.items():
        step = largest // size
        connection.execute(
            text(_ENTRIES),
            {"account_id": account_id, "seen": seen, "total": step * size, "step": step},
        )
        connection.execute(
            Mailbox.__table__.update()  # type: ignore[attr-defined]
            .where(Mailbox.account_id == account_id, Mailbox.role == "inbox")
            .values(total=size, unread=0 if seen else size)
        )
