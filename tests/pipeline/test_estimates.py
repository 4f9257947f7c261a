"""What a dry run foretells: bytes as torch and transformers count them, times from a line, and
nothing is written.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from parabench.baselines import endpoint
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
from typer.testing import CliRunner

from parabench.cli import app
from parabench.contracts import BuildContext, Decoding
from parabench.models.cache import format_bytes
from parabench.models.downloads import weight_bytes
from parabench.pipeline import estimates
from parabench.pipeline.estimates import CostEstimate, cache_bytes, duration
from tests.support import tiny, tiny_suite


@pytest.mark.parametrize("name", sorted(tiny.CAUSAL))
def test_weights_and_cache_are_what_transformers_makes(tmp_path: Path, name: str) -> None:
    folder = tiny.CAUSAL[name](tmp_path / name)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert weight_bytes(folder, 4) == sum(weight.nbytes for weight in model.parameters())
    made = model(torch.ones((1, 7), dtype=torch.long), use_cache=True).past_key_values
    assert cache_bytes(model.config, 7, 4) == sum(
        layer.keys.nbytes + layer.values.nbytes for layer in made.layers
    )


def test_an_encoder_decoder_keeps_what_it_read_too(tmp_path: Path) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny.bart(tmp_path / "bart"), dtype=torch.float32)
    ids = torch.ones((1, 7), dtype=torch.long)
    made = model(ids, decoder_input_ids=ids, use_cache=True).past_key_values
    layers = [*made.self_attention_cache.layers, *made.cross_attention_cache.layers]
    assert cache_bytes(model.config, 7, 4) == sum(
        layer.keys.nbytes + layer.values.nbytes for layer in layers
    )


def test_times_follow_a_line_through_the_probes() -> None:
    assert estimates._extrapolated(lambda count: 2.0 + 0.5 * count, 100, 32) == pytest.approx(
        4 * 2.0 + 100 * 0.5
    )
    assert estimates._extrapolated(lambda count: 3.0, 64, 32) == pytest.approx(6.0)
    assert estimates._extrapolated(lambda count: 1.0 / count, 64, 32) >= 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.1, "1 s"), (99, "99 s"), (179, "3 min"), (7200, "2 h"), (3 * 86400, "3 days")],
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_it_says_whether_the_device_is_large_enough() -> None:
    gigabyte = 10**9
    assert (
        str(CostEstimate(180, gigabyte, 2 * gigabyte, 22 * gigabyte))
        == "about 3 min, 2.0 GB of 22.0 GB: fits"
    )
    assert str(CostEstimate(180, gigabyte, 3 * gigabyte, 2 * gigabyte)).endswith(
        "fits in smaller batches"
    )
    assert "DOES NOT FIT" in str(CostEstimate(180, 3 * gigabyte, 4 * gigabyte, 2 * gigabyte))
    assert (format_bytes(999), format_bytes(2_600_000), format_bytes(2.63e9)) == (
        "999 B",
        "3 MB",
        "2.6 GB",
    )


def test_a_dry_run_estimates_what_has_a_model_and_writes_nothing(tmp_path: Path) -> None:
    suite = tiny_suite.suite_file(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    options = [
        "--suite",
        suite,
        "--systems",
        "zeroshot,copy",
        "--device",
        "cpu",
        "--output",
        tmp_path / "out",
    ]
    done = CliRunner().invoke(
        app, ["run", *map(str, options), "--dry-run", "--probe"], catch_exceptions=False
    )
    lines = {line.split()[1]: line for line in done.stdout.splitlines()}
    assert lines["zeroshot"].endswith(": fits")
    assert lines["bartscore"].endswith(": fits")
    assert lines["copy"].endswith("no model")
    assert lines["ibleu"].endswith("no model")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_endpoint_is_not_asked() -> None:
    options = {"url": "http://127.0.0.1:9", "model": "some/model", "rate": 30.0}
    served = endpoint.build_endpoint(
        "", BuildContext(decoding=Decoding(max_new_tokens=10), options=options)
    )
    assert (
        served.estimate_cost(90)
        == "90 requests, at most 900 tokens written, at least 3 min at 30 a minute"
    )
