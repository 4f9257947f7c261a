"""What a run says of its making: a fixed list of fields, all there, none of them a path or an
environment.
"""

import json

import torch

from parabench.pipeline import provenance, runner
from tests.support import light

FIELDS = {
    "command", "suite", "data", "decoding", "normalise", "runtime", "parabench", "git", "python",
    "packages", "device", "tf32", "protocol", "training",
}  # fmt: skip


def test_the_fields_are_these(tmp_path):
    plan = light.plan(tmp_path, seed=3)
    runner.run_plan(plan)
    record = json.loads((plan.folder / "provenance.json").read_text())
    assert set(record) == FIELDS
    assert record["runtime"] == {"device": "cpu", "dtype": "float32", "seed": 3}
    assert record["data"]["fingerprint"] == plan.data.fingerprint
    assert record["packages"]["torch"] == torch.__version__
    assert (record["device"], record["tf32"]) == ("cpu", None)


def test_tf32_is_read_where_there_is_any():
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        for allowed in (True, False):
            torch.backends.cuda.matmul.allow_tf32 = allowed
            assert provenance.tf32("cuda:0") is allowed
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def test_code_outside_of_git_says_so(tmp_path):
    assert provenance.code_revision(tmp_path) == {"commit": None, "dirty": None}
