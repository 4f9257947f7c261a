"""The task table with the three demonstration tasks: tuned, stored, extended, and decoded in one
mixed batch.
"""

import contextlib
import json
from pathlib import Path

import pytest
import torch

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.decoding import decode_causal
from parabench.inference.prompt_ids import PromptIds, embed
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts import adapters, encoders, records, table, table_files
from parabench.prompts.facts import BaseIdentity
from parabench.prompts.initialisers import sampled_vocabulary
from parabench.prompts.rendering import labels, render
from parabench.prompts.soft import SoftPrompt, vocabulary_rows
from parabench.prompts.templates import Template, parse_template, templates_by_name
from parabench.store.files import write_atomically
from parabench.training.losses import TrainingRow as TrainingRow
from parabench.training.losses import prompt_loss
from tests.support import tiny
from tests.support.prompts import check_records, embedding_width, render_tasks, table_prompt_ids

HERE = Path(__file__).parent / "demonstrations"
TEMPLATES = tuple(
    parse_template(settings) for settings in json.loads((HERE / "templates.json").read_text())
)
TASKS = templates_by_name(TEMPLATES)
BASE = BaseIdentity("toy", 8, 20, 1, 1)


@pytest.fixture(scope="module", params=["opt", "opt350", "gpt2"])
def loaded(request, tmp_path_factory):
    checkpoint = locate(str(tiny.CAUSAL[request.param](tmp_path_factory.mktemp(request.param))))
    return checkpoint, *load_causal(checkpoint, Runtime())


def demonstrations(training):
    return [
        record
        for name in TASKS
        for record in records.read_records(HERE / f"{name}.jsonl", TASKS, training)
    ]


def random_table(base, lengths, seed=0):
    templates = [Template(f"t{n}", "<|VIRTUAL_PROMPT_0|>{x}", n, (n,)) for n in lengths]
    result = table.TaskTable(base, (), {})
    for template in templates:
        prompt = torch.randn(
            template.total_virtual_tokens, base.width, generator=torch.Generator().manual_seed(seed)
        )
        result = table.add_task(result, template, prompt)
    return result


def mean_loss(model, virtual, rendered):
    """Plain cross-entropy, one row at a time, labels as the renderer gives them."""
    total, count = torch.zeros(()), 0
    for row in rendered:
        ids = torch.tensor(row.ids)
        embeds = model.get_input_embeddings()(ids.clamp(min=0))
        embeds = torch.where((ids < 0)[:, None], virtual[(-1 - ids).clamp(min=0)], embeds)
        logits = model(inputs_embeds=embeds[None]).logits[0, :-1]
        targets = torch.tensor(labels(row)[1:])
        total = total + torch.nn.functional.cross_entropy(
            logits, targets, ignore_index=-100, reduction="sum"
        )
        count += int((targets >= 0).sum())
    return total / count


@pytest.mark.parametrize("method", ["prompt-tuning", "p-tuning"])
def test_three_demonstrations_train_together_prompts_only(loaded, method):
    checkpoint, model, tokenizer = loaded
    new = table.plan_new_tasks(TEMPLATES, list(TASKS), [], None)
    vocabulary = vocabulary_rows(model)
    lengths, width = [template.total_virtual_tokens for template in new], embedding_width(model)
    torch.manual_seed(0)
    if method == "prompt-tuning":
        prompts = SoftPrompt(sampled_vocabulary(0)(vocabulary, sum(lengths)))
    else:
        conditions = encoders.name_conditions(["a", "b", "c"], tokenizer, vocabulary)
        prompts = encoders.PromptEncoder(
            encoders.encoder_config("mlp", width), width, lengths, conditions
        )
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    rendered, rejected = render_tasks(
        new, demonstrations(training=True), tokenizer, 120, training=True
    )
    assert rejected == []
    lines = [
        TrainingRow(list(row.ids[: row.answer_start]), list(row.ids[row.answer_start :]))
        for row in rendered
    ]
    torch.testing.assert_close(
        prompt_loss(model, prompts(), lines, lead=0), mean_loss(model, prompts(), rendered)
    )
    optimiser, losses = torch.optim.AdamW(prompts.parameters(), lr=0.02), []
    for _ in range(4):
        loss = prompt_loss(model, prompts(), lines, lead=0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.05
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    stored = table.TaskTable(
        BaseIdentity.of(checkpoint),
        new,
        table.split_prompts(encoders.evaluate_prompt(prompts), new),
    )
    assert torch.equal(stored.virtual, encoders.evaluate_prompt(prompts))


def test_a_mixed_batch_gives_each_row_what_it_gets_alone(loaded):
    checkpoint, model, tokenizer = loaded
    base = BaseIdentity.of(checkpoint)
    prompts = {
        t.taskname: torch.randn(
            t.total_virtual_tokens, base.width, generator=torch.Generator().manual_seed(i)
        )
        for i, t in enumerate(TEMPLATES)
    }
    whole = table.TaskTable(base, TEMPLATES, prompts)
    everything = demonstrations(training=False)[::2]
    mixed, rejected = table_prompt_ids(whole, everything, tokenizer, 110)
    assert rejected == []
    alone = [
        PromptIds(render(TASKS[r.taskname], r.fields, tokenizer, 110).ids, prompts[r.taskname])
        for r in everything
    ]
    for one, other in zip(mixed, alone, strict=True):
        assert torch.equal(embed(model, [one]), embed(model, [other]))

    def decode(rows, size):
        runs = decode_causal(
            model, rows, Decoding(max_new_tokens=6), Runtime(batch_size=size), {2}, 1
        )
        return {done.position: done.ids for batch in runs for done in batch}

    assert decode(mixed, len(mixed)) == {i: decode([row], 1)[0] for i, row in enumerate(alone)}


def test_lengths_20_111_and_163_share_a_batch(tmp_path):
    checkpoint = locate(str(tiny.opt(tmp_path, max_position_embeddings=256)))
    model, tokenizer = load_causal(checkpoint, Runtime())
    whole = random_table(BaseIdentity.of(checkpoint), (20, 111, 163))
    lines = [
        {"taskname": name, "x": text}
        for name in whole.prompts
        for text in ("The rain", "Nobody knew why.")
    ]
    rows, _ = table_prompt_ids(
        whole,
        check_records(lines, templates_by_name(whole.templates), False),
        tokenizer,
        250,
    )

    def decode(rows):
        runs = decode_causal(model, rows, Decoding(max_new_tokens=5), Runtime(batch_size=6), {2}, 1)
        return {done.position: done.ids for batch in runs for done in batch}

    together = decode(rows)
    for position, line in enumerate(lines):
        ids = render(
            templates_by_name(whole.templates)[line["taskname"]], {"x": line["x"]}, tokenizer, 250
        ).ids
        assert together[position] == decode([PromptIds(ids, whole.prompts[line["taskname"]])])[0]


def test_a_new_task_leaves_the_old_rows_bit_identical(tmp_path):
    old = random_table(BASE, (3, 5))
    table_files.save_table(tmp_path / "old", old)
    read = table_files.load_table(tmp_path / "old")
    more = table.add_task(
        read, Template("new", "{x}<|VIRTUAL_PROMPT_0|>", 2, (2,)), torch.ones(2, 8)
    )
    table_files.save_table(tmp_path / "more", more)
    again = table_files.load_table(tmp_path / "more")
    assert [template.taskname for template in again.templates] == ["t3", "t5", "new"]
    assert all(
        again.prompts[name].numpy().tobytes() == prompt.numpy().tobytes()
        for name, prompt in old.prompts.items()
    )
    less = table.remove_task(again, "new")
    table_files.save_table(tmp_path / "less", less)
    for name in (table_files.TABLE_TENSORS_FILE, table_files.TABLE_FACTS_FILE):
        assert (tmp_path / "less" / name).read_bytes() == (tmp_path / "old" / name).read_bytes()


@pytest.mark.parametrize(
    ("new", "existing", "message"),
    [
        (["question"], ["t9"], "no such task in the table"),
        (["poem"], [], "it has no template"),
        (["question", "question"], [], "named twice"),
        (["t3"], ["t3"], "named twice"),
        (["t3"], [], "in the table already"),
        ([], ["t3"], "no new task is named"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(new, existing, message):
    there = random_table(BASE, (3,))
    with pytest.raises(UserError, match=message):
        table.plan_new_tasks((*TEMPLATES, *there.templates), new, existing, there)


def test_tasks_and_templates_are_each_named_once():
    with pytest.raises(UserError, match="'question' is defined 2 times"):
        templates_by_name((TASKS["question"], TASKS["question"]))
    with pytest.raises(UserError, match="in the table already"):
        table.add_task(random_table(BASE, (3,)), Template("t3", "x", 0, ()), torch.zeros(0, 8))
    needed = r"its prompt is \(2, 9\), template and base model need \(2, 8\)"
    with pytest.raises(UserError, match=needed):
        table.add_task(
            random_table(BASE, (3,)),
            Template("u", "<|VIRTUAL_PROMPT_0|>", 2, (2,)),
            torch.zeros(2, 9),
        )
    with pytest.raises(UserError, match="no such task in the table"):
        table.remove_task(random_table(BASE, (3,)), "t4")


def test_a_damaged_table_is_refused(tmp_path):
    table_files.save_table(tmp_path, random_table(BASE, (3, 5)))
    content = (tmp_path / table_files.TABLE_TENSORS_FILE).read_bytes()
    (tmp_path / table_files.TABLE_TENSORS_FILE).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match="is not the file that"):
        table_files.load_table(tmp_path)
    (tmp_path / table_files.TABLE_TENSORS_FILE).unlink()
    with pytest.raises(UserError, match=f"no {table_files.TABLE_TENSORS_FILE}"):
        table_files.load_table(tmp_path)


def test_facts_of_a_table_that_were_changed_are_refused(tmp_path):
    table_files.save_table(tmp_path, random_table(BASE, (3, 5)))
    facts = tmp_path / table_files.TABLE_FACTS_FILE
    facts.write_text(facts.read_text().replace("{x}", "{x} "))
    with pytest.raises(UserError, match="the facts are not those that were saved"):
        table_files.load_table(tmp_path)


def test_records_that_do_not_fit_are_named(loaded):
    checkpoint, _, tokenizer = loaded
    whole = random_table(BaseIdentity.of(checkpoint), (20,))
    lines = [{"taskname": "t20", "x": "The rain " * 9}, {"taskname": "t20", "x": "Rain"}]
    rows, rejected = table_prompt_ids(
        whole,
        check_records(lines, templates_by_name(whole.templates), False),
        tokenizer,
        30,
    )
    assert (len(rows), rejected) == (1, ["record:1"])


@pytest.mark.parametrize("write", range(4))
def test_a_table_survives_a_kill_between_its_writes(tmp_path, monkeypatch, write):
    """Whatever file was written last, the table is the old one or the new one, whole."""
    old = random_table(BASE, (3, 5))
    table_files.save_table(tmp_path, old)
    new = table.add_task(old, Template("new", "{x}<|VIRTUAL_PROMPT_0|>", 2, (2,)), torch.ones(2, 8))
    done = []

    def killed(path, data):
        if len(done) == write:
            raise KeyboardInterrupt
        done.append(path)
        write_atomically(path, data)

    monkeypatch.setattr(table_files, "write_atomically", killed)
    with contextlib.suppress(KeyboardInterrupt):
        table_files.save_table(tmp_path, new)
    found = table_files.load_table(tmp_path)
    assert set(found.prompts) == set(old.prompts if write < 2 else new.prompts)
    monkeypatch.undo()
    table_files.save_table(tmp_path, new)
    assert set(table_files.load_table(tmp_path).prompts) == set(new.prompts)
    assert not (tmp_path / table_files.PENDING_FACTS_FILE).exists()


def test_tables_of_one_base_are_merged():
    one, other = random_table(BASE, (3,)), random_table(BASE, (5,), seed=1)
    merged = table.merge_tables([one, other])
    assert [template.taskname for template in merged.templates] == ["t3", "t5"]
    assert torch.equal(merged.prompts["t5"], other.prompts["t5"])
    with pytest.raises(UserError, match="two have the task 't3'"):
        table.merge_tables([one, one])
    with pytest.raises(UserError, match="merge tables of one base model"):
        table.merge_tables([one, random_table(BaseIdentity("other", 8, 21, 1, 1), (5,))])


def test_one_task_of_a_table_is_an_adapter(tmp_path):
    whole = random_table(BASE, (3, 5))
    adapter = table.task_adapter(whole, "t5")
    adapters.save_adapter(tmp_path, adapter.prompt, adapter.facts)
    assert torch.equal(adapters.load_adapter(tmp_path).prompt, whole.prompts["t5"])
    with pytest.raises(UserError, match="no such task in the table"):
        table.task_adapter(whole, "t9")
