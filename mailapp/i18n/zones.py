"""The time zones that one can choose from, each by a city in it and its distance from UTC now."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from babel.core import get_global
from babel.dates import get_timezone_location

from mailapp.i18n.choice import current_language, zone


def zones() -> tuple[tuple[str, str], ...]:
    """(IANA's name, `UTC+09:00 Seoul` in the current language) from west to east."""
    return _zones(current_language(), datetime.now(UTC).date())


@lru_cache(maxsize=8)
def _zones(language: str, day: date) -> tuple[tuple[str, str], ...]:
    """Those of a day, because of summer time."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    found: list[tuple[timedelta, str, str]] = []
    # The Unicode consortium's list has each once, where IANA's has all names there ever were.
    for name in get_global("zone_territories"):
        place = zone(name)
        if place is None or (name.startswith("Etc/") and name != "Etc/UTC"):
            continue
        city = get_timezone_location(place, locale=language, return_city=True)
        found.append((noon.astimezone(place).utcoffset() or timedelta(), city, name))
    return tuple([(name, f"{_offset(offset)} {city}") for offset, city, name in sorted(found)])


def _offset(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    sign = "−" if minutes < 0 else "+"
    return f"UTC{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
