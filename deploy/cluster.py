"""`make cluster`: nginx before several instances, PostgreSQL, Valkey and SeaweedFS, here."""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import shlex
import sys
import time
from pathlib import Path

from deploy.run import listen_for_the_end, prepare
from deploy.topology import (
    HOST,
    Nginx,
    Postgres,
    SeaweedFS,
    Server,
    StartError,
    Valkey,
    Web,
    running,
    variables,
    write_private,
)


def main() -> None:
    """Run until Ctrl-C or until a part ends; a sentence and status 1 when one does."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--web", type=int, default=3, metavar="N", help="how many instances")
    parser.add_argument("--port", type=int, default=8080, help="where nginx listens")
    parser.add_argument("--data", type=Path, default=Path("data/cluster"), help="what is kept")
    asked = parser.parse_args()
    if asked.web < 1:
        parser.error("WEB must be 1 or more")
    listen_for_the_end()
    try:
        run(asked.data.resolve(), asked.web, asked.port)
    except StartError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nStopped. Everything is kept in", asked.data)


def run(data: Path, instances: int, port: int) -> None:
    """Start all parts, each as soon as those it needs answer; stop them in the opposite order."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartError(f"A cluster is running on {data} already.") from None
        postgres = Postgres(data / "postgres", password=kept_secret(data, "postgres"))
        valkey = Valkey(data / "valkey", password=kept_secret(data, "valkey"))
        seaweedfs = SeaweedFS(
            data / "seaweedfs",
            access_key=kept_secret(data, "s3-access-key"),
            secret_key=kept_secret(data, "s3-secret-key"),
        )
        settings = {
            "SECRET_KEY": kept_secret(data, "secret-key"),
            **variables(postgres, valkey, seaweedfs),
            "TRUSTED_PROXIES": f"{HOST}/32",
            "ACCEL_LOCATION": "/-/store/",
            # nginx is the only balancer and is told at once: by a refused connection.
            "DRAIN_SECONDS": "1",
        }
        webs = [
            Web(data / f"web-{number}", settings, name=f"web-{number}")
            for number in range(1, instances + 1)
        ]
        nginx = Nginx(
            data / "nginx", [web.address for web in webs], port=port, store=seaweedfs.endpoint
        )
        with running(postgres, valkey, seaweedfs):
            logins = prepare({**os.environ, **settings}, data / "logins")
            with running(*webs), running(nginx):
                environment = write_private(
                    data / "environment",
                    "".join(f"export {name}={shlex.quote(v)}\n" for name, v in settings.items()),
                )
                print(
                    f"\n  {', '.join(web.name for web in webs)} behind nginx; Ctrl-C stops all.\n"
                    f"  Logs are beside the data in {data}.\n"
                    f"  For .venv/bin/mailapp on this cluster: . {environment}\n\n"
                    f"  mailapp runs at {nginx.url}\n\n{logins}",
                    flush=True,
                )
                watch([postgres, valkey, seaweedfs, nginx], webs)


def watch(parts: list[Server], webs: list[Web]) -> None:
    """Wait until a part that is there once, or the last instance, has ended; StartError then.

    The end of one instance of several is told, and is nothing that the others could not bear.
    """
    while True:
        time.sleep(0.5)
        for server in [*parts, *webs]:
            if server.running:
                continue
            said = f"{server.name} ended with status {server.status}. The end of {server.log}:"
            said = f"{said}\n{server.last_words()}"
            if server in parts or len(webs) == 1:
                raise StartError(said)
            webs = [web for web in webs if web is not server]
            print(f"{said}\n{len(webs)} still serve.", flush=True)


def kept_secret(data: Path, name: str) -> str:
    """A random secret, made at the first start and read from its file ever after."""
    path = data / "secrets" / name
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_private(path.with_suffix(".new"), secrets.token_hex(32)).rename(path)
    return path.read_text()


if __name__ == "__main__":
    main()
