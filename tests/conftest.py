"""No test reaches a network, neither in this process nor in its children; loopback is for tests
that are marked so.
"""

import os
import sys
from pathlib import Path

import hypothesis
import pytest

from tests.support import shapes

# Before anything of the package is imported. A guard taken away is noticed without them, and a new
# process for each would compile the whole package with them.
if os.environ.get("PARABENCH_TEST_SHAPES") != "off":
    shapes.install()

pytest_plugins = ("tests.support.browser", "tests.support.loaded")
OFFLINE = str(Path(__file__).parent / "offline")
LOOPBACK = "PARABENCH_TEST_LOOPBACK"

hypothesis.settings.register_profile("unhurried", deadline=None)  # no test is judged by a clock
hypothesis.settings.load_profile("unhurried")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "loopback: talks to a server that the test itself runs on this machine"
    )
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [OFFLINE, os.environ.get("PYTHONPATH")])
    )
    sys.path.insert(0, OFFLINE)
    sys.modules.pop("sitecustomize", None)
    __import__("sitecustomize")
    sys.path.remove(OFFLINE)


@pytest.fixture(autouse=True)
def _loopback_only_where_marked(request, monkeypatch):
    if request.node.get_closest_marker("loopback"):
        monkeypatch.setenv(LOOPBACK, "1")
