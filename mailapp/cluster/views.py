"""The operators' page of the instances, and what it asks for every second to stay live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from flask import Blueprint, Response, current_app, jsonify, render_template

from mailapp.accounts import auth
from mailapp.cluster import plots, services
from mailapp.cluster.record import POINTS, STEP, Part, Record, State
from mailapp.cluster.registry import registry
from mailapp.cluster.services import Overview
from mailapp.database import now
from mailapp.i18n import gettext as _
from mailapp.i18n import lazy_gettext, ngettext
from mailapp.redis import redis_client

bp = Blueprint("cluster", __name__)

_STATES: dict[State, Any] = {
    "ok": lazy_gettext("Serving"),
    "degraded": lazy_gettext("Serving in part"),
    "unavailable": lazy_gettext("Can’t serve"),
    "draining": lazy_gettext("Draining"),
    "silent": lazy_gettext("Does not answer"),
    "starting": lazy_gettext("Starting"),
}
_MINUTES = POINTS * STEP // 60


class _Plot(NamedTuple):
    """A line of numbers as the template draws it: paths in a box, and what they say in words."""

    line: str
    area: str
    errors: str
    words: str
    width: int = plots.WIDTH
    height: int = plots.HEIGHT


class _Card(NamedTuple):
    """One instance, every text of it ready."""

    name: str
    state: State
    state_text: str
    why: str
    version: str
    is_new: bool
    is_old: bool
    started: str
    uptime: str
    workers: int
    under_way: int
    room: int
    cpu: str
    latency: str
    rate: str
    errors: str
    plot: _Plot
    parts: tuple[Part, ...]


@bp.get("/admin/cluster")
def page() -> str:
    """Who is alive, and how they are."""
    auth.signed_in_operator()
    overview = _overview()
    return render_template(
        "cluster/page.html",
        active="cluster",
        said=_sentence(overview),
        **_shown(overview),
    )


@bp.get("/admin/cluster/now")
def current() -> Response:
    """The part of the page that changes, for its script. No visit: see mailapp/sessions.py."""
    auth.signed_in_operator()
    overview = _overview()
    html = render_template("cluster/instances.html", **_shown(overview))
    return jsonify(said=_sentence(overview), html=html)


def _overview() -> Overview:
    return services.look(registry(redis_client(), current_app.extensions["database"]))


def _shown(overview: Overview) -> dict[str, object]:
    # One scale for all, so that who gets more than its share can be seen.
    top = plots.ceiling(
        max((max(one.requests, default=0) for one in overview.instances), default=0)
    )
    moment = now()
    return {
        "cards": [_card(record, overview, top, moment) for record in overview.instances],
        "silent_for": [_duration(seconds) for seconds in overview.silent_for],
        "versions": overview.versions,
        "total": _plot(
            overview.requests, overview.errors, plots.ceiling(max(overview.requests, default=0))
        ),
        "rate": _number(_last(overview.requests)),
        "errors": _number(_last(overview.errors)),
        "under_way": sum(record.under_way for record in overview.instances),
        "room": sum(record.room for record in overview.serving),
        "top": _number(top),
        "minutes": _MINUTES,
    }


def _card(record: Record, overview: Overview, top: float, moment: datetime) -> _Card:
    is_new = record.version == overview.newest_version
    several = len(overview.versions) > 1
    return _Card(
        name=record.name,
        state=record.state,
        state_text=str(_STATES[record.state]),
        why=_why(record),
        version=record.version,
        is_new=several and is_new,
        is_old=several and not is_new,
        started=f"{moment - timedelta(seconds=record.uptime):%-d %b, %H:%M} UTC",
        uptime=_duration(record.uptime),
        workers=record.workers,
        under_way=record.under_way,
        room=record.room,
        cpu="–" if record.cpu is None else f"{record.cpu:.0%}",
        latency="–" if record.latency is None else _("%(count)s ms", count=_number(record.latency)),
        rate=_number(_last(record.requests)),
        errors=_number(_last(record.errors)),
        plot=_plot(record.requests, record.errors, top),
        parts=record.parts,
    )


def _why(record: Record) -> str:
    """What an operator wants to know of a state that is not the best, in a sentence."""
    if record.state == "draining":
        return _("It was asked to stop: the balancer leaves it, and it finishes what is under way.")
    if record.state == "silent":
        return _("Its own processes gave no answer to /healthz.")
    failing = [
        ": ".join([part.name, part.error or _("failing")]) for part in record.parts if part.failing
    ]
    return f"{'; '.join(failing).capitalize()}." if failing else ""


def _plot(requests: Sequence[float], errors: Sequence[float], top: float) -> _Plot:
    words = _(
        "Requests a second over the last %(minutes)s minutes: none counted yet", minutes=_MINUTES
    )
    if requests:
        words = _(
            "Requests a second over the last %(minutes)s minutes: now %(now)s, "
            "at most %(most)s; errors at most %(errors)s",
            minutes=_MINUTES,
            now=_number(requests[-1]),
            most=_number(max(requests)),
            errors=_number(max(errors, default=0)),
        )
    return _Plot(
        line=plots.line(requests, top, POINTS),
        area=plots.area(requests, top, POINTS),
        errors=plots.area(errors, top, POINTS) if any(errors) else "",
        words=words,
    )


def _sentence(overview: Overview) -> str:
    """How they all are, short enough to be read aloud when it changes."""
    count, serving = len(overview.instances), len(overview.serving)
    if not count:
        return _("No instance has told of itself yet.")
    if serving == count:
        return ngettext("%(num)s instance, serving", "%(num)s instances, all serving", count)
    others = [
        text % {"count": sum(record.state == state for record in overview.instances)}
        for state, text in (
            ("starting", _("%(count)s starting")),
            ("draining", _("%(count)s draining")),
            ("unavailable", _("%(count)s can’t serve")),
            ("silent", _("%(count)s without an answer")),
        )
        if any(record.state == state for record in overview.instances)
    ]
    return ngettext(
        "%(num)s instance: %(serving)s serving, %(others)s",
        "%(num)s instances: %(serving)s serving, %(others)s",
        count,
        serving=serving,
        others=", ".join(others),
    )


def _last(values: Sequence[float]) -> float:
    return values[-1] if values else 0.0


def _number(value: float) -> str:
    """With a digit behind the point below ten, and without above."""
    return f"{value:.1f}".removesuffix(".0") if value < 10 else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    """Roughly, as a person says it: `8 s`, `12 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = int(seconds)
    if whole < 60:
        return _("%(seconds)s s", seconds=whole)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return _("%(minutes)s min", minutes=minutes)
    if hours < 24:
        return _("%(hours)s h %(minutes)s min", hours=hours, minutes=minutes % 60)
    return _("%(days)s d %(hours)s h", days=days, hours=hours % 24)
