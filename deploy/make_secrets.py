"""The compose job `secrets`: every password and key, made at the first start and then kept.

Each service has a volume that holds its own and no other's. The files belong to this job's user and
are readable by the one group they are for; compose puts the job into these groups, so it does it
without root.

`python3 deploy/make_secrets.py FOLDER` makes the same in a folder that its user alone can enter,
for whoever starts these services another way: Kubernetes.
"""

import os
import secrets
import sys
from pathlib import Path

VOLUMES = Path("/volumes")
POSTGRES_GROUP = 999
REDIS_GROUP = 999
SILO_GROUP = 10002
GRAFANA_GROUP = 472


def main() -> None:
    """Into the volumes, or into the folder that the command names; `--grafana`: Grafana's alone."""
    if sys.argv[1:] == ["--grafana"]:
        kept(VOLUMES / "grafana" / "password", GRAFANA_GROUP)
        return
    if len(sys.argv) == 1:
        make(VOLUMES, POSTGRES_GROUP, REDIS_GROUP, SILO_GROUP)
        return
    folder, own = Path(sys.argv[1]), os.getgid()
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("web", "postgres", "redis", "silo"):
        (folder / name).mkdir(exist_ok=True)
    make(folder, own, own, own)


def make(volumes: Path, postgres_group: int, redis_group: int, silo_group: int) -> None:
    """Make what is missing; write again, from the same secrets, what is put together of them."""
    postgres = kept(volumes / "postgres" / "password", postgres_group)
    redis = kept(volumes / "redis" / "password", redis_group)
    access_key = kept(volumes / "silo" / "access-key", silo_group)
    secret_key = kept(volumes / "silo" / "secret-key", silo_group)
    # Redis takes a password only from its configuration or its command line, which others can see.
    # Less than compose gives the container. When it is full, what would end first goes first: the
    # sessions of visitors who never logged in.
    write(
        volumes / "redis" / "redis.conf",
        f"requirepass {redis}\nmaxmemory 384mb\nmaxmemory-policy volatile-ttl\n",
        redis_group,
    )

    web = volumes / "web"
    kept(web / "secret-key", os.getgid())
    for name, text in {
        "database-url": f"postgresql://mailapp:{postgres}@postgres:5432/mailapp",
        "redis-url": f"redis://:{redis}@redis:6379/0",
        "minio-access-key": access_key,
        "minio-secret-key": secret_key,
    }.items():
        write(web / name, text, os.getgid())


def kept(path: Path, group: int) -> str:
    """The secret in a file; a random one of 256 bits is written there if there is none."""
    if not path.exists():
        write(path, secrets.token_hex(32), group)
    return path.read_text()


def write(path: Path, text: str, group: int) -> None:
    """Put a file in place, complete or not at all, that only its group can read."""
    os.chown(path.parent, -1, group)
    path.parent.chmod(0o750)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    os.chown(fresh, -1, group)
    fresh.chmod(0o440)
    fresh.rename(path)


if __name__ == "__main__":
    main()
