"""Prompts of other tools: exact both ways, refused where they do not belong, and never run."""

import base64
import io
import json
import os
import tarfile

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.decoding import decode_causal
from parabench.inference.prompt_ids import PromptIds
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts import adapters, convert, peft_format, table_files
from parabench.prompts.rendering import render
from parabench.prompts.soft import vocabulary_rows
from parabench.prompts.templates import Template, paraphrase_template
from tests.support import tiny

PROMPT = torch.randn(4, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return locate(str(tiny.opt(tmp_path_factory.mktemp("opt"))))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return locate(str(tiny.opt350(tmp_path_factory.mktemp("opt350"))))


def peft_folder(folder, **changes):
    folder.mkdir(exist_ok=True)
    config = {
        "peft_type": "PROMPT_TUNING",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "facebook/opt-toy",
        "num_virtual_tokens": 4,
        "token_dim": 32,
        "num_layers": 2,
        "num_attention_heads": 4,
        "prompt_tuning_init": "TEXT",
        "peft_version": "0.21.2",
    }
    (folder / "adapter_config.json").write_text(json.dumps({**config, **changes}))
    save_file({"prompt_embeddings": PROMPT}, folder / "adapter_model.safetensors", {"format": "pt"})
    return folder


def origin_file(path, **more):
    """As ``SpecificLayersCheckpoint`` of Paraphrase-OPT writes it: layers, optimiser and scheduler
    in one dict.
    """
    parameter = torch.nn.Parameter(PROMPT.clone())
    optimizer = torch.optim.Adam([parameter], lr=1e-3)
    (parameter.square().sum()).backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    state = {"optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict()}
    torch.save({"soft_embedding.learned_embedding": PROMPT.clone(), **state, **more}, path)
    return path


def nemo_file(path, weights=None, config=None, mode="w"):
    """As NeMo v1.10 saves a prompt table: the table's state dict in a state dict, beside the
    configuration.
    """
    prompts = {
        "prompt_table.sentiment.prompt_embeddings.weight": PROMPT,
        "prompt_table.sentiment.indices": torch.arange(4),
    }
    more = {
        "prompt_table.qa.prompt_embeddings.weight": PROMPT[:2] + 1,
        "prompt_table.qa.indices": torch.arange(2),
    }
    template = {
        "taskname": "sentiment",
        "prompt_template": "<|VIRTUAL_PROMPT_0|> {sentence} sentiment: {label}",
    }
    sizes = {"total_virtual_tokens": 4, "virtual_token_splits": [4], "truncate_field": None}
    templates = [
        {**template, **sizes, "answer_only_loss": True, "answer_field": "label", "task_id_num": 0},
        {
            **template,
            **sizes,
            "taskname": "qa",
            "total_virtual_tokens": 2,
            "virtual_token_splits": [2],
        },
    ]
    buffer = io.BytesIO()
    torch.save(weights or {"prompt_table": {**prompts, **more}}, buffer)
    if not isinstance(config, str):
        config = yaml.safe_dump(config or {"task_templates": templates, "existing_tasks": []})
    with tarfile.open(path, mode) as archive:
        for name, content in (
            ("./model_config.yaml", config.encode()),
            ("./model_weights.ckpt", buffer.getvalue()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_peft_to_here_to_peft_to_here_is_bit_exact(base, tmp_path):
    theirs = peft_folder(tmp_path / "theirs")
    first = convert.import_adapter(theirs, tmp_path / "first", base)
    convert.export_adapter(first, tmp_path / "out", "peft")
    assert (tmp_path / "out" / peft_format.PEFT_TENSOR_FILE).read_bytes() == (
        theirs / peft_format.PEFT_TENSOR_FILE
    ).read_bytes()
    second = convert.import_adapter(tmp_path / "out", tmp_path / "second", base)
    assert (
        second.prompt.numpy().tobytes()
        == first.prompt.numpy().tobytes()
        == PROMPT.numpy().tobytes()
    )
    assert second.digest == first.digest
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        peft_format.PEFT_CONFIG_FILE,
        peft_format.PEFT_TENSOR_FILE,
    ]
    assert "PROMPT_TUNING for facebook/opt-toy" in first.facts.origin


def test_plain_safetensors_keeps_prompt_state_and_facts(base, tmp_path):
    facts = adapters.AdapterFacts(
        paraphrase_template(4), adapters.BaseIdentity.of(base), seed=3, loss=((1, 0.1),), data="d"
    )
    own = adapters.save_adapter(tmp_path / "own", PROMPT, facts, {"initial": PROMPT * 2})
    file = convert.export_adapter(own, tmp_path / "p.safetensors", "safetensors")
    assert torch.equal(load_file(file)["prompt_embeddings"], PROMPT)
    again = convert.import_adapter(file, tmp_path / "again", base)
    assert again.facts == own.facts
    for name in (
        peft_format.PEFT_TENSOR_FILE,
        adapters.ADAPTER_FACTS_FILE,
        adapters.ADAPTER_STATE_FILE,
    ):
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    copied = convert.import_adapter(tmp_path / "own", tmp_path / "copied", base)
    assert copied.facts == own.facts


def test_a_foreign_plain_file_needs_only_the_tensor(base, tmp_path):
    save_file({"prompt_embeddings": PROMPT}, tmp_path / "p.safetensors")
    assert torch.equal(
        convert.import_adapter(tmp_path / "p.safetensors", tmp_path / "a", base).prompt, PROMPT
    )


def test_paraphrase_opts_checkpoint_gives_prompt_and_layout(base, tmp_path):
    file = origin_file(tmp_path / "soft-opt-epoch=029-val_loss=0.487.ckpt")
    adapter = convert.import_adapter(file, tmp_path / "a", base)
    assert torch.equal(adapter.prompt, PROMPT)
    assert adapter.facts.origin.startswith(
        "Paraphrase-OPT soft-opt-epoch=029-val_loss=0.487.ckpt sha256:"
    )
    tokenizer = load_causal(base, Runtime())[1]
    text = tokenizer("The rain", add_special_tokens=False).input_ids
    row = render(adapter.facts.template, {"source": "The rain"}, tokenizer, 64)
    assert list(row.ids) == [-1, -2, -3, -4, 2, *text, 2]


def test_paraphrase_opts_vocabulary_is_checked(base, tmp_path):
    file = origin_file(tmp_path / "x.ckpt", **{"soft_embedding.wte.weight": torch.zeros(50, 32)})
    with pytest.raises(UserError, match=r"a model of vocabulary 50; .* has vocabulary 384"):
        convert.import_adapter(file, tmp_path / "a", base)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_nemo_table_gives_its_tasks(base, tmp_path, mode):
    file = nemo_file(tmp_path / "table.nemo", mode=mode)
    found = convert.import_table(file, base)
    assert list(found.prompts) == ["sentiment", "qa"]
    assert torch.equal(found.prompts["qa"], PROMPT[:2] + 1)
    table_files.save_table(tmp_path / "table", found)
    assert torch.equal(
        table_files.load_table(tmp_path / "table", base).prompts["sentiment"], PROMPT
    )
    one = convert.import_adapter(file, tmp_path / "one", base, task="sentiment")
    assert (one.facts.template.answer_field, one.facts.template.answer_only_loss) == ("label", True)
    with pytest.raises(UserError, match="2 tasks"):
        convert.import_adapter(file, tmp_path / "none", base)


def test_a_nemo_file_of_the_flat_layout_is_read_too(base, tmp_path):
    weights = {
        "prompt_table.prompt_table.qa.prompt_embeddings.weight": PROMPT[:2],
        "prompt_table.prompt_table.qa.indices": torch.arange(2),
    }
    found = convert.import_table(nemo_file(tmp_path / "t.nemo", weights), base)
    assert torch.equal(found.prompts["qa"], PROMPT[:2])


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_in_a_file_is_run(base, tmp_path):
    bomb = Bomb(tmp_path / "ran")
    torch.save(
        {"soft_embedding.learned_embedding": PROMPT, "hyper_parameters": bomb},
        tmp_path / "bomb.ckpt",
    )
    nemo_file(tmp_path / "bomb.nemo", {"prompt_table": {}, "more": bomb})
    old = peft_folder(tmp_path / "old")
    (old / peft_format.PEFT_TENSOR_FILE).unlink()
    torch.save({"prompt_embeddings": PROMPT, "more": bomb}, old / "adapter_model.bin")
    for source in (tmp_path / "bomb.ckpt", tmp_path / "bomb.nemo", old):
        with pytest.raises(UserError, match="not tensors alone"):
            convert.import_adapter(source, tmp_path / "a", base)
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "a").exists()
    torch.save({"prompt_embeddings": PROMPT}, old / "adapter_model.bin")
    assert torch.equal(convert.import_adapter(old, tmp_path / "a", base).prompt, PROMPT)


def written(path, content=b"PK\x03\x04 not a checkpoint"):
    path.write_bytes(content)
    return path


REFUSED = {
    "no such file": lambda f: f / "nowhere",
    r"a \.txt file": lambda f: written(f / "x.txt"),
    "read adapter_config.json": lambda f: f,
    "peft_type LORA": lambda f: peft_folder(f / "a", peft_type="LORA"),
    "peft_type PREFIX_TUNING": lambda f: peft_folder(f / "a", peft_type="PREFIX_TUNING"),
    "task_type SEQ_2_SEQ_LM": lambda f: peft_folder(f / "a", task_type="SEQ_2_SEQ_LM"),
    "says 7 rows, there are 4": lambda f: peft_folder(f / "a", num_virtual_tokens=7),
    "a model of width 48; .* has width 32": lambda f: peft_folder(f / "a", token_dim=48),
    "a model of layers 24": lambda f: peft_folder(f / "a", num_layers=24),
    "a model of heads 32": lambda f: peft_folder(f / "a", num_attention_heads=32),
    "a model of revision 0{40}": lambda f: peft_folder(f / "a", revision="0" * 40),
    "not tensors alone": lambda f: written(f / "x.ckpt"),
    "0 tensors soft_embedding": lambda f: (
        torch.save({"weight": PROMPT}, f / "x.ckpt") or f / "x.ckpt"
    ),
    "not a whole safetensors": lambda f: written(f / "x.safetensors"),
    "not a whole tar archive": lambda f: written(f / "x.nemo"),
    "has no list task_templates": lambda f: nemo_file(f / "x.nemo", config={"tasks": []}),
    "and no template of theirs": lambda f: nemo_file(f / "x.nemo", config={"task_templates": []}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_belong_is_refused(base, tmp_path, message):
    with pytest.raises(UserError, match=message):
        convert.import_adapter(REFUSED[message](tmp_path), tmp_path / "target", base)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_a_damaged_nemo_archive_is_refused(base, tmp_path, mode):
    content = nemo_file(tmp_path / "whole.nemo", mode=mode).read_bytes()
    damaged = tmp_path / "damaged.nemo"
    refused = 0
    for place in range(5, len(content), len(content) // 40):
        changed = bytes([content[place] ^ 255])
        damaged.write_bytes(content[:place] + changed + content[place + 1 :])
        try:
            convert.import_table(damaged, base)
        except UserError:
            refused += 1
        if place > len(content) // 2:
            continue  # what is cut off there may be padding after the last member
        damaged.write_bytes(content[:place])
        with pytest.raises(UserError):
            convert.import_table(damaged, base)
    assert refused > 30


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[" * 5000, "no list task_templates"),
        ("task_templates: []\ntask_templates: []\n", "no list task_templates"),
        ("task_templates: 3", "no list task_templates"),
        ("task_templates: [2020-13-45]", "no list task_templates"),
        ("- 1", "no list task_templates"),
        (
            {"task_templates": [{"taskname": "qa", "prompt_template": "{x}"}]},
            r"task 'qa' in .*x.nemo(.|\n)*total_virtual_tokens: Field required",
        ),
        (
            {
                "task_templates": [
                    {
                        "taskname": "qa",
                        "prompt_template": "<|VIRTUAL_PROMPT_0|>{x}",
                        "total_virtual_tokens": 3,
                        "virtual_token_splits": [2],
                    }
                ]
            },
            r"task 'qa' in .*x.nemo(.|\n)*sum to 2, not 3",
        ),
    ],
)
def test_a_nemo_configuration_is_read_strictly(base, tmp_path, config, message):
    with pytest.raises(UserError, match=message):
        convert.import_table(nemo_file(tmp_path / "x.nemo", config=config), base)


def test_another_base_is_refused(base, other, tmp_path):
    with pytest.raises(UserError, match=r"made for a model of width 32; .* has width 16"):
        convert.import_adapter(peft_folder(tmp_path / "a"), tmp_path / "b", other)
    convert.import_adapter(peft_folder(tmp_path / "a"), tmp_path / "b", base)
    with pytest.raises(UserError, match=r"made for .*, given "):
        convert.import_adapter(tmp_path / "b", tmp_path / "c", other)


def test_peft_export_refuses_what_peft_cannot_say(base, tmp_path):
    template = Template("t", "{source}<|VIRTUAL_PROMPT_0|>{target}", 4, (4,), "source", "target")
    adapter = adapters.save_adapter(
        tmp_path / "a", PROMPT, adapters.AdapterFacts(template, adapters.BaseIdentity.of(base))
    )
    with pytest.raises(UserError, match="do not all stand in front"):
        convert.export_adapter(adapter, tmp_path / "b", "peft")
    with pytest.raises(UserError, match="no such form"):
        convert.export_adapter(adapter, tmp_path / "b", "onnx")


def test_embeddings_for_serving_continue_as_the_adapter_does(base, tmp_path):
    """As vLLM reads ``prompt_embeds``: base64 of a saved floating-point matrix [T, H], loaded with
    weights only.
    """
    model, tokenizer = load_causal(base, Runtime())
    adapter = convert.import_adapter(peft_folder(tmp_path / "a"), tmp_path / "b", base)
    record = {"source": "Nobody knew why"}
    file = convert.export_prompt_embeds(
        adapter, model, tokenizer, [record], tmp_path / "embeds.jsonl", 64
    )
    encoded = json.loads(file.read_text())["prompt_embeds"]
    sent = torch.load(io.BytesIO(base64.b64decode(encoded)), weights_only=True)
    assert sent.shape == (len(render(adapter.facts.template, record, tokenizer, 64).ids), 32)
    new = model.generate(
        inputs_embeds=sent[None],
        attention_mask=torch.ones(1, len(sent)),
        max_new_tokens=6,
        min_new_tokens=1,
        do_sample=False,
    )
    row = PromptIds(render(adapter.facts.template, record, tokenizer, 64).ids, adapter.prompt)
    ((done,),) = decode_causal(model, [row], Decoding(max_new_tokens=6), Runtime(), {2}, 1)
    assert list(done.ids) == [token for token in new[0].tolist() if token != 2]


def test_embeddings_of_another_width_are_refused(base, other, tmp_path):
    model, tokenizer = load_causal(other, Runtime())
    adapter = convert.import_adapter(peft_folder(tmp_path / "a"), tmp_path / "b", base)
    with pytest.raises(UserError, match="width 32, this model has 16"):
        next(convert.prompt_embeds(adapter, model, tokenizer, [{"source": "x"}], 64))


def test_the_base_is_read_from_the_checkpoint(base, other):
    for checkpoint in (base, other):
        model = load_causal(checkpoint, Runtime())[0]
        found = adapters.BaseIdentity.of(checkpoint)
        assert (found.vocabulary, found.width) == tuple(vocabulary_rows(model).shape)
        assert found.digest == checkpoint.digest
