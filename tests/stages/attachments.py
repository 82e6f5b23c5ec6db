"""Stage 5: the download that answers 404 on the other server, and two ways to mend that."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urljoin

from deploy.topology import free_port
from tests.cluster.stack import IMAGE
from tests.people import Attached
from tests.stages.scene import Scene, must, standing, tell

TITLE = "attachments: on each web server's disk, and shared"
DOWNLOADS = 12
COMPOSE = "5-attachments/compose.yml"


@dataclass(frozen=True)
class Download:
    """One download: who answered, with which status, and whether it was the file that was sent."""

    server: str
    status: int
    right: bool


def show() -> None:
    environment = {"NFS_PORT": str(free_port())}
    people = ("alice", "bob")
    with standing(COMPOSE, people=people, at="web-1", environment=environment) as scene:
        tell("Each web server keeps attachments on its own disk.")
        missing(scene)

        if mounts_nfs(scene):
            tell("Now with deploy/stages/5-attachments/nfs.yml: both mount one folder by NFS …")
            scene.change_to(COMPOSE, "5-attachments/nfs.yml")
        else:
            tell(
                "nfs.yml can't be shown here: this machine's kernel has no NFS client (to a mount "
                "it said “no such device”). So it is shared.yml, where both servers mount one "
                "volume. For mailapp that is the same: a folder …"
            )
            scene.change_to(COMPOSE, "5-attachments/shared.yml")
        found(scene, "from the shared folder")

        tell("And with deploy/stages/5-attachments/minio.yml: object storage …")
        scene.change_to(COMPOSE, "5-attachments/minio.yml")
        found(scene, "from MinIO")
    tell(
        "(What was sent before stays where it was: who changes the store copies the objects.) "
        "Next, stage 6: servers that are neither gone nor well."
    )


def missing(scene: Scene) -> None:
    """Show that one server does not find what the other took; NotSeen where it does."""
    sent, downloads = _send_and_download(scene)
    right = [download for download in downloads if download.right]
    wrong = [download for download in downloads if not download.right]
    tell(
        f"Alice sends Bob a file, SHA-256 {sent}. Bob downloads it {DOWNLOADS} times: "
        f"{_servers(right)} gave it, {_servers(wrong)} answered "
        f"{' and '.join(sorted({str(download.status) for download in wrong}))}."
    )
    must(bool(right), "no server has the file")
    must(bool(wrong), "both servers have the file")
    must({download.status for download in wrong} == {404}, "what is missing was not answered 404")
    must(
        not {each.server for each in right} & {each.server for each in wrong},
        "the same server had the file at one time and not at another",
    )


def found(scene: Scene, where: str) -> None:
    """Show that both servers find what either took; NotSeen where one does not."""
    sent, downloads = _send_and_download(scene)
    right = [download for download in downloads if download.right]
    tell(
        f"Alice sends Bob another file, SHA-256 {sent}. Bob downloads it {DOWNLOADS} times: "
        f"{_servers(right)} gave it {where}, with that SHA-256 every time."
        if len(right) == DOWNLOADS
        else f"Bob downloads the next file {DOWNLOADS} times and gets it {len(right)} times."
    )
    must(len(right) == DOWNLOADS, "the file was not found by both")
    must({each.server for each in right} == {"web-1", "web-2"}, "not both servers answered")


def mounts_nfs(scene: Scene) -> bool:
    """Whether the engine's kernel has an NFS client.

    It is asked to mount nothing from nowhere: a client finds no address in that, and where there is
    none the kernel does not know what "nfs" is.
    """
    volume = "type=volume,volume-driver=local,volume-opt=type=nfs,volume-opt=device=:/,dst=/mnt"
    try:
        scene.docker("run", "--rm", "--network", "none", "--mount", volume, IMAGE, "true")
    except AssertionError as refusal:
        return "no such device" not in str(refusal)
    return True


def _send_and_download(scene: Scene) -> tuple[str, list[Download]]:
    """The start of the SHA-256 of what was sent, and what Bob got."""
    alice, bob = scene.person("alice"), scene.person("bob")
    content = os.urandom(500_000)
    subject = f"A photograph {uuid.uuid4()}"
    alice.send("bob@mail.example", subject, "See attached.", [Attached("sea.jpg", content)])
    bob.open(subject)
    address = urljoin(str(bob.response.url), str(bob.link("sea.jpg")["href"]))
    downloads = []
    for _ in range(DOWNLOADS):
        answer = bob.client.get(address)
        downloads.append(
            Download(
                answer.headers["X-Served-By"],
                answer.status_code,
                hashlib.sha256(answer.content).digest() == hashlib.sha256(content).digest(),
            )
        )
    return f"{hashlib.sha256(content).hexdigest()[:12]}…", downloads


def _servers(downloads: list[Download]) -> str:
    counts = sorted(Counter(download.server for download in downloads).items())
    return " and ".join(f"{server} {number} times" for server, number in counts) or "nobody"
