"""The `mailapp` command: serve, migrate, publish, user, deliver, seed, gc, doctor."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import click
from flask import Flask
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from mailapp import __version__, create_app
from mailapp.settings import Settings, SettingsError


@click.group()
@click.version_option(__version__, prog_name="mailapp")
def main() -> None:
    """Web mail on web servers that keep nothing. Settings come from the environment."""


@main.command()
def serve() -> None:
    """Serve the application on HOST:PORT until it is stopped."""
    from mailapp.server import serve as run

    settings = _settings()
    _refuse_old_schema(settings)
    run(settings)


@main.command()
def migrate() -> None:
    """Bring the database's schema up to date and make the attachments' bucket or folder."""
    from mailapp import database, migrations
    from mailapp.attachments import store

    settings = _settings()
    with _explained():
        migrations.upgrade(database.connect(settings, timeout=None).engine)
        store.from_settings(settings).prepare()
    click.echo("The database and the store of attachments are ready.")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def publish(folder: Path) -> None:
    """Copy the static files to FOLDER under their versions, for nginx to serve them."""
    from mailapp.templating import StaticFiles

    try:
        StaticFiles(Path(__file__).parent / "static", "/static").publish(folder)
    except OSError as error:
        raise click.ClickException(f"The files can't be copied: {error}.") from None
    click.echo(f"The static files are in {folder}.")


@main.group()
def user() -> None:
    """Make, list and disable accounts, set their passwords, say who is an operator."""


@user.command("add")
@click.argument("address")
@click.option("--name", required=True, help="How the person is called.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def user_add(address: str, name: str, password_stdin: bool) -> None:
    """Make an account."""
    from mailapp.accounts import services

    password = _password(password_stdin)
    with _application(), _explained():
        services.create(address, name, password, by_operator=True)
        click.echo(f"Made {services.own_address(address)}.")


@user.command("list")
def user_list() -> None:
    """List the accounts: address, name, when made, whether disabled, whether an operator's."""
    from mailapp.accounts import services

    with _application(), _explained():
        for account in services.list_all():
            state = f"disabled {account.disabled_at:%Y-%m-%d}" if account.disabled_at else "active"
            if account.is_admin:
                state += "\tadmin"
            click.echo(f"{account.address}\t{account.name}\t{account.created_at:%Y-%m-%d}\t{state}")


@user.command("passwd")
@click.argument("address")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def user_passwd(address: str, password_stdin: bool) -> None:
    """Set somebody's password, and end their sessions."""
    from mailapp.accounts import services

    password = _password(password_stdin)
    with _application(), _explained():
        account_id = services.set_password(address, password)
        _forget_sessions(account_id)
        click.echo(f"Set the password of {services.own_address(address)}; its sessions are ended.")


@user.command("disable")
@click.argument("address")
def user_disable(address: str) -> None:
    """Let nobody log in to an account any more, and end its sessions. Its mail is kept."""
    from mailapp.accounts import services

    with _application(), _explained():
        account_id = services.disable(address)
        _forget_sessions(account_id)
        click.echo(f"Disabled {services.own_address(address)}; its sessions are ended.")


@user.command("admin")
@click.argument("address")
@click.option("--revoke", is_flag=True, help="Take the flag back.")
def user_admin(address: str, revoke: bool) -> None:
    """Make somebody an operator, who sees the page /admin/cluster; at once, on every instance."""
    from mailapp.accounts import services

    with _application(), _explained():
        services.set_admin(address, is_admin=not revoke)
        said = "is no operator any more" if revoke else "is an operator: /admin/cluster is open"
        click.echo(f"{services.own_address(address)} {said}.")


@user.command("quota")
@click.argument("address")
@click.argument("size")
def user_quota(address: str, size: str) -> None:
    """Let somebody's mailbox have SIZE: such as 20GB, 500MB, a number of bytes, none or default."""
    from mailapp.accounts import services

    quota_bytes = _size(size)
    with _application(), _explained():
        services.set_quota(address, quota_bytes)
        said = {None: "the service's limit", 0: "no limit"}.get(quota_bytes, size)
        click.echo(f"{services.own_address(address)} has {said}.")


@main.command()
@click.argument("address")
def deliver(address: str) -> None:
    """Put the message (RFC 5322) on standard input into the mailbox of ADDRESS.

    Exits 0 when it is stored, also by an earlier run; 65 when it can't be read as mail, 67 when
    nobody here has the address, 75 when it should be tried again: the service is away, or the
    mailbox is full.
    """
    from mailapp.delivery import command

    status, text = command.run(address, sys.stdin.buffer)
    if text:
        click.echo(text, err=True)
    sys.exit(status)


@main.command()
@click.option("--admin", is_flag=True, help="Make alice an operator.")
@click.option(
    "--logins-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also keep the log-ins in this file, readable by you alone.",
)
def seed(admin: bool, logins_file: Path | None) -> None:
    """Make two demo people, alice and bob, with some mail between them; once."""
    from mailapp import seeding

    with _application(), _explained():
        logins = seeding.seed(admin=admin)
        if not logins and logins_file is not None and logins_file.exists():
            _keep_right_logins(logins_file)
    if not logins:
        click.echo("The demo people are here already. `mailapp user passwd` sets a password anew.")
        return
    text = "".join(f"  {address}  password: {password}\n" for address, password in logins)
    if logins_file is not None:
        descriptor = os.open(logins_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    click.echo(f"Two demo people, with some mail between them:\n{text}", nl=False)


@main.command()
@click.option("--every", type=click.IntRange(min=1), help="Go on, with so many seconds between.")
def gc(every: int | None) -> None:
    """Empty Trash and Spam by age, and remove what nothing refers to: attachments, old drafts."""
    from mailapp.attachments.collector import collect
    from mailapp.database import now
    from mailapp.mailbox import emptying
    from mailapp.search.index import index_all_missing

    with _application() as app:
        settings = app.extensions["settings"]
        grace = timedelta(seconds=settings.gc_grace)
        while True:
            with _explained(survive=every is not None):
                emptied = emptying.empty(now(), settings.trash_days)
                report = collect(now(), grace)
                click.echo(
                    f"Deleted {emptied} messages that were in Trash or Spam for long. "
                    f"Removed {report.blobs} attachments ({report.size} bytes), "
                    f"{report.messages} messages, {report.drafts} discarded drafts, "
                    f"{report.objects} objects without a row, {report.uploads} uploads left alone, "
                    f"{report.unfinished} unfinished objects, {report.sessions} ended sessions, "
                    f"{report.limits} old counters. "
                    f"Made {index_all_missing()} messages of an older version findable."
                )
            if every is None:
                return
            time.sleep(every)


@main.command()
def doctor() -> None:
    """Check every setting and every part, and say what is wrong and what to do about it."""
    from mailapp import diagnosis

    settings = _settings()
    app = create_app(settings)
    with app.app_context():
        findings = diagnosis.examine(settings)
    for finding in findings:
        click.echo(f"{'ok  ' if finding.fine else 'FAIL'}  {finding.subject}: {finding.text}")
    if not all(finding.fine for finding in findings):
        sys.exit(1)


def _refuse_old_schema(settings: Settings) -> None:
    """Don't start on a schema of an older version. A database that is away may come back: start."""
    from mailapp import database, migrations

    engine = database.connect(settings, timeout=settings.database_timeout).engine
    try:
        with engine.connect() as connection:
            ready = migrations.is_new_enough(connection)
    except SQLAlchemyError:
        return
    finally:
        engine.dispose()
    if not ready:
        raise click.ClickException(
            "DATABASE_URL names a database whose schema is older than this version. "
            "Run `mailapp migrate` first."
        )


def _settings() -> Settings:
    try:
        return Settings.from_env()
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _application() -> Iterator[Flask]:
    from mailapp.telemetry import configure_logging

    settings = _settings()
    configure_logging(settings)
    app = create_app(settings)
    with app.app_context():
        yield app


@contextmanager
def _explained(*, survive: bool = False) -> Iterator[None]:
    """Turn the failures an operator can do something about into one sentence and status 1.

    A command that is to `survive` says the sentence and goes on.
    """
    from mailapp.accounts.services import Refused
    from mailapp.errors import Unavailable

    try:
        yield
    except (Refused, Unavailable, RedisError, SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        text = " ".join(str(cause).split())
        if isinstance(error, SQLAlchemyError):
            text = f"The database: {text}. `mailapp doctor` checks every part."
        if isinstance(error, RedisError):
            text = f"Redis: {text}. `mailapp doctor` checks every part."
        if not survive:
            raise click.ClickException(text) from None
        click.echo(f"Error: {text}", err=True)


def _forget_sessions(account_id: int) -> None:
    """Take the account's sessions out of the store. None is good any more, even if this fails."""
    from mailapp import sessions

    with suppress(RedisError):
        sessions.end_all(account_id)


def _keep_right_logins(file: Path) -> None:
    """Take from a file of log-ins the passwords that have been changed since it was written."""
    from mailapp.accounts import services

    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        address, _, password = line.strip().partition("  password: ")
        right = services.authenticate(address, password) is not None
        lines.append(line if right else f"  {address}  password: changed since the first start")
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _size(text: str) -> int | None:
    """A size in bytes, as a person writes it (1 KB = 1024); 0 for none, None for the default."""
    if text.lower() in {"default", "none"}:
        return None if text.lower() == "default" else 0
    found = re.fullmatch(r"(\d{1,15})\s*(?:([KMGT])?B)?", text.strip(), re.IGNORECASE)
    if found is None or not int(found[1]):
        raise click.BadParameter(f"{text!r} is no size; write 20GB, 500MB, none or default.")
    unit: int = 1024 ** " KMGT".index((found[2] or " ").upper())
    return int(found[1]) * unit


def _password(from_stdin: bool) -> str:
    if from_stdin:
        # As bytes: a password is the same one whatever locale the command runs in.
        line = sys.stdin.buffer.readline()
        try:
            return line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise click.ClickException("The password on standard input is not UTF-8.") from None
    if not sys.stdin.isatty():
        raise click.ClickException(
            "There is no terminal to ask for the password on; give it with --password-stdin."
        )
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password
