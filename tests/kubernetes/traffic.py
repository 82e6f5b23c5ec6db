"""Who may talk to whom, as a cluster reads the NetworkPolicies of an overlay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.kubernetes.rendered import Pod, Rendered


def within(rendered: Rendered) -> set[tuple[str, str, int]]:
    """(from, to, port) for every way between two workloads: what one side may begin and the other
    lets in."""
    return {
        (here.owner, there.owner, port)
        for here in rendered.pods()
        for there in rendered.pods()
        for port in ports(there)
        if _allowed(rendered, here, "Egress", _is(there), port, there)
        and _allowed(rendered, there, "Ingress", _is(here), port, there)
    }


def from_namespace(rendered: Rendered, labels: Mapping[str, str]) -> set[tuple[str, int]]:
    """(to, port) for what pods of a namespace with these labels may reach."""

    def meant(peer: Mapping[str, Any]) -> bool:
        selector = peer.get("namespaceSelector")
        return selector is not None and _matches(selector, labels) and "podSelector" not in peer

    return {
        (there.owner, port)
        for there in rendered.pods()
        for port in ports(there)
        if _allowed(rendered, there, "Ingress", meant, port, there)
    }


def ports(pod: Pod) -> Iterator[int]:
    """Every port of a pod."""
    for port in pod.container.get("ports", ()):
        yield port["containerPort"]


def _is(pod: Pod) -> Any:
    def meant(peer: Mapping[str, Any]) -> bool:
        selector = peer.get("podSelector")
        return (
            selector is not None
            and "namespaceSelector" not in peer
            and _matches(selector, pod.labels)
        )

    return meant


def _allowed(
    rendered: Rendered, pod: Pod, direction: str, meant: Any, port: int, receiver: Pod
) -> bool:
    side, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    policies = [
        policy["spec"]
        for policy in rendered.all("NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
        and pod.owner in rendered.selected(policy["spec"]["podSelector"])
    ]
    assert policies, f"{pod.owner} is not limited at all"
    return any(
        (peers not in rule or any(meant(peer) for peer in rule[peers]))
        and ("ports" not in rule or any(_is_port(one, port, receiver) for one in rule["ports"]))
        for policy in policies
        for rule in policy.get(side, ())
    )


def _is_port(allowed: Mapping[str, Any], port: int, receiver: Pod) -> bool:
    named = {one["name"]: one["containerPort"] for one in receiver.container.get("ports", ())}
    return bool(named.get(allowed["port"], allowed["port"]) == port)


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "only labels are understood here"
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
