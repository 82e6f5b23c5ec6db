"""The table that is searched: what each copy of a message is found by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class SearchEntry(Base):
    """What an entry is found by: one row a person and copy, so nobody's search meets others' mail.

    `words` are those of index.py, a tsvector on PostgreSQL, a line on SQLite. What finds them is
    called `search_words` (see migrations/triggers.py): a GIN index, or an FTS5 table that triggers
    fill. The row never changes and goes with its entry. `sort_at` is the entry's, kept here so that
    the newest are found without it.
    """

    __tablename__ = "search_entries"
    __table_args__ = (Index("ix_search_entries_newest", "account_id", "sort_at", "entry_id"),)

    entry_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("entries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    account_id: Mapped[int] = mapped_column(BigId)
    sort_at: Mapped[datetime] = mapped_column(UtcDateTime)
    words: Mapped[str] = mapped_column(Text().with_variant(TSVECTOR(), "postgresql"))


class SearchMissing(Base):
    """An entry that nobody finds yet: the version before filed it."""

    __tablename__ = "search_missing"

    entry_id: Mapped[int] = mapped_column(
        BigId,
        ForeignKey("entries.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        primary_key=True,
        autoincrement=False,
    )
