"""The tables of contacts: people one has written to, and the words that each is found by."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Contact(Base):
    """Somebody a person has written to: the name last used, when, how often.

    `address` is in its canonical spelling (see mail.addresses).
    """

    __tablename__ = "contacts"

    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(320), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    used_at: Mapped[datetime] = mapped_column(UtcDateTime)
    uses: Mapped[int]


class AddressWord(Base):
    """What an address is found by: itself, and its name from each of its words on.

    `owner_id` is the account whose contact it is, 0 the directory: every account of this service.
    `word` is folded (see services.fold) and sorted by its characters' numbers on both databases, so
    that those with a prefix are one stretch of the primary key.
    """

    __tablename__ = "address_words"
    __table_args__ = (Index(None, "owner_id", "address"),)

    owner_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    word: Mapped[str] = mapped_column(
        String(100).with_variant(String(100, collation="C"), "postgresql"), primary_key=True
    )
    address: Mapped[str] = mapped_column(String(320), primary_key=True)
