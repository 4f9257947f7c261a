"""Adapters on disk: exact round trips, and every kind of damage refused before anything is
loaded.
"""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from parabench.contracts import UserError
from parabench.models.local import Checkpoint
from parabench.prompts import adapters
from parabench.prompts.files import with_checksums
from parabench.prompts.initialisers import from_adapter
from parabench.prompts.templates import paraphrase_template

BASE = adapters.BaseIdentity("toy", 16, 384, 2, 4, revision="r1", digest="d" * 64)
FACTS = adapters.AdapterFacts(
    paraphrase_template(5), BASE, initialiser="vocabulary", seed=7, loss=((1, 2.5), (2, 2.25))
)


@pytest.fixture
def folder(tmp_path):
    prompt = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    adapters.save_adapter(tmp_path / "a", prompt, FACTS, {"initial": prompt + 1})
    return tmp_path / "a"


def test_round_trip_is_bit_exact(folder):
    adapter = adapters.load_adapter(folder)
    again = adapters.save_adapter(folder.parent / "b", adapter.prompt, adapter.facts, adapter.state)
    for name in (
        adapters.PEFT_TENSOR_FILE,
        adapters.PEFT_CONFIG_FILE,
        adapters.ADAPTER_FACTS_FILE,
        adapters.ADAPTER_STATE_FILE,
    ):
        assert (folder / name).read_bytes() == (folder.parent / "b" / name).read_bytes()
    assert again.digest == adapter.digest == adapter.facts.sha256
    assert replace(adapter.facts, sha256="") == FACTS
    assert torch.equal(adapter.state["initial"], adapter.prompt + 1)


def test_the_tensor_file_is_what_peft_writes(folder):
    (key,) = load_file(folder / adapters.PEFT_TENSOR_FILE)
    assert key == "prompt_embeddings"
    config = json.loads((folder / adapters.PEFT_CONFIG_FILE).read_text())
    assert (config["num_virtual_tokens"], config["token_dim"]) == (5, 16)


def test_an_empty_prompt_is_kept(tmp_path):
    adapters.save_adapter(
        tmp_path, torch.zeros(0, 16), replace(FACTS, template=paraphrase_template(0))
    )
    assert adapters.load_adapter(tmp_path).prompt.shape == (0, 16)


def test_initialising_from_an_adapter(folder):
    vocabulary = torch.zeros(384, 16)
    assert torch.equal(from_adapter(folder)(vocabulary, 5), adapters.load_adapter(folder).prompt)
    with pytest.raises(UserError, match="ask for length 5"):
        from_adapter(folder)(vocabulary, 6)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def rewrite(folder, prompt, key="prompt_embeddings", **more):
    """Replace the tensor and make the checksum agree, so that only the tensor itself is at
    fault.
    """
    save_file({key: prompt, **more}, folder / adapters.PEFT_TENSOR_FILE)
    change(
        folder / adapters.ADAPTER_FACTS_FILE,
        sha256=adapters.hashlib.sha256(
            (folder / adapters.PEFT_TENSOR_FILE).read_bytes()
        ).hexdigest(),
    )


def change(path, **values):
    """Change members of a JSON file; facts get the checksums of what they are now, so that only
    that is at fault.
    """
    content = {**json.loads(path.read_text()), **values}
    told = content.pop("checksums", None)
    if told:
        content = with_checksums(
            content, state=(path.parent / adapters.ADAPTER_STATE_FILE).read_bytes()
        )
    path.write_text(json.dumps(content))


def edit(path, old, new):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


DAMAGE = {
    "no such folder": lambda f: f.rename(f.parent / "elsewhere"),
    f"read {adapters.PEFT_CONFIG_FILE}": lambda f: (f / adapters.PEFT_CONFIG_FILE).unlink(),
    f"read {adapters.PEFT_TENSOR_FILE}": lambda f: (f / adapters.PEFT_TENSOR_FILE).unlink(),
    f"read {adapters.ADAPTER_FACTS_FILE}": lambda f: (f / adapters.ADAPTER_FACTS_FILE).unlink(),
    "adapter_config.json is not JSON": lambda f: (f / adapters.PEFT_CONFIG_FILE).write_text(
        '{"peft_type": "PROMPT'
    ),
    "parabench.json is not a JSON object": lambda f: (f / adapters.ADAPTER_FACTS_FILE).write_text(
        "[]"
    ),
    "not a whole safetensors file": lambda f: (f / adapters.PEFT_TENSOR_FILE).write_bytes(
        b"PK\x03\x04 a pickle in disguise"
    ),
    "is not a whole safetensors": lambda f: (f / adapters.PEFT_TENSOR_FILE).write_bytes(
        (f / adapters.PEFT_TENSOR_FILE).read_bytes()[:-4]
    ),
    "has SHA-256": lambda f: flip(f / adapters.PEFT_TENSOR_FILE),
    "holds embeddings, not prompt_embeddings": lambda f: rewrite(
        f, torch.zeros(5, 16), "embeddings"
    ),
    "holds more, prompt_embeddings, not": lambda f: rewrite(
        f, torch.zeros(5, 16), more=torch.zeros(1)
    ),
    r"the prompt is \(4, 16\)": lambda f: rewrite(f, torch.zeros(4, 16)),
    r"the prompt is \(5, 32\)": lambda f: rewrite(f, torch.zeros(5, 32)),
    "not a matrix of floats": lambda f: rewrite(f, torch.zeros(5, 16, dtype=torch.int64)),
    "of shape \\(80,\\), not a matrix": lambda f: rewrite(f, torch.zeros(80)),
    "1 of the prompt's numbers are not finite": lambda f: rewrite(
        f,
        torch.zeros(5, 16)
        .index_fill(0, torch.tensor(2), 0)
        .put_(torch.tensor(3), torch.tensor(float("nan"))),
    ),
    "peft_type LORA": lambda f: change(f / adapters.PEFT_CONFIG_FILE, peft_type="LORA"),
    "says 6 x 16": lambda f: change(f / adapters.PEFT_CONFIG_FILE, num_virtual_tokens=6),
    "is of format 3": lambda f: change(f / adapters.ADAPTER_FACTS_FILE, format=3),
    "the facts are not those that were saved": lambda f: edit(
        f / adapters.ADAPTER_FACTS_FILE, '"seed": 7', '"seed": 8'
    ),
    "parabench.json holds half a character": lambda f: edit(
        f / adapters.ADAPTER_FACTS_FILE, '"initialiser": "voc', '"initialiser": "\\ud800'
    ),
    "the state are not those that were saved": lambda f: flip(f / adapters.ADAPTER_STATE_FILE),
    "checksums: Unexpected keyword": lambda f: edit(
        f / adapters.ADAPTER_FACTS_FILE, '"format": 2', '"format": 1'
    ),
    "sede: Unexpected keyword": lambda f: change(f / adapters.ADAPTER_FACTS_FILE, sede=1),
    "sum to 4, not 5": lambda f: change(
        f / adapters.ADAPTER_FACTS_FILE,
        template={
            **json.loads((f / adapters.ADAPTER_FACTS_FILE).read_text())["template"],
            "virtual_token_splits": [4],
        },
    ),
    "parabench_state.safetensors is not a whole": lambda f: (
        f / adapters.ADAPTER_STATE_FILE
    ).write_bytes(b"x"),
}


def test_adapters_without_checksums_are_read_and_gain_them(folder):
    content = json.loads((folder / adapters.ADAPTER_FACTS_FILE).read_text())
    del content["checksums"]
    (folder / adapters.ADAPTER_FACTS_FILE).write_text(json.dumps({**content, "format": 1}))
    old = adapters.load_adapter(folder)
    adapters.save_adapter(folder, old.prompt, old.facts, old.state)
    assert json.loads((folder / adapters.ADAPTER_FACTS_FILE).read_text())["checksums"].keys() == {
        "facts",
        "state",
    }


@pytest.mark.parametrize("message", DAMAGE)
def test_a_damaged_adapter_is_refused(folder, message):
    adapters.load_adapter(folder)
    DAMAGE[message](folder)
    with pytest.raises(UserError, match=message):
        adapters.load_adapter(folder)


def test_another_base_is_refused_and_the_difference_named(folder):
    assert (
        adapters.load_adapter(folder, Checkpoint("toy", "toy", "r1", "d" * 64)).facts.base == BASE
    )
    with pytest.raises(
        UserError,
        match=r"made for toy dddddddddddd, given other eeeeeeeeeeee .revision r1, given r2",
    ):
        adapters.load_adapter(folder, Checkpoint("other", "other", "r2", "e" * 64))


@pytest.mark.parametrize(
    ("shape", "message"), [((384, 8), "width 16, this model has 8"), ((99, 16), "vocabulary 384")]
)
def test_a_model_of_another_shape_is_refused(folder, shape, message):
    class Model(torch.nn.Module):
        def get_input_embeddings(self):
            return torch.nn.Embedding(*shape)

    with pytest.raises(UserError, match=message):
        adapters.check_fit(adapters.load_adapter(folder), Model())


def test_saving_what_disagrees_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"the prompt is \(4, 16\)"):
        adapters.save_adapter(tmp_path / "x", torch.zeros(4, 16), FACTS)
    assert not (tmp_path / "x").exists()
