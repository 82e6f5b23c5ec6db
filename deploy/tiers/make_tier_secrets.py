"""The compose job `secrets` where each tier is several: what these need besides."""

import os

import make_secrets  # type: ignore[import-not-found]  # it is beside this one in the image
from make_secrets import POSTGRES_GROUP, REDIS_GROUP, VOLUMES, kept, write

SENTINELS = ",".join(f"{os.environ['REDIS_NETWORK']}.{n}:26379" for n in (21, 22, 23))


def main() -> None:
    """All that the simple stack has, passwords between the servers, URLs that name them all."""
    make_secrets.main()
    postgres, redis, web = (VOLUMES / name for name in ("postgres", "redis", "web"))
    password = kept(postgres / "password", POSTGRES_GROUP)
    for name in ("superuser-password", "replication-password", "patroni-password"):
        kept(postgres / name, POSTGRES_GROUP)

    master = kept(redis / "password", REDIS_GROUP)
    sentinel = kept(redis / "sentinel-password", REDIS_GROUP)
    write(redis / "replication.conf", f"masterauth {master}\n", REDIS_GROUP)
    write(
        redis / "sentinel.conf",
        f"requirepass {sentinel}\nsentinel sentinel-pass {sentinel}\n"
        f"sentinel auth-pass mymaster {master}\n",
        REDIS_GROUP,
    )
    for name, text in {
        "database-url": f"postgresql://mailapp:{password}@postgres-1:5432,postgres-2:5432/mailapp"
        "?target_session_attrs=read-write",
        "redis-url": f"redis+sentinel://:{master}@{SENTINELS}/mymaster/0"
        f"?sentinel_password={sentinel}",
    }.items():
        write(web / name, text, os.getgid())


if __name__ == "__main__":
    main()
