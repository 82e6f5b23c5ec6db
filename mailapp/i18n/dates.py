"""Moments as people write them, in their language and by their clock.

`static/times.js` writes the same in the browser, where nobody has chosen a time zone: then only it
knows which one the reader is in.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache

from babel import Locale
from babel.dates import format_date

from mailapp.i18n.choice import current_language, current_zone, locale

# Which region's way of writing a date goes with a language: 21 Nov can be read anywhere.
_REGIONS = {"en": "en_GB"}


def today() -> date:
    """The date where the person is."""
    return datetime.now(current_zone()).date()


def short(moment: datetime, today: date) -> str:
    """As briefly as it can be said: `14:05` today, `21 Nov` this year, `2025-03-01` before."""
    moment = moment.astimezone(current_zone())
    if moment.year != today.year:
        return f"{moment.year}-{moment.month:02}-{moment.day:02}"
    if moment.month == today.month and moment.day == today.day:
        return f"{moment.hour:02}:{moment.minute:02}"
    return _day(moment.date(), "MMMd", current_language())


def full(moment: datetime) -> str:
    """The day and the time: `21 Nov 2026, 14:05`; where no zone was chosen, that it is UTC."""
    there = moment.astimezone(current_zone())
    language = current_language()
    day = _day(there.date(), "yMMMd", language)
    zone = " UTC" if there.tzname() == "UTC" else ""
    time = f"{there.hour:02}:{there.minute:02}{zone}"
    both: str = _locale(language).datetime_formats["medium"]
    return both.format(time, day)


def tag(language: str) -> str:
    """The name under which a browser knows how dates are written in a language."""
    return _REGIONS.get(language, language).replace("_", "-")


def _locale(language: str) -> Locale:
    return locale(_REGIONS.get(language, language))


@lru_cache(maxsize=2048)
def _day(day: date, skeleton: str, language: str) -> str:
    written = _locale(language)
    return format_date(day, written.datetime_skeletons[skeleton].pattern, written)
