"""The overlays, rendered by the real program."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.kubernetes.rendered import KUBERNETES, Rendered, make_secrets, render, renderer


@pytest.fixture(scope="session")
def overlays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, so that secrets made here are nobody's own."""
    if renderer() is None:
        why = "rendering needs kubectl or kustomize, and neither is installed"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    copy = tmp_path_factory.mktemp("kubernetes")
    ignored = shutil.ignore_patterns("secrets")
    shutil.copytree(KUBERNETES, copy, dirs_exist_ok=True, ignore=ignored)
    return copy / "overlays"


@pytest.fixture(scope="session")
def trial(overlays: Path) -> Rendered:
    """Everything in the cluster."""
    make_secrets(overlays / "trial")
    return render(overlays / "trial")


@pytest.fixture(scope="session")
def production(overlays: Path) -> Rendered:
    """The example with the databases elsewhere."""
    return render(overlays / "production")


@pytest.fixture(params=["trial", "production"])
def rendered(request: pytest.FixtureRequest) -> Rendered:
    """Each of them in turn."""
    overlay: Rendered = request.getfixturevalue(request.param)
    return overlay
