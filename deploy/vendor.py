"""Fetches the files that are kept here of npm's packages, as deploy/vendored.toml lists them.

There is no build: a file is the package's own, so that anybody can compare it, and an update is a
version and a hash. A package whose hash is not the listed one is refused.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LIST = Path(__file__).with_name("vendored.toml")


@dataclass(frozen=True)
class Package:
    """One of the list: `integrity` as npm writes it, `files` by their paths in it, or patterns."""

    name: str
    version: str
    integrity: str
    folder: str
    files: list[str]


def packages() -> list[Package]:
    """What is listed."""
    listed: list[dict[str, Any]] = tomllib.loads(LIST.read_text(encoding="utf-8"))["package"]
    return [Package(**one) for one in listed]


def fetch(package: Package, into: Path) -> Path:
    """The package as npm packs it; SystemExit where it is not the one that is meant."""
    named = f"{package.name}@{package.version}"
    done = subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", str(into), named],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"npm could not fetch {named}.")
    packed = into / done.stdout.split()[-1]
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    if package.integrity != f"sha512-{digest}":
        sys.exit(f"{named} is not what deploy/vendored.toml lists: its hash is sha512-{digest}.")
    return packed


def unpack(packed: Path, package: Package) -> None:
    """Put the listed files where they lie; SystemExit where the package has no such file."""
    folder = ROOT / package.folder
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(packed) as archive:
        for pattern in package.files:
            found = fnmatch.filter(archive.getnames(), f"package/{pattern}")
            if not found:
                sys.exit(f"{package.name}@{package.version} has no file {pattern}.")
            for path in found:
                content = archive.extractfile(path)
                assert content is not None, f"{path} is a folder"  # noqa: S101
                (folder / Path(path).name).write_bytes(content.read())


def main() -> None:
    """Fetch every package."""
    with tempfile.TemporaryDirectory() as temporary:
        for package in packages():
            unpack(fetch(package, Path(temporary)), package)
            print(f"{package.name} {package.version}: {package.folder}")


if __name__ == "__main__":
    main()
