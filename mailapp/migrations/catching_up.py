"""What a migration leaves for afterwards, because it takes as long as there is mail.

That is indexes and foreign keys of large tables, made beside those who use them, the threads of
mail that was filed before there were any, the words by which people are found, and those by which
search finds that mail.

Each can be broken off and is gone on with by the next run of `mailapp migrate`. Nobody waits for
the last of them: what is not done in a minute, `mailapp gc` does.
"""

from __future__ import annotations

import time

from sqlalchemy import Connection, Engine, exists, insert, select, text, update

from mailapp.accounts.models import Account
from mailapp.contacts import services as contacts
from mailapp.contacts.models import AddressWord
from mailapp.mail.models import Message
from mailapp.mail.services import size_of_text
from mailapp.mailbox import threads
from mailapp.mailbox.filing import change
from mailapp.mailbox.models import Entry
from mailapp.search.index import index_missing
from mailapp.search.models import SearchMissing

# Entries that are given their threads in one transaction: their accounts wait for as long.
BATCH = 200

# Seconds of indexing old mail before the migration is called done.
INDEXING = 60

# On tables that may be large when 0003 comes to them.
INDEXES = {
    "ix_messages_raw_blob_id": "messages (raw_blob_id)",
    "ix_entries_threads": "entries (thread_id, sort_at, id)",
    "ix_entries_conversations": "entries (mailbox_id, thread_id, sort_at, id)",
    "ix_entries_starred": "entries (account_id, sort_at, id) WHERE starred",
    "ix_entries_unread": "entries (account_id, sort_at, id) WHERE NOT seen",
    "ix_entries_moved": "entries (mailbox_id, moved_at)",
}

# On such tables, too: looked through beside who reads and writes.
FOREIGN_KEYS = {
    "fk_messages_raw_blob_id_blobs": "messages",
    "fk_entries_thread_id_threads": "entries",
}


def catch_up(engine: Engine) -> None:
    """Do what is still to be done; nothing, where nothing is."""
    if engine.dialect.name == "postgresql":
        _create_indexes_beside(engine)
        _validate_foreign_keys(engine)
    while _thread(engine):
        pass
    while _enlist(engine):
        pass
    end = time.monotonic() + INDEXING
    while time.monotonic() < end and _index(engine):
        pass


def _enlist(engine: Engine) -> int:
    """Have a batch of accounts found in the directory, which a version before has made."""
    with engine.begin() as connection:
        rows = connection.execute(
            select(Account.address, Account.name)
            .where(
                ~exists().where(
                    AddressWord.owner_id == contacts.DIRECTORY,
                    AddressWord.address == Account.address,
                )
            )
            .limit(BATCH)
        ).all()
        contacts.enlist(connection, [(row.address, row.name) for row in rows])
        return len(rows)


def create_indexes(connection: Connection) -> None:
    """Build them in this transaction; nobody may write meanwhile."""
    for name, columns in INDEXES.items():
        connection.execute(text(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}"))


def _create_indexes_beside(engine: Engine) -> None:
    # Not in a transaction, as reading is not: PostgreSQL looks at the table twice, and in between
    # waits for all who are writing.
    with engine.execution_options(reading=True).connect() as connection:
        broken_off = connection.scalars(
            text(
                "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                "WHERE NOT i.indisvalid AND c.relname = ANY (:names)"
            ),
            {"names": list(INDEXES)},
        ).all()
        for name in broken_off:
            connection.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
        for name, columns in INDEXES.items():
            connection.execute(text(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {columns}"))


def _validate_foreign_keys(engine: Engine) -> None:
    """See to it that they hold for old rows, too; nothing is looked through a second time."""
    for name, table in FOREIGN_KEYS.items():
        with engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"))


def _thread(engine: Engine) -> int:
    """Give a batch of entries, the oldest without, their threads and sizes: how many it were."""
    with engine.begin() as connection:
        rows = connection.execute(
            select(
                Entry.id,
                Entry.account_id,
                Message.id.label("message"),
                Message.message_id,
                Message.headers,
                Message.attachments,
                Message.text_body,
            )
            .join(Message, Message.id == Entry.message_id)
            .where(Entry.thread_id.is_(None))
            .order_by(Entry.id)
            .limit(BATCH)
        ).all()
        if not rows:
            return 0
        modseqs = change(connection, {row.account_id for row in rows})
        for row in rows:
            refs = threads.refs_of(row.message_id, row.headers)
            modseq = modseqs[row.account_id]
            thread = threads.join(connection, {row.account_id: modseq}, refs)[row.account_id]
            size = size_of_text(row.headers, row.text_body, None)
            size += sum(file["size"] for file in row.attachments)
            connection.execute(update(Message).where(Message.id == row.message).values(size=size))
            connection.execute(
                update(Entry)
                .where(Entry.id == row.id)
                .values(thread_id=thread, size=size, modseq=modseq)
            )
        connection.execute(insert(SearchMissing), [{"entry_id": row.id} for row in rows])
        return len(rows)


def _index(engine: Engine) -> int:
    with engine.begin() as connection:
        return index_missing(connection)
