"""Shapes in annotations are executed: a false one fails, and none is passed over."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch

from parabench.inference import attention
from tests.support import shapes

TRUE = 'KeysValues = Float[Tensor, "S kv_heads width"]'
FALSE = 'KeysValues = Float[Tensor, "T heads width"]'


def load_copy(path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of this text, under the hook."""
    path.write_text(source, encoding="utf-8")
    spec = spec_from_file_location(
        "planted", path, loader=shapes.CheckingLoader("planted", str(path))
    )
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "planted", module)
    spec.loader.exec_module(module)
    return module


def attend(module: Any) -> Any:
    """Three queries of four heads that attend to five keys of two."""
    query, key = torch.randn(3, 4, 8), torch.randn(5, 2, 8)
    groups = module.block_diagonal([range(3)], [[range(5)]], False, torch.device("cpu"))
    return groups.attend(query, key, key, None)


def test_a_planted_wrong_shape_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(attention.__file__).read_text(encoding="utf-8")
    assert text.count(TRUE) == 1
    assert attend(load_copy(tmp_path / "a.py", text, monkeypatch)).shape == (3, 4, 8)
    wrong = load_copy(tmp_path / "b.py", text.replace(TRUE, FALSE), monkeypatch)
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'key'"):
        attend(wrong)


def test_a_shape_that_cannot_be_evaluated_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "from __future__ import annotations\ndef f(x: Float[Unheard, 'N']) -> None: ...\n"
    with pytest.raises(NameError, match="Float"):
        load_copy(tmp_path / "c.py", source, monkeypatch)


def test_shapes_of_this_very_run_are_executed() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        attention.block_diagonal([range(2)], [[range(2)]], True, torch.device("cpu")).attend(
            torch.randn(2, 4, 8), torch.randn(2, 4, 9), torch.randn(2, 4, 8), None
        )
