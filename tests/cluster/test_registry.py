"""Where the records of instances are kept: the last one of each, and none for long."""

from __future__ import annotations

import time

import pytest
from flask import Flask

from mailapp.cluster import registry as registries
from tests.cluster.records import make_older, record, registry_of, stored, tell


def test_the_last_record_of_each_instance_is_there_with_its_age(
    app: Flask, instances: list[Flask]
) -> None:
    kept = registry_of(app)
    kept.put("a", b"first")
    kept.put("b", b"other")
    kept.put("a", b"second")
    make_older(app, "b", 10)

    with instances[1].app_context():
        found = dict(registry_of(instances[1]).all())
    assert set(found) == {b"second", b"other"}
    assert 0 <= found[b"second"] < 8
    assert 10 <= found[b"other"] < 18


def test_two_instances_of_one_name_are_two(app: Flask) -> None:
    tell(app, record("1", name="web"), record("2", name="web"))

    assert len(registry_of(app).all()) == 2


def test_an_instance_that_is_gone_is_forgotten(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "KEPT", 1)
    kept = registry_of(app)
    assert kept.all() == []
    for ident in ("a", "b"):
        kept.put(ident, b"-")
    time.sleep(1.2)

    assert kept.all() == []
    registry_of(app).put("c", b"-")  # an instance that starts
    assert stored(app) == 1


def test_one_that_was_taken_for_gone_comes_back(app: Flask) -> None:
    kept = registry_of(app)
    kept.put("a", b"-")
    make_older(app, "a", registries.KEPT + 1)
    assert kept.all() == []

    kept.put("a", b"again")
    assert [data for data, _ in kept.all()] == [b"again"]
