"""`make certificate`: one for this machine's names, by an authority made for it alone."""

from __future__ import annotations

import argparse
import ipaddress
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGE = "nginx:1.30"  # which has openssl, and is there where the containers are
# Browsers refuse longer ones; who trusts the authority renews it in time by hand.
DAYS = "397"


def main() -> None:
    """Write ca.pem, certificate.pem and key.pem; a sentence and status 1 when that fails."""
    parser = argparse.ArgumentParser(prog="make certificate", description=__doc__)
    parser.add_argument("--names", default="localhost 127.0.0.1 ::1", help="with spaces between")
    parser.add_argument("--folder", type=Path, default=Path("data/certificate"))
    asked = parser.parse_args()
    if (asked.folder / "key.pem").exists():
        sys.exit(
            f"There is one in {asked.folder} already; remove that folder to have another made."
        )
    make(asked.folder, asked.names.split())
    print(
        f"{asked.folder}/certificate.pem is for {asked.names}, for {DAYS} days.\n"
        f"A browser believes it once it trusts {asked.folder}/ca.pem; so does\n"
        f"  curl --cacert {asked.folder}/ca.pem https://localhost:8443/healthz"
    )


def make(folder: Path, names: list[str]) -> None:
    """Make the three files in `folder`, for hosts or addresses; SystemExit where it fails."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        place.chmod(0o755)
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch")
        _openssl(
            place,
            *("req", "-x509", *curve, "-keyout", "ca-key.pem", "-out", "ca.pem"),
            *("-days", DAYS, "-subj", "/CN=mailapp on this machine"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )
        _openssl(
            place,
            *("req", "-x509", *curve, "-keyout", "key.pem", "-out", "certificate.pem"),
            *("-days", DAYS, "-subj", f"/CN={names[0]}"),
            *("-CA", "ca.pem", "-CAkey", "ca-key.pem"),
            *("-addext", f"subjectAltName={','.join(_name(name) for name in names)}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-addext", "keyUsage=critical,digitalSignature"),
            *("-addext", "extendedKeyUsage=serverAuth"),
        )
        # The authority's own key is not kept: nobody can ever make another name out of the trust
        # that a browser was told to have in it.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("ca.pem", "certificate.pem", "key.pem"):
            shutil.copyfile(place / name, folder / name)
            # nginx's user reads it in its container; on this machine the folder keeps others out.
            (folder / name).chmod(0o644)


def _name(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _is_here() -> bool:
    """Whether there is an openssl that signs in one step; macOS has another of that name."""
    if shutil.which("openssl") is None:
        return False
    said = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False)
    return said.stdout.startswith("OpenSSL 3")


def _openssl(place: Path, *arguments: str) -> None:
    program: list[str] = ["openssl"]
    if not _is_here():
        program = ["docker", "run", "--rm", "--network", "none", "--user", "0:0"]
        program += ["--volume", f"{place}:/made", "--workdir", "/made", IMAGE, "openssl"]
    try:
        ran = subprocess.run(
            [*program, *arguments], cwd=place, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        sys.exit("This needs openssl, or Docker, in whose nginx image it is.")
    if ran.returncode != 0:
        sys.exit(f"openssl failed:\n{ran.stderr}")


if __name__ == "__main__":
    main()
