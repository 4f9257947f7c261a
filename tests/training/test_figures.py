"""The course of a training as drawn: read from its log, smoothed by means checked by hand, legible
in both schemes.
"""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from parabench.contracts import UserError
from parabench.render.svg import series_colors
from parabench.training.figures import draw_training, moving_average, read_curves


def checkpoint(folder, steps: int = 6, **extra):
    (folder / "training").mkdir(parents=True)
    lines = []
    for step in range(1, steps + 1):
        lines.append({"step": step, "loss": 3.0 / step, "learning_rate": 0.1, "gradient_norm": 1.0})
        if step % 3 == 0:
            lines.append(
                {
                    "step": step,
                    "validation": {
                        "loss": 2.0 / step,
                        "ibleu": 4.0 * step,
                        "samples": [["a", "b"]],
                    },
                }
            )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "training" / "log.jsonl").write_text(text)
    (folder / "training" / "finished.json").write_text(json.dumps({"kept": 3, **extra}))
    return folder


def test_the_log_is_read_whole(tmp_path):
    found = read_curves(checkpoint(tmp_path / "softprompt-3"))
    assert found.losses == tuple((step, 3.0 / step) for step in range(1, 7))
    assert found.measures == {"loss": [(3, 2.0 / 3), (6, 2.0 / 6)], "ibleu": [(3, 12.0), (6, 24.0)]}
    assert (found.name, found.kept) == ("softprompt-3", 3)


def test_what_is_no_training_is_refused(tmp_path):
    with pytest.raises(UserError, match="no training/log"):
        read_curves(tmp_path)
    folder = checkpoint(tmp_path / "a")
    for line in (
        "{",
        "[]",
        '{"step": 1}',
        '{"step": "x", "loss": 1}',
        '{"step": 1, "validation": 3}',
    ):
        (folder / "training" / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n' + line + "\n")
        with pytest.raises(UserError, match="line 2"):
            read_curves(folder)


def test_smoothing_is_the_mean_of_what_came_before():
    assert moving_average(np.array([4.0, 2.0, 0.0, 6.0]), 2) == pytest.approx([4, 3, 1, 3])
    assert moving_average(np.array([4.0, 2.0]), 1) == pytest.approx([4, 2])


def test_the_drawing_is_one_file_for_both_schemes(tmp_path):
    folders = [checkpoint(tmp_path / name) for name in ("one", "<two>&$x$")]
    drawn = draw_training([read_curves(folder) for folder in folders])
    root = ElementTree.fromstring(drawn)
    assert root.find("{http://www.w3.org/2000/svg}title").text == "Training of one, <two>&$x$"
    text = drawn.decode()
    used = set(re.findall(r"var\(--(\w+)\)", text))
    light, dark = text.split("prefers-color-scheme: dark")
    for name in used:
        assert re.search(rf"--{name}: #", light.split("</style>")[0]), name
        assert re.search(rf"--{name}: #", dark.split("</style>")[0]), name
    assert {"paper", "ink", "series0", "series1"} <= used
    assert not re.search(rf'="{series_colors()[0][0]}"|url\((?!#)|https?://(?!www\.w3\.org)', text)
    assert text.count("ibleu") == 1
    assert draw_training([read_curves(folder) for folder in folders]) == drawn


def test_a_training_without_held_out_pairs_has_one_panel(tmp_path):
    folder = checkpoint(tmp_path / "a", steps=2)
    (folder / "training" / "finished.json").unlink()
    assert read_curves(folder).kept is None
    assert b"nats a target token" in draw_training([read_curves(folder)])
