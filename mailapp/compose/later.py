"""When a message is to be sent later: a moment that somebody has chosen, in their own time zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mailapp.i18n import gettext as _
from mailapp.i18n.choice import zone

_MORNING = time(8)

# What <input type=datetime-local> sends.
_FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


class NoSuchTime(ValueError):
    """Why a message can't be sent then, for the person who chose it."""


def chosen(fields: Mapping[str, str], zone: ZoneInfo, now: datetime) -> datetime:
    """The moment, in UTC, that a form asks for: by `preset`, or as `send_at` in that zone.

    Raises NoSuchTime for one that can't be read or has passed.
    """
    preset = _PRESETS.get(fields.get("preset", ""))
    if preset is not None:
        return datetime.combine(preset(now.astimezone(zone)), _MORNING, zone).astimezone(UTC)
    for form in _FORMATS:
        try:
            at = datetime.strptime(fields.get("send_at", ""), form).replace(tzinfo=zone)
            moment = at.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
        if moment <= now:
            raise NoSuchTime(_("This time has passed already. Choose a later one."))
        return moment
    raise NoSuchTime(_("Choose the day and the time at which it is to be sent."))


def said(moment: str) -> datetime:
    """The moment that a page of ours has put into its form; raises NoSuchTime for what is none."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NoSuchTime(_("Choose the day and the time at which it is to be sent.")) from None


def zone_of(*names: str | None) -> ZoneInfo:
    """The first of these time zones (IANA) that there is, or UTC."""
    return next(filter(None, map(zone, names)), ZoneInfo("UTC"))


def _tomorrow(today: datetime) -> datetime:
    return today + timedelta(days=1)


def _monday(today: datetime) -> datetime:
    return today + timedelta(days=7 - today.weekday())


_PRESETS: dict[str, Callable[[datetime], datetime]] = {"tomorrow": _tomorrow, "monday": _monday}
