"""The table of instances that are alive, where there is no Redis to keep them in."""

from __future__ import annotations

from sqlalchemy import Double, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base


class Instance(Base):
    """The last record of an instance, and when it came: in seconds by the database's own clock."""

    __tablename__ = "instances"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    record: Mapped[bytes] = mapped_column(LargeBinary)
    seen_at: Mapped[float] = mapped_column(Double)
