"""Checks, before anything is installed, that this Python and this port will do.

Runs on every Python 3 there still is, so that it can say that one is too old.
"""

import argparse
import importlib.util
import socket
import sys


def main() -> None:
    """Exit with a sentence and status 1 at the first thing that is in the way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port")
    asked = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(
            f"mailapp needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. "
            "Set PYTHON, such as PYTHON=python3.13."
        )
    if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
        sys.exit(
            f"{sys.executable} has no venv module. "
            "On Debian and Ubuntu: apt-get install python3-venv."
        )
    if asked.port is not None and not free(asked.host, asked.port):
        sys.exit(
            f"Port {asked.port} is in use on {asked.host}. "
            f"Stop what uses it, or set PORT to another, such as PORT={int(asked.port) + 1}."
        )


def free(host: str, port: str) -> bool:
    """Whether a server could listen there now."""
    if not port.isdigit() or not 0 < int(port) < 65536:
        sys.exit(f"PORT must be a number from 1 to 65535 (it is {port!r}).")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # Connections of a server that has just stopped don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
