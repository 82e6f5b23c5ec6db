"""What `kubectl apply -k` would send: an overlay's objects, and what stands where in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.topology import REPOSITORY

KUBERNETES = REPOSITORY / "deploy" / "kubernetes"


def renderer() -> list[str] | None:
    """The command that renders a folder, by the program of the two that is here; None: neither."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    return None


def make_secrets(overlay: Path) -> None:
    """As the README says, the secrets of the trial."""
    script = REPOSITORY / "deploy" / "make_secrets.py"
    subprocess.run([sys.executable, script, overlay / "secrets"], check=True)


def render(overlay: Path) -> Rendered:
    """The objects of an overlay; CalledProcessError when it can't be rendered."""
    command = renderer()
    assert command is not None
    ran = subprocess.run([*command, overlay], check=True, capture_output=True, text=True)
    return Rendered(overlay.name, list(yaml.safe_load_all(ran.stdout)))


@dataclass(frozen=True)
class Pod:
    """A pod as its owner makes it; `spec` is Kubernetes' own."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def container(self) -> Mapping[str, Any]:
        """Its only container."""
        (container,) = self.spec["containers"]
        assert isinstance(container, dict)
        return container

    def port(self, name_or_number: str | int) -> int:
        """The number of a port of its container."""
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        number = ports.get(name_or_number, name_or_number)
        assert number in ports.values(), f"{self.owner} has no port {name_or_number}"
        return int(number)


@dataclass(frozen=True)
class Rendered:
    """All objects of an overlay."""

    name: str
    objects: list[dict[str, Any]]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """The object of that name; one that is generated has a hash at the end of it."""
        (found,) = [
            one
            for one in self.all(kind)
            if one["metadata"]["name"] == name or one["metadata"]["name"].startswith(f"{name}-")
        ]
        return found

    def pods(self) -> Iterator[Pod]:
        """One pod of each workload."""
        for kind in ("Deployment", "StatefulSet", "Job", "CronJob"):
            for one in self.all(kind):
                spec = one["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else one["spec"]
                template = spec["template"]
                name = one["metadata"]["name"]
                yield Pod(name, template["metadata"]["labels"], template["spec"])

    def pod(self, owner: str) -> Pod:
        """The pod of that workload."""
        (found,) = [pod for pod in self.pods() if pod.owner == owner]
        return found

    def selected(self, selector: Mapping[str, Any]) -> set[str]:
        """The workloads whose pods a selector means."""
        assert set(selector) <= {"matchLabels"}, "only labels are understood here"
        wanted = selector.get("matchLabels", {}).items()
        return {pod.owner for pod in self.pods() if wanted <= pod.labels.items()}
