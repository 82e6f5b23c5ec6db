"""`make run`: the application alone on its embedded default, with two demo people in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from deploy.preflight import free
from deploy.topology import StartError, Web, free_port, running, script


def main() -> None:
    """Prepare the data, serve until Ctrl-C; a sentence and status 1 when that fails."""
    listen_for_the_end()
    data = Path(os.environ.get("DATA_DIR", "data"))
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Nobody balances between instances here, so nobody needs time to notice that one stops.
    environment = {**os.environ, "DRAIN_SECONDS": os.environ.get("DRAIN_SECONDS", "0")}
    try:
        logins = prepare(environment, data / "logins")
        host = os.environ.get("HOST", "127.0.0.1")
        web = Web(
            data,
            environment,
            name=os.environ.get("INSTANCE_NAME", "web-1"),
            host=host,
            port=int(os.environ.get("PORT", "8000")),
            metrics_port=metrics_port(host),
        )
        # The application finds its files from here, as `.venv/bin/mailapp` called by hand does.
        web.working_directory = Path.cwd()
        with running(web):
            print(
                f"\n  The log is {web.log}; Ctrl-C stops the server.\n"
                f"  Its figures, for Prometheus: {web.metrics_url}\n"
                f"\n  mailapp runs at {web.url}\n\n{logins}",
                flush=True,
            )
            web.wait()
        sys.exit(f"The server ended. The end of {web.log}:\n{web.last_words()}")
    except StartError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nStopped. Everything is kept in", data)


def metrics_port(host: str) -> int:
    """METRICS_PORT; unset, its default, or any that is free where another `make run` has that."""
    if asked := os.environ.get("METRICS_PORT"):
        return int(asked)
    return 9464 if free(host, "9464") else free_port()


def prepare(environment: dict[str, str], logins: Path) -> str:
    """Run the jobs `migrate` and `seed`; returns the demo log-ins, ready to be shown.

    Alice is made an operator only here, where whoever reads her password owns the machine anyway.
    """
    for job in (["migrate"], ["seed", "--admin", "--logins-file", str(logins.resolve())]):
        ran = subprocess.run(
            [script("mailapp"), *job], env=environment, capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            raise StartError(f"mailapp {job[0]} failed:\n{ran.stdout}{ran.stderr}")
    if not logins.exists():
        return "  The demo log-ins were shown when `mailapp seed` made them.\n"
    return "".join(f"  {line}\n" for line in logins.read_text().splitlines())


def listen_for_the_end() -> None:
    """Let every request to end raise KeyboardInterrupt, so that all is stopped in order."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    # Said aloud, because a shell starts what it puts into the background with SIGINT ignored.
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # that is nohup's wish
        signal.signal(signal.SIGHUP, interrupt)


if __name__ == "__main__":
    main()
