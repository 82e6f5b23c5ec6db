"""The pages of accounts: log-in, sign-up, log-out, password and sessions."""

from __future__ import annotations

from collections.abc import Mapping

from flask import (
    Blueprint,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from mailapp import csrf, limits, sessions
from mailapp.accounts import auth, preferences, services
from mailapp.errors import Problem
from mailapp.i18n import LANGUAGES, choose, lazy_gettext, ngettext, zones
from mailapp.i18n import gettext as _
from mailapp.limits import Limit
from mailapp.settings import current_settings

bp = Blueprint("accounts", __name__)
bp.record_once(lambda state: auth.init_app(state.app))  # type: ignore[arg-type]

_STALE = lazy_gettext("This page was open for too long. Please try again.")


@bp.get("/login")
def login() -> str | AnyResponse:
    """The log-in page; who is logged in already goes on to their mail."""
    if session.get("account"):
        return redirect(url_for("mailbox.home"), 303)
    return _login_page(next=request.args.get("next", ""))


@bp.post("/login")
@csrf.exempt
def log_in() -> str | AnyResponse:
    """Log in, under a new session id; on a failure the same answer whatever was wrong."""
    email, password = request.form.get("email", ""), request.form.get("password", "")
    after = request.form.get("next", "")
    if not csrf.valid(request.form.get("csrf_token")):
        # Somebody typed their password into a page whose session is gone: ask again, kindly.
        return make_response(_login_page(email=email, next=after, error=str(_STALE)), 400)

    settings = current_settings()
    by_account = Limit("log-in", settings.login_tries_account, settings.login_window)
    by_address = Limit("log-in-from", settings.login_tries_address, settings.login_window)
    subject, address = _subject(email), limits.network_of(request.remote_addr or "")
    wait = limits.take(by_address, address) or limits.take(by_account, subject)
    if wait is not None:
        page = _login_page(
            email=email,
            next=after,
            error=_too_many(wait),
        )
        return make_response(page, 429, {"Retry-After": str(wait)})
    with limits.if_judged((by_account, subject), (by_address, address)):
        found = services.authenticate(email, password)
    if found is None:
        page = _login_page(email=email, next=after, error=_("The email or the password is wrong."))
        return make_response(page, 401)
    limits.forget(by_account, subject)
    limits.give_back(by_address, address)
    sessions.start(*found)
    return redirect(auth.safe_next(after) or url_for("mailbox.folder", role="inbox"), 303)


@bp.post("/logout")
def logout() -> AnyResponse:
    """End this session, on every instance."""
    sessions.end()
    return redirect(url_for("accounts.login"), 303)


@bp.get("/signup")
def signup() -> str:
    """The sign-up page."""
    _signup_must_be_open()
    return _signup_page({})


@bp.post("/signup")
@csrf.exempt
def sign_up() -> str | AnyResponse:
    """Make an account and log in to it."""
    _signup_must_be_open()
    if not csrf.valid(request.form.get("csrf_token")):
        return make_response(_signup_page({"form": str(_STALE)}), 400)
    settings = current_settings()
    limit = Limit("sign-up-from", settings.login_tries_address, settings.login_window)
    address = limits.network_of(request.remote_addr or "")
    wait = limits.take(limit, address)
    if wait is not None:
        page = _signup_page({"form": _too_many(wait)})
        return make_response(page, 429, {"Retry-After": str(wait)})
    try:
        with limits.if_judged((limit, address)):
            account_id = services.create(
                request.form.get("email", ""),
                request.form.get("name", ""),
                request.form.get("password", ""),
            )
    except services.Refused as error:
        return make_response(_signup_page({error.field: str(error)}), 422)
    sessions.start(account_id, 0)
    flash(_("Welcome! This is your inbox."), "success")
    return redirect(url_for("mailbox.folder", role="inbox"), 303)


@bp.get("/settings")
def account() -> str:
    """What one prefers, one's password and sessions."""
    return _settings_page({})


@bp.post("/settings")
def save_preferences() -> str | AnyResponse:
    """Prefer what the form says, and say so in the language that it asks for."""
    frame = auth.signed_in()
    try:
        preferred = preferences.save(frame.account, request.form)
    except preferences.Mistaken as error:
        return make_response(_settings_page(error.problems), 422)
    choose(preferred.language, preferred.time_zone)
    flash(_("Your settings are saved."), "success")
    return redirect(url_for("accounts.account"), 303)


@bp.post("/settings/password")
def change_password() -> str | AnyResponse:
    """Change the password and end every other session."""
    frame = auth.signed_in()
    settings = current_settings()
    limit = Limit("password", settings.login_tries_account, settings.login_window)
    wait = limits.take(limit, str(frame.account.id))
    if wait is not None:
        page = _settings_page({"current_password": _too_many(wait)})
        return make_response(page, 429, {"Retry-After": str(wait)})
    try:
        with limits.if_judged((limit, str(frame.account.id))):
            epoch = services.change_password(
                frame.account.id,
                request.form.get("current_password", ""),
                request.form.get("new_password", ""),
            )
    except services.Refused as error:
        return make_response(_settings_page({error.field: str(error)}), 422)
    limits.forget(limit, str(frame.account.id))
    sessions.end_others(frame.account.id)
    if not sessions.carry_on(frame.account.id, epoch):
        flash(_("The password is changed, and you are logged out."), "success")
        return redirect(url_for("accounts.login"), 303)
    flash(_("The password is changed. Every other session has been ended."), "success")
    return redirect(url_for("accounts.account"), 303)


@bp.post("/settings/sessions/<handle>/end")
def end_session(handle: str) -> AnyResponse:
    """End one of one's own sessions."""
    frame = auth.signed_in()
    if not sessions.end_one(frame.account.id, handle):
        raise Problem(404, _("This session is not there"), _("It may have ended already."))
    flash(_("The session has been ended."), "success")
    return redirect(url_for("accounts.account"), 303)


@bp.post("/settings/sessions/end-others")
def end_other_sessions() -> AnyResponse:
    """End all of one's own sessions but this one."""
    frame = auth.signed_in()
    ended = sessions.end_others(frame.account.id)
    flash(
        ngettext("%(num)s other session ended.", "%(num)s other sessions ended.", ended), "success"
    )
    return redirect(url_for("accounts.account"), 303)


def _login_page(*, email: str = "", next: str = "", error: str | None = None) -> str:
    return render_template(
        "accounts/login.html",
        email=email,
        next=auth.safe_next(next) or "",
        error=error,
    )


def _signup_page(errors: dict[str, str]) -> str:
    return render_template(
        "accounts/signup.html",
        name=request.form.get("name", ""),
        email=request.form.get("email", ""),
        errors=errors,
    )


def _settings_page(errors: Mapping[str, str]) -> str:
    frame = auth.signed_in()
    preferred = preferences.of(frame.account)._asdict()
    # After a mistake, as it was typed.
    typed = {name: request.form[name] for name in preferred if name in request.form}
    return render_template(
        "accounts/settings.html",
        active="settings",
        errors=errors,
        preferred=preferred | typed,
        language_choices=[("", _("As the browser asks")), *LANGUAGES.items()],
        zone_choices=[("", _("As the browser has it")), *zones.zones()],
        theme_choices=preferences.THEMES.items(),
        undo_choices=[(seconds, _undo_text(seconds)) for seconds in preferences.undo_choices()],
        sessions=sessions.list_sessions(frame.account.id),
    )


def _undo_text(seconds: int) -> str:
    if not seconds:
        return _("Not at all")
    return ngettext("%(num)s second", "%(num)s seconds", seconds)


def _signup_must_be_open() -> None:
    if not current_settings().signup_open:
        raise Problem(
            403,
            _("Sign-up is closed"),
            _("Ask whoever runs this service to make an account for you."),
        )


def _subject(email: str) -> str:
    """The account that tries are counted for, whether it exists or not."""
    try:
        return services.own_address(email)
    except ValueError:
        return email.strip().lower()


def _too_many(wait: int) -> str:
    """What is said to who has tried too often, and may again after `wait` seconds."""
    if wait < 120:
        return ngettext(
            "Too many tries. Please wait %(num)s second and try again.",
            "Too many tries. Please wait %(num)s seconds and try again.",
            wait,
        )
    return ngettext(
        "Too many tries. Please wait %(num)s minute and try again.",
        "Too many tries. Please wait %(num)s minutes and try again.",
        -(-wait // 60),
    )
