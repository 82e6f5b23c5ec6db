"""Mailboxes of any size, written straight into PostgreSQL's tables.

Of ten messages in a row three conversations are made, of four, four and two; of five such tens one
lies in Archive, the others in the Inbox. A smaller mailbox has some of the tens of the largest.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

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
_LAST = "SELECT coalesce(max(id), 0) FROM {table}"

# The newest ten are in every mailbox; the others are spread evenly over all.
_THREADS = """
INSERT INTO threads (id, account_id)
SELECT :threads + 3 * ten + k, :account_id
FROM generate_series(:step - 1, :tens - 1, :step) AS ten, generate_series(1, 3) AS k
"""
_ENTRIES = """
INSERT INTO entries (account_id, mailbox_id, message_id, thread_id, seen, sort_at, modseq)
SELECT :account_id, b.id, m.id,
       :threads + 3 * ten + (ARRAY[1, 1, 2, 2, 1, 3, 2, 3, 1, 2])[place + 1], :seen, m.created_at, 0
FROM generate_series(:step - 1, :tens - 1, :step) AS ten
CROSS JOIN generate_series(0, 9) AS place
JOIN messages m ON m.id = :messages + 10 * ten + place + 1
JOIN mailboxes b ON b.account_id = :account_id
 AND b.role = CASE WHEN ten / :step % 5 = 4 THEN 'archive' ELSE 'inbox' END
ORDER BY m.id
"""

# What the triggers would have kept.
_CONVERSATIONS = """
INSERT INTO conversations (mailbox_id, thread_id, newest_at, newest_id, total, unread, starred)
SELECT mailbox_id, thread_id, max(sort_at), max(id), count(*), count(*) FILTER (WHERE NOT seen), 0
FROM entries WHERE account_id = :account_id GROUP BY mailbox_id, thread_id
"""
_COUNTS = """
UPDATE mailboxes b SET total = e.total, unread = e.unread
FROM (SELECT mailbox_id, sum(total) AS total, sum(unread) AS unread
      FROM conversations GROUP BY mailbox_id) e
WHERE b.id = e.mailbox_id AND b.account_id = :account_id
"""


def fill(connection: Connection, sizes: Mapping[int, tuple[int, bool]]) -> None:
    """Give accounts that many messages, read or unread: {account id: (messages, seen)}.

    In tens, of which the largest number is a multiple of the others. Needs a superuser: to check a
    foreign key and follow each of millions of rows would take minutes, so the triggers are off.
    """
    largest = max(size for size, _ in sizes.values())
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    messages = connection.execute(text(_LAST.format(table="messages"))).scalar_one()
    connection.execute(text(_MESSAGES), {"count": largest})
    for account_id, (size, seen) in sizes.items():
        threads = connection.execute(text(_LAST.format(table="threads"))).scalar_one()
        values = {
            "account_id": account_id,
            "messages": messages,
            "threads": threads,
            "tens": largest // 10,
            "step": largest // size,
            "seen": seen,
        }
        for statement in (_THREADS, _ENTRIES, _CONVERSATIONS, _COUNTS):
            connection.execute(text(statement), values)
    connection.execute(text("SELECT setval('threads_id_seq', (SELECT max(id) FROM threads))"))
