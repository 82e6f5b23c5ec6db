"""The triggers on entries: a mailbox's counts, the conversations in it and the bytes an account
uses follow from its entries by themselves, so that no code path can forget to keep them. And the
full-text indexes of search."""

from __future__ import annotations

# Once a statement, whatever the number of rows: a row trigger would write the same mailbox ten
# thousand times in a bulk move. What one statement changed is `changes`: the rows that are there
# now counted up, those that were there before counted down.
_CHANGES = """
  SELECT account_id, mailbox_id, thread_id, {sign}1 AS n, {sign}(NOT seen)::int AS u,
         {sign}starred::int AS s, {sign}size AS b
  FROM {rows}
"""
_NEW = _CHANGES.format(sign="", rows="new_rows")
_OLD = _CHANGES.format(sign="-", rows="old_rows")

_FOLLOW = """
  WITH changes AS ({changes}),
  counted AS (
    UPDATE mailboxes m SET total = total + d.n, unread = unread + d.u
    FROM (SELECT mailbox_id, sum(n) AS n, sum(u) AS u FROM changes
          GROUP BY mailbox_id HAVING sum(n) <> 0 OR sum(u) <> 0) d
    WHERE m.id = d.mailbox_id
  ),
  weighed AS (
    UPDATE accounts a SET used_bytes = used_bytes + d.b
    FROM (SELECT account_id, sum(b) AS b FROM changes GROUP BY account_id HAVING sum(b) <> 0) d
    WHERE a.id = d.account_id
  ),
  d AS (
    SELECT mailbox_id, thread_id, sum(n) AS n, sum(u) AS u, sum(s) AS s FROM changes
    GROUP BY mailbox_id, thread_id HAVING sum(n) <> 0 OR sum(u) <> 0 OR sum(s) <> 0
  ),
  ended AS (
    DELETE FROM conversations c USING d
    WHERE c.mailbox_id = d.mailbox_id AND c.thread_id = d.thread_id AND NOT EXISTS (
      SELECT FROM entries e WHERE e.mailbox_id = d.mailbox_id AND e.thread_id = d.thread_id)
  )
  INSERT INTO conversations AS c
    (mailbox_id, thread_id, newest_at, newest_id, total, unread, starred)
  SELECT d.mailbox_id, d.thread_id, e.sort_at, e.id, d.n, d.u, d.s
  FROM d CROSS JOIN LATERAL (
    SELECT sort_at, id FROM entries
    WHERE mailbox_id = d.mailbox_id AND thread_id = d.thread_id
    ORDER BY sort_at DESC, id DESC LIMIT 1) e
  ORDER BY d.mailbox_id, d.thread_id
  ON CONFLICT (mailbox_id, thread_id) DO UPDATE
  SET newest_at = excluded.newest_at, newest_id = excluded.newest_id,
      total = c.total + excluded.total, unread = c.unread + excluded.unread,
      starred = c.starred + excluded.starred;
"""

POSTGRESQL = (
    f"""
    CREATE FUNCTION entries_follow() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        {_FOLLOW.format(changes=_NEW)}
      ELSIF TG_OP = 'DELETE' THEN
        {_FOLLOW.format(changes=_OLD)}
      ELSE
        {_FOLLOW.format(changes=f"{_NEW} UNION ALL {_OLD}")}
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER entries_followed_insert AFTER INSERT ON entries
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entries_follow()
    """,
    """
    CREATE TRIGGER entries_followed_update AFTER UPDATE ON entries
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entries_follow()
    """,
    """
    CREATE TRIGGER entries_followed_delete AFTER DELETE ON entries
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entries_follow()
    """,
    # The version before knows no threads and goes on filing while this one is rolled out: what it
    # files begins a thread by itself, is weighed here, and waits for being indexed.
    # mailbox/threads.py says what a ref is.
    """
    CREATE FUNCTION entries_thread() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      UPDATE messages SET size = octet_length(text_body) + (
        SELECT coalesce(sum((file ->> 'size')::bigint), 0)
        FROM json_array_elements(attachments) AS file)
      WHERE id = NEW.message_id AND size = 0;
      SELECT size INTO NEW.size FROM messages WHERE id = NEW.message_id;
      INSERT INTO threads (account_id) VALUES (NEW.account_id) RETURNING id INTO NEW.thread_id;
      INSERT INTO thread_refs (account_id, ref, thread_id)
      SELECT NEW.account_id, left(encode(sha256(convert_to(message_id, 'UTF8')), 'hex'), 32),
             NEW.thread_id
      FROM messages WHERE id = NEW.message_id
      ON CONFLICT DO NOTHING;
      INSERT INTO search_missing (entry_id) VALUES (NEW.id);
      RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER entries_threaded BEFORE INSERT ON entries
    FOR EACH ROW WHEN (NEW.thread_id IS NULL) EXECUTE FUNCTION entries_thread()
    """,
)

_IN = """
  UPDATE mailboxes SET total = total + 1, unread = unread + (NOT NEW.seen)
  WHERE id = NEW.mailbox_id;
  UPDATE accounts SET used_bytes = used_bytes + NEW.size WHERE id = NEW.account_id;
  INSERT INTO conversations
    (mailbox_id, thread_id, newest_at, newest_id, total, unread, starred)
  SELECT NEW.mailbox_id, NEW.thread_id, NEW.sort_at, NEW.id, 1, NOT NEW.seen, NEW.starred
  WHERE NEW.thread_id IS NOT NULL
  ON CONFLICT (mailbox_id, thread_id) DO UPDATE
  SET (newest_at, newest_id) = (
        SELECT sort_at, id FROM entries
        WHERE mailbox_id = NEW.mailbox_id AND thread_id = NEW.thread_id
        ORDER BY sort_at DESC, id DESC LIMIT 1),
      total = total + 1, unread = unread + excluded.unread, starred = starred + excluded.starred;
"""
_OUT = """
  UPDATE mailboxes SET total = total - 1, unread = unread - (NOT OLD.seen)
  WHERE id = OLD.mailbox_id;
  UPDATE accounts SET used_bytes = used_bytes - OLD.size WHERE id = OLD.account_id;
  UPDATE conversations
  SET total = total - 1, unread = unread - (NOT OLD.seen), starred = starred - OLD.starred
  WHERE mailbox_id = OLD.mailbox_id AND thread_id = OLD.thread_id;
  DELETE FROM conversations
  WHERE mailbox_id = OLD.mailbox_id AND thread_id = OLD.thread_id AND total = 0;
  UPDATE conversations SET (newest_at, newest_id) = (
    SELECT sort_at, id FROM entries
    WHERE mailbox_id = OLD.mailbox_id AND thread_id = OLD.thread_id
    ORDER BY sort_at DESC, id DESC LIMIT 1)
  WHERE mailbox_id = OLD.mailbox_id AND thread_id = OLD.thread_id AND newest_id = OLD.id;
"""
SQLITE = (
    f"CREATE TRIGGER entries_followed_insert AFTER INSERT ON entries BEGIN {_IN} END",
    "CREATE TRIGGER entries_followed_update AFTER UPDATE OF mailbox_id, thread_id, seen, starred, "
    f"size ON entries BEGIN {_OUT} {_IN} END",
    f"CREATE TRIGGER entries_followed_delete AFTER DELETE ON entries BEGIN {_OUT} END",
)

# Full-text indexes are nothing that SQLAlchemy's models can say.
POSTGRESQL_SEARCH = (
    # What waits to be sorted into the index is looked through by every search, and sorted in by who
    # makes it longer than so many KB: some forty messages, which nobody waits long for.
    """
    CREATE INDEX search_words ON search_entries USING gin (words)
    WITH (gin_pending_list_limit = 256)
    """,
)
# FTS5 keeps no text of its own: what is in search_entries is put into it here.
SQLITE_SEARCH = (
    """
    CREATE VIRTUAL TABLE search_words USING fts5(
      words, content='search_entries', content_rowid='entry_id', columnsize=0,
      tokenize="ascii tokenchars ':~#@.+-_'")
    """,
    """
    CREATE TRIGGER search_entries_insert AFTER INSERT ON search_entries BEGIN
      INSERT INTO search_words (rowid, words) VALUES (NEW.entry_id, NEW.words);
    END
    """,
    """
    CREATE TRIGGER search_entries_delete AFTER DELETE ON search_entries BEGIN
      INSERT INTO search_words (search_words, rowid, words)
      VALUES ('delete', OLD.entry_id, OLD.words);
    END
    """,
)
