"""The prompt map: its axes against a singular value decomposition, its anchors, its cache, and what
it may print.
"""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from parabench import cli
from parabench.commands.map import distinct_labels
from parabench.contracts import UserError
from parabench.explore import mappage
from parabench.explore.promptmap import (
    fit_plane,
    load_or_fit_plane,
    place_prompt,
    prompt_stages,
    readable_token,
)
from parabench.models.checkpoints import locate
from parabench.prompts import adapters, snapshots
from parabench.prompts.adapters import Adapter
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.templates import paraphrase_template
from tests.support.maps import small, vocabulary
from tests.support.pages import PAYLOADS
from tests.support.tiny import tokenizer as tiny_tokenizer
from tests.support.tiny_suite import suite_file


def test_the_axes_are_the_first_right_singular_vectors():
    """numpy.linalg.svd of the centred unit rows, another algorithm than ours."""
    words = vocabulary()
    units = words / np.linalg.norm(words, axis=1, keepdims=True)
    _, values, vectors = np.linalg.svd(units - units.mean(axis=0))
    plane = fit_plane(words)
    assert np.abs((plane.axes * vectors[:2]).sum(axis=1)) == pytest.approx([1, 1])
    assert plane.shares == pytest.approx(values[:2] ** 2 / (values**2).sum())


def test_a_prompt_of_vocabulary_rows_maps_to_their_tokens():
    words = vocabulary()
    plane = fit_plane(words)
    assert plane.place(words[[4, 7]] * [[3.0], [0.1]]) == pytest.approx(plane.place(words)[[4, 7]])
    assert np.isfinite(plane.place(np.zeros((1, 5)))).all()


def test_the_sign_does_not_depend_on_the_solver():
    assert (
        np.take_along_axis(
            fit_plane(vocabulary()).axes, np.abs(fit_plane(vocabulary()).axes).argmax(1)[:, None], 1
        )
        > 0
    ).all()


def test_a_plane_is_kept_by_the_hash_of_the_embedding(tmp_path):
    words = vocabulary().astype(np.float32)
    first, digest = load_or_fit_plane(words, tmp_path)
    (kept,) = tmp_path.glob("plane-*.safetensors")
    assert kept.stem == f"plane-{digest[:12]}"
    before = kept.stat().st_mtime_ns
    again, _ = load_or_fit_plane(words, tmp_path)
    assert (again.axes == first.axes).all()
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(b"no plane")
    assert load_or_fit_plane(words, tmp_path)[0].axes == pytest.approx(first.axes)
    assert load_or_fit_plane(words * 2, tmp_path)[1] != digest
    assert len(list(tmp_path.glob("plane-*"))) == 2


def adapter(**state):
    prompt = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    return Adapter(
        prompt,
        AdapterFacts(paraphrase_template(3), BaseIdentity("toy", 5, 12, 1, 1)),
        "d" * 64,
        state,
    )


def test_the_way_of_a_prompt(tmp_path):
    made = adapter(initial=torch.zeros(3, 5))
    for step in (10, 20, 30):
        snapshots.save_snapshot(tmp_path, step, torch.full((3, 5), float(step)))
    assert [label for label, _ in prompt_stages(made, tmp_path)] == [
        "initial",
        "step 10",
        "step 20",
        "step 30",
        "kept",
    ]
    (tmp_path / "training" / "finished.json").write_text('{"kept": 20}')
    assert [label for label, _ in prompt_stages(made, tmp_path)] == ["initial", "step 10", "kept"]
    assert prompt_stages(made, tmp_path)[1][1].eq(10).all()
    assert [
        label for label, _ in prompt_stages(adapter(initial=torch.zeros(9, 5)), tmp_path / "none")
    ] == ["kept"]


def test_a_damaged_snapshot_is_refused(tmp_path):
    snapshots.save_snapshot(tmp_path, 10, torch.zeros(3, 5))
    (tmp_path / snapshots.SNAPSHOTS_FOLDER / "00000010.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="not a whole safetensors"):
        snapshots.read_snapshots(tmp_path)


def test_a_placed_adapter_has_exact_neighbours():
    words = torch.from_numpy(vocabulary(384, 5)).float()
    made, tokenizer = adapter(), tiny_tokenizer()
    found = place_prompt("a", made, Path("nowhere"), fit_plane(words.numpy()), words, tokenizer, 2)
    cosines = torch.cosine_similarity(made.prompt[:, None], words[None], dim=2)
    best = tokenizer.convert_ids_to_tokens(cosines.argmax(dim=1).tolist())
    assert [row.cosine[0].token for row in found.positions] == best
    assert found.path.shape == (1, 3, 2)


def test_the_page_holds_every_point_and_loads_nothing():
    found = small()
    page = mappage.map_to_html(found)
    data = json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )
    assert data["tokens"][:3] == ["␣cat", "=1+2", "⏎"]
    assert np.allclose(np.array(data["anchors"]).T, found.anchors, atol=1e-4)
    assert [one["steps"] for one in data["prompts"]] == [["initial", "step 10", "kept"], ["kept"]]
    assert np.allclose(
        np.array(data["prompts"][0]["path"][2]).T, found.prompts[0].path[2], atol=1e-4
    )
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"https?://|\bsrc=|@import|url\(", page)
    assert mappage.map_to_html(small()) == page


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_names_stay_text(payload):
    html5lib = pytest.importorskip("html5lib")
    tree = html5lib.parse(mappage.map_to_html(small(payload)), namespaceHTMLElements=False)
    plain = html5lib.parse(mappage.map_to_html(small()), namespaceHTMLElements=False)
    assert [element.tag for element in tree.iter()] == [element.tag for element in plain.iter()]
    mappage.map_to_png(small(payload))


def test_the_picture_is_a_picture_and_the_same_twice():
    drawn = mappage.map_to_png(small(), 4.0)
    assert drawn.startswith(b"\x89PNG")
    assert drawn == mappage.map_to_png(small(), 4.0)


def test_the_table_is_safe_in_a_spreadsheet():
    rows = list(csv.DictReader(io.StringIO(mappage.map_to_csv(small()))))
    assert len(rows) == 6
    assert (rows[0]["prompt"], rows[0]["token 1"], rows[0]["cosine 1"]) == (
        "softprompt-3",
        "␣cat",
        "0.5000",
    )
    assert rows[0]["token 2"] == "'=1+2"


def test_landmarks_lie_apart():
    places = np.array([[0, 0], [0.1, 0], [5, 0], [-5.5, 0], [0, 3]], float)
    assert mappage.farthest_points(places, 4) == [0, 3, 2, 4]
    assert mappage.farthest_points(places, 9) == [0, 3, 2, 4, 1]


def test_tokens_are_shown_as_people_read_them():
    assert [readable_token(token) for token in ("Ġthe", "Ċ", "a")] == ["␣the", "⏎", "a"]


def test_prompts_are_called_by_what_tells_them_apart():
    assert distinct_labels(["softprompt-3", "runs/seed-1/"]) == ["softprompt-3", "seed-1"]
    assert distinct_labels(["a/softprompt-3", "b/softprompt-3"]) == [
        "a/softprompt-3",
        "b/softprompt-3",
    ]
    with pytest.raises(UserError, match="duplicate name"):
        distinct_labels(["softprompt-3", "softprompt-3"])


def test_the_command_on_a_small_suite(tmp_path, monkeypatch):
    suite = suite_file(tmp_path)
    base = BaseIdentity.of(locate(str(tmp_path / "opt")))
    for name, length in (("adapters/softprompt-3", 3), ("elsewhere/mine", 2)):
        prompt = torch.randn(length, 32, generator=torch.Generator().manual_seed(length))
        adapters.save_adapter(
            tmp_path / name,
            prompt,
            AdapterFacts(paraphrase_template(length), base),
            {"initial": prompt * 0},
        )
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        cli.app,
        ["prompt", "map", "softprompt-3,elsewhere/mine", "--suite", str(suite), "--output", "out"],
    )
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"prompt-map.html", "prompt-map.png", "nearest.csv"} < names
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "nearest.csv").read_text())))
    assert [(row["prompt"], row["position"]) for row in table] == [
        *(("softprompt-3", str(n)) for n in range(3)),
        *(("mine", str(n)) for n in range(2)),
    ]
    done = CliRunner().invoke(cli.app, ["prompt", "map", "softprompt-4", "--suite", str(suite)])
    assert isinstance(done.exception, UserError)
    assert done.exception.choices == ("softprompt-3",)
