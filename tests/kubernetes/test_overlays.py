"""Kubernetes' objects fit its API, the application, and each other."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from flask import Flask

from deploy.topology import REPOSITORY
from mailapp.settings import VARIABLES, Settings
from tests.kubernetes import traffic
from tests.kubernetes.rendered import KUBERNETES, Pod, Rendered, make_secrets, render

OURS = {"web", "migrate", "gc"}
# The README's: the oldest that has all that is used here.
OLDEST = "1.30"


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_object_is_valid_in_the_api(rendered: Rendered, version: str) -> None:
    for one in rendered.objects:
        if one["apiVersion"] == "postgresql.cnpg.io/v1":  # an operator's own; not in the schemas
            continue
        kubernetes_validate.validate(one, version, strict=True)


def test_the_readme_names_the_oldest_version(rendered: Rendered) -> None:
    assert f"Kubernetes {OLDEST} or later" in (KUBERNETES / "README.md").read_text()


def test_everything_is_in_one_namespace_that_refuses_what_is_not_contained(
    rendered: Rendered,
) -> None:
    (namespace,) = rendered.all("Namespace")
    labels = namespace["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for one in rendered.objects:
        assert one is namespace or one["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_no_pod_is_root_or_can_write_to_its_image_or_has_a_capability(rendered: Rendered) -> None:
    for pod in rendered.pods():
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["securityContext"]["runAsNonRoot"]
        assert pod.spec["securityContext"]["runAsUser"] > 0
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod.container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in pod.container["resources"]["limits"]


def test_the_instances_and_the_jobs_are_one_image_with_one_configuration(
    rendered: Rendered,
) -> None:
    web, *others = [rendered.pod(owner) for owner in sorted(OURS, reverse=True)]

    assert web.owner == "web"
    assert re.search(r":(?!latest$)[\w.-]+$", web.container["image"])
    for other in others:
        for what in ("image", "envFrom", "volumeMounts", "securityContext"):
            assert other.container[what] == web.container[what]
        for what in ("volumes", "securityContext"):
            assert other.spec[what] == web.spec[what]


def test_the_user_is_the_image_s(rendered: Rendered) -> None:
    user, group = re.findall(r"^USER (\d+):(\d+)$", _dockerfile(), re.MULTILINE)[0]
    security = rendered.pod("web").spec["securityContext"]

    assert security["runAsUser"] == int(user)
    assert security["runAsGroup"] == security["fsGroup"] == int(group)


def test_the_trial_runs_what_compose_runs(trial: Rendered) -> None:
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]

    for owner in ("postgres", "redis", "silo"):
        pod = trial.pod(owner)
        assert pod.container["image"] == services[owner]["image"]
        user = (
            f"{pod.spec['securityContext']['runAsUser']}:{pod.spec['securityContext']['fsGroup']}"
        )
        assert user == services[owner]["user"]


def test_probes_ask_what_the_application_answers(rendered: Rendered, app: Flask) -> None:
    paths = {rule.rule for rule in app.url_map.iter_rules()}
    container = rendered.pod("web").container
    asked = {
        probe: container[f"{probe}Probe"]["httpGet"]
        for probe in ("startup", "liveness", "readiness")
    }

    assert {get["path"] for get in asked.values()} <= paths
    # What another part's fault changes must never restart an instance.
    assert asked["startup"]["path"] == asked["liveness"]["path"] == "/livez"
    assert asked["readiness"]["path"] == "/healthz"
    assert {rendered.pod("web").port(get["port"]) for get in asked.values()} == {_image_port()}


def test_the_ports_are_the_ones_the_application_listens_on(rendered: Rendered) -> None:
    web = rendered.pod("web")
    metrics = next(variable for variable in VARIABLES if variable.name == "METRICS_PORT")

    assert web.port("http") == _image_port()
    assert web.port("metrics") == int(str(metrics.default))
    annotations = rendered.one("Deployment", "web")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == metrics.default


def test_every_setting_is_one_the_application_has(rendered: Rendered) -> None:
    known = {variable.name for variable in VARIABLES}

    for name in rendered.one("ConfigMap", "mailapp")["data"]:
        assert name.removesuffix("_FILE") in known, name


def test_nothing_secret_is_in_an_environment(rendered: Rendered) -> None:
    secret = {variable.name for variable in VARIABLES if variable.secret}

    assert not secret & rendered.one("ConfigMap", "mailapp")["data"].keys()
    for pod in rendered.pods():
        assert not any("valueFrom" in one for one in pod.container.get("env", ()))
        assert not any("secretRef" in one for one in pod.container.get("envFrom", ()))


def test_the_application_starts_on_what_it_is_given(rendered: Rendered, tmp_path: Path) -> None:
    _lay_out(rendered, rendered.pod("web"), tmp_path)
    environment = {
        name: value.replace("/run/mailapp", str(tmp_path))
        for name, value in rendered.one("ConfigMap", "mailapp")["data"].items()
    }

    settings = Settings.from_env(environment)

    assert settings.redis_url is not None
    assert settings.minio_endpoint is not None
    assert settings.database_url.startswith("postgresql")


def test_the_grace_covers_the_pause_the_drain_and_what_is_under_way(rendered: Rendered) -> None:
    spec, settings = rendered.pod("web").spec, rendered.one("ConfigMap", "mailapp")["data"]
    pause = rendered.pod("web").container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain, graceful = int(settings["DRAIN_SECONDS"]), int(settings["GRACEFUL_TIMEOUT"])

    assert pause > 0
    assert spec["terminationGracePeriodSeconds"] >= pause + drain + graceful + 5


def test_no_rollout_takes_an_instance_before_its_successor_is_ready(rendered: Rendered) -> None:
    update = rendered.one("Deployment", "web")["spec"]["strategy"]["rollingUpdate"]

    assert update["maxUnavailable"] == 0
    assert update["maxSurge"] > 0


def test_who_selects_finds_the_pods_it_means(rendered: Rendered) -> None:
    for kind in ("Deployment", "StatefulSet"):
        for one in rendered.all(kind):
            selector = one["spec"]["selector"]
            assert rendered.selected(selector) == {one["metadata"]["name"]}
    for service in rendered.all("Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        assert rendered.selected({"matchLabels": spec["selector"]}) == {name}
        for port in spec["ports"]:
            assert rendered.pod(name).port(port.get("targetPort", port["port"]))
    assert rendered.selected(rendered.one("PodDisruptionBudget", "web")["spec"]["selector"]) == {
        "web"
    }
    for constraint in rendered.pod("web").spec["topologySpreadConstraints"]:
        assert rendered.selected(constraint["labelSelector"]) == {"web"}


def test_what_is_mounted_is_there(trial: Rendered) -> None:
    names = {secret["metadata"]["name"] for secret in trial.all("Secret")}

    for pod in trial.pods():
        claimed = {
            claim["metadata"]["name"]
            for owner in trial.all("StatefulSet")
            if owner["metadata"]["name"] == pod.owner
            for claim in owner["spec"]["volumeClaimTemplates"]
        }
        assert {mount["name"] for mount in pod.container["volumeMounts"]} == claimed | {
            volume["name"] for volume in pod.spec["volumes"]
        }
        assert set(_secrets(pod)) <= names


def test_visitors_come_to_the_instances(rendered: Rendered) -> None:
    (rule,) = rendered.one("Ingress", "web")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    to = path["backend"]["service"]
    service = rendered.one("Service", to["name"])["spec"]

    assert to["port"]["name"] in {port["name"] for port in service["ports"]}
    assert rule["host"] in rendered.one("Ingress", "web")["spec"]["tls"][0]["hosts"]


def test_a_controller_lets_the_largest_attachment_in(rendered: Rendered) -> None:
    largest = Settings.from_env({"SECRET_KEY": "0123456789abcdef" * 2}).max_request_bytes
    limits = {
        value
        for name, value in rendered.one("Ingress", "web")["metadata"]["annotations"].items()
        if name.endswith("body-size")
    }

    assert limits == {f"{largest // 2**20}m"}


def test_the_network_lets_pass_exactly_what_is_needed(trial: Rendered) -> None:
    databases = {"postgres": 5432, "redis": 6379, "silo": 9000}

    assert traffic.within(trial) == {
        (here, there, port) for here in OURS for there, port in databases.items()
    }


def test_visitors_and_prometheus_each_have_one_door(rendered: Rendered) -> None:
    assert traffic.from_namespace(rendered, {"mailapp/role": "edge"}) == {("web", 8000)}
    assert traffic.from_namespace(rendered, {"mailapp/role": "monitoring"}) == {("web", 9464)}
    assert traffic.from_namespace(rendered, {"kubernetes.io/metadata.name": "default"}) == set()


def test_the_example_s_instances_reach_its_cluster_with_its_secret(production: Rendered) -> None:
    (cluster,) = production.all("Cluster")
    name = cluster["metadata"]["name"]
    servers = {"podSelector": {"matchLabels": {"cnpg.io/cluster": name}}}
    begun = production.one("NetworkPolicy", "databases")["spec"]
    taken = production.one("NetworkPolicy", "database")["spec"]

    assert {"to": [servers], "ports": [{"port": 5432}]} in begun["egress"]
    assert production.selected(begun["podSelector"]) == OURS
    assert taken["podSelector"] == servers["podSelector"]
    (clients,) = [rule["from"] for rule in taken["ingress"] if rule["ports"] == [{"port": 5432}]]
    assert clients == [{"podSelector": begun["podSelector"]}, servers]
    for pod in production.pods():
        assert _secrets(pod)[f"{name}-app"] == {"uri": "database-url"}


def test_whoever_looks_up_a_name_may(rendered: Rendered) -> None:
    dns = rendered.one("NetworkPolicy", "dns")["spec"]
    (rule,) = dns["egress"]

    assert rendered.selected(dns["podSelector"]) == OURS
    assert {(port["port"], port["protocol"]) for port in rule["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }


def test_the_autoscaler_scales_what_there_is_by_what_it_asks_for(rendered: Rendered) -> None:
    (scaler,) = [one["spec"] for one in rendered.all("HorizontalPodAutoscaler")]
    to = scaler["scaleTargetRef"]
    target = rendered.one(to["kind"], to["name"])

    assert target["apiVersion"] == to["apiVersion"]
    assert "replicas" not in target["spec"]  # or each apply would undo what it did
    # A percentage of what is requested, which therefore must be.
    assert "cpu" in rendered.pod("web").container["resources"]["requests"]
    # One leaves after the other.
    (down,) = scaler["behavior"]["scaleDown"]["policies"]
    assert down["periodSeconds"] >= rendered.pod("web").spec["terminationGracePeriodSeconds"]


def test_a_disruption_leaves_two_instances_at_the_least(rendered: Rendered) -> None:
    (scaler,) = [one["spec"] for one in rendered.all("HorizontalPodAutoscaler")]
    (budget,) = [one["spec"] for one in rendered.all("PodDisruptionBudget")]

    assert scaler["minReplicas"] - budget["maxUnavailable"] >= 2


def test_postgresql_has_room_for_every_instance(rendered: Rendered) -> None:
    settings = rendered.one("ConfigMap", "mailapp")["data"]
    (scaler,) = [one["spec"] for one in rendered.all("HorizontalPodAutoscaler")]
    # Each worker's threads and the health probe beside them; in a rollout, maxSurge more instances;
    # 10 are for the jobs and for PostgreSQL's own administrators.
    each = int(settings["WEB_WORKERS"]) * (int(settings["WEB_THREADS"]) + 1)
    surge = rendered.one("Deployment", "web")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]

    assert _max_connections(rendered) >= (scaler["maxReplicas"] + surge) * each + 10


def test_the_trial_s_redis_has_room_for_what_it_may_keep(trial: Rendered) -> None:
    kept = base64.b64decode(trial.one("Secret", "redis")["data"]["redis.conf"]).decode()
    limit = trial.pod("redis").container["resources"]["limits"]["memory"]

    assert int(re.findall(r"maxmemory (\d+)mb", kept)[0]) <= 0.75 * int(limit.removesuffix("Mi"))


def test_without_its_secrets_the_trial_is_refused(overlays: Path, tmp_path: Path) -> None:
    bare = tmp_path / "kubernetes"
    ignored = shutil.ignore_patterns("secrets")
    shutil.copytree(overlays.parent, bare, ignore=ignored)

    with pytest.raises(subprocess.CalledProcessError) as refused:
        render(bare / "overlays" / "trial")

    assert "secrets/" in refused.value.stderr


def test_secrets_are_made_once_and_differ_everywhere(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        make_secrets(tmp_path / place)
    here, there = _files(tmp_path / "here"), _files(tmp_path / "there")
    make_secrets(tmp_path / "here")

    assert _files(tmp_path / "here") == here
    assert here.keys() == there.keys()
    assert all(here[name] != there[name] for name in here)
    assert (tmp_path / "here" / "secrets").stat().st_mode & 0o077 == 0


def _lay_out(rendered: Rendered, pod: Pod, place: Path) -> None:
    """The files that a pod finds in /run/mailapp."""
    made = {secret["metadata"]["name"]: secret["data"] for secret in rendered.all("Secret")}
    for name, items in _secrets(pod).items():
        content = {key: base64.b64decode(value) for key, value in made.get(name, {}).items()}
        if not made:
            content = _said_by_the_readme() if name == "mailapp" else _CLOUDNATIVEPG
        for key in content:
            if items is None or key in items:
                (place / (items or {}).get(key, key)).write_bytes(content[key])


# The Secret `CLUSTER-app` has more; this is what is used of it.
_CLOUDNATIVEPG = {"uri": b"postgresql://mailapp:8e2f6b0d93a1@database-rw.mailapp:5432/mailapp"}


def _said_by_the_readme() -> dict[str, bytes]:
    """The files of which the README has the Secret `mailapp` made, as somebody would fill them."""
    readme = (KUBERNETES / "README.md").read_text()
    files = re.findall(r"--from-file=([\w-]+)", readme)
    filled = {
        "secret-key": b"0123456789abcdef" * 2,
        "redis-url": b"redis://:8e2f6b0d93a1@redis.example:6379/0",
    }
    return {name: filled.get(name, b"3fb1c07a9d5e") for name in files}


def _secrets(pod: Pod) -> dict[str, dict[str, str] | None]:
    """The Secrets a pod mounts, each with the files made of its keys, None for all."""
    found: dict[str, dict[str, str] | None] = {}
    for volume in pod.spec["volumes"]:
        if "secret" in volume:
            found[volume["secret"]["secretName"]] = None
        for source in volume.get("projected", {}).get("sources", ()):
            items = source["secret"].get("items")
            found[source["secret"]["name"]] = items and {one["key"]: one["path"] for one in items}
    return found


def _max_connections(rendered: Rendered) -> int:
    for cluster in rendered.all("Cluster"):
        return int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    (said,) = [
        argument
        for argument in rendered.pod("postgres").container["args"]
        if argument.startswith("max_connections=")
    ]
    return int(said.partition("=")[2])


def _dockerfile() -> str:
    return (REPOSITORY / "deploy" / "Dockerfile").read_text()


def _image_port() -> int:
    return int(re.findall(r"PORT=(\d+)", _dockerfile())[0])


def _files(folder: Path) -> Mapping[str, Any]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
