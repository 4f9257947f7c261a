"""GGUF files as models: to the bit what gguf-py dequantises, identified by the file itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from parabench.contracts import Runtime, UserError
from parabench.models import gguf
from parabench.models.checkpoints import checkpoint_folder, load_config, locate
from parabench.models.downloads import model_bytes
from parabench.models.loading import load_causal
from parabench.prompts.facts import BaseIdentity
from parabench.store.files import file_sha256
from tests.support import gguf_files, tiny

pytestmark = pytest.mark.usefixtures("cache")

TEXTS = (*tiny.SENTENCES, "In 1998 they  sold 12 books.", "</s> ends, <s> begins")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_files.llama(tmp_path_factory.mktemp("gguf") / "plain.gguf")


def convert(file: Path) -> Path:
    return checkpoint_folder(locate(str(file)))


def test_every_type_of_tensor_is_exact(tmp_path: Path) -> None:
    """Against gguf-py's dequantize; queries' and keys' rows by llama.cpp's permutation."""
    types = (*gguf_files.PLAIN, *gguf_files.QUANTISED)
    file = gguf_files.llama(tmp_path / "all.gguf", types, layers=3)
    converted = load_file(convert(file) / "model.safetensors")
    expected = gguf_files.weights(file)
    assert converted.keys() == expected.keys()
    for name, values in expected.items():
        assert converted[name].dtype == np.float32
        assert converted[name].tobytes() == np.ascontiguousarray(values).tobytes(), name


@pytest.mark.parametrize("kind", [gguf_files.Types.Q4_1, gguf_files.Types.Q6_K])
def test_rows_of_queries_and_keys_are_put_in_order(tmp_path: Path, kind: Any) -> None:
    file = gguf_files.llama(tmp_path / "one.gguf", (kind,))
    converted = load_file(convert(file) / "model.safetensors")
    for name, values in gguf_files.weights(file).items():
        assert converted[name].tobytes() == np.ascontiguousarray(values).tobytes(), name


def test_logits_and_ids_equal_transformers_own(plain: Path) -> None:
    model, tokenizer = load_causal(locate(str(plain)), Runtime())
    theirs = AutoModelForCausalLM.from_pretrained(
        plain.parent, gguf_file=plain.name, dtype=torch.float32
    )
    their_tokenizer = AutoTokenizer.from_pretrained(plain.parent, gguf_file=plain.name)
    original = tiny.tokenizer()
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        assert ids == their_tokenizer(text).input_ids == original(text).input_ids
        inputs = torch.tensor([ids])
        assert torch.equal(model(inputs).logits, theirs(inputs).logits)
    assert tokenizer.eos_token_id == model.config.eos_token_id == 2


def test_the_beginning_of_texts_is_as_the_file_says(tmp_path: Path) -> None:
    file = gguf_files.llama(tmp_path / "begins.gguf", bos=True)
    _, tokenizer = load_causal(locate(str(file)), Runtime())
    assert tokenizer("a").input_ids[0] == tokenizer.bos_token_id == 0


def test_digits_are_split_where_the_model_learned_so(tmp_path: Path) -> None:
    """SmolLM's tokenizer.json: digits one by one, then as GPT-2; a space stays before neither."""
    file = gguf_files.llama(tmp_path / "smol.gguf", pre="smollm")
    _, tokenizer = load_causal(locate(str(file)), Runtime())
    split = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("in  19")
    assert [piece for piece, _ in split] == ["in", "ĠĠ", "1", "9"]


def test_an_unknown_pre_tokenizer_is_told(tmp_path: Path, caplog: Any) -> None:
    convert(gguf_files.llama(tmp_path / "new.gguf", pre="of-tomorrow"))
    assert "'of-tomorrow' is not known" in caplog.text


def test_the_file_is_converted_once(plain: Path, caplog: Any, monkeypatch: Any) -> None:
    folder = convert(plain)
    assert "converted once" in caplog.text
    monkeypatch.setattr(gguf, "_convert", lambda *_: pytest.fail("converted again"))
    assert convert(plain) == folder


def test_two_conversions_give_the_same_bytes(plain: Path) -> None:
    first = {path.name: path.read_bytes() for path in convert(plain).iterdir()}
    shutil.rmtree(convert(plain).parents[1])
    assert first == {path.name: path.read_bytes() for path in convert(plain).iterdir()}


def test_identity_is_that_of_the_file(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another transformers converts again, perhaps to other files; adapters still fit."""
    checkpoint = locate(str(plain))
    assert checkpoint.digest == file_sha256(plain)
    first = checkpoint_folder(checkpoint)
    monkeypatch.setattr(gguf, "version", lambda package: "9.9")
    assert locate(str(plain)) == checkpoint
    assert checkpoint_folder(checkpoint) != first
    identity = BaseIdentity.of(checkpoint)
    assert identity.digest == file_sha256(plain)
    assert (identity.width, identity.vocabulary) == (gguf_files.WIDTH, tiny.VOCABULARY)


def test_files_beside_it_are_not_read(plain: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(plain, tmp_path / "model.gguf"))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "adapter_config.json"):
        (tmp_path / name).write_text('{"auto_map": {"AutoTokenizer": "x.y"}, "vocab_size": 7}')
    assert load_config(locate(str(file))).vocab_size == tiny.VOCABULARY


def test_a_changed_conversion_is_refused(plain: Path) -> None:
    folder = convert(plain)
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config\.json"):
        convert(plain)


def test_the_size_of_weights_needs_no_conversion(plain: Path, cache: Path) -> None:
    count = sum(values.size for values in gguf_files.weights(plain).values())
    assert model_bytes(locate(str(plain)), 2) == 2 * count
    assert not cache.exists()


def test_a_hash_after_the_name_is_obeyed(plain: Path) -> None:
    digest = file_sha256(plain)
    assert locate(f"{plain}#sha256={digest}") == locate(str(plain))
    with pytest.raises(UserError, match=f"SHA-256 {'0' * 64}(.|\n)*its SHA-256 is {digest}"):
        locate(f"{plain}#sha256={'0' * 64}")


def rope_scaled(file: Path) -> Path:
    fields = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    return gguf_files.llama(file, fields=fields)


def rope_factor_alone(file: Path) -> Path:
    return gguf_files.llama(file, fields={"llama.rope.scaling.factor": 4.0})


def rope_frequencies(file: Path) -> Path:
    """As Llama 3.1's: transformers skips the tensor and would rotate at the wrong speeds."""
    return gguf_files.llama(file, extra={"rope_freqs.weight": np.ones(32, np.float32)})


def one_missing(file: Path) -> Path:
    return gguf_files.llama(file, without=("blk.0.ffn_up.weight",))


def one_of_two(file: Path) -> Path:
    return gguf_files.llama(file, fields={"split.count": 2})


def a_lora(file: Path) -> Path:
    return gguf_files.llama(file, fields={"general.type": "adapter"})


def endless_layers(file: Path) -> Path:
    return gguf_files.llama(file, fields={"llama.block_count": 2_000_000})


def cut_off(file: Path) -> Path:
    whole = gguf_files.llama(file).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    return file


def cut_off_early(file: Path) -> Path:
    file.write_bytes(gguf_files.llama(file).read_bytes()[:100])
    return file


def no_gguf(file: Path) -> Path:
    file.write_bytes(b"PK\3\4 something else")
    return file


def empty(file: Path) -> Path:
    file.write_bytes(b"")
    return file


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (rope_scaled, "positions are scaled"),
        (rope_factor_alone, "positions are scaled"),
        (rope_frequencies, r"rope_freqs\.weight"),
        (one_missing, r"up_proj"),
        (one_of_two, "one of 2 parts"),
        (a_lora, "'adapter', not a model"),
        (endless_layers, "num_hidden_layers"),
        (cut_off, "cannot be read|convert"),
        (cut_off_early, "cannot be read"),
        (no_gguf, "no GGUF file"),
        (empty, "no GGUF file"),
    ],
)
def test_what_would_be_misread_is_refused(
    make: Callable[[Path], Path], said: str, tmp_path: Path, cache: Path
) -> None:
    file = make(tmp_path / "odd.gguf")
    with pytest.raises(UserError, match=said):
        convert(file)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_no_such_file_is_said_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file(.|\n)*package:NAME"):
        locate(str(tmp_path / "absent.gguf"))
    with pytest.raises(UserError, match="no such file"):
        locate("models/absent.gguf")
