"""Mixed batches of tasks: each answer is transformers' own, alone, on embeddings."""

from __future__ import annotations

import pytest
import torch

from parabench.contracts import Decoding, Runtime, UserError
from parabench.inference.end_of_text import EndOfText
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.prompts.answering import answer_records
from parabench.prompts.facts import BaseIdentity
from parabench.prompts.records import TaskRecord
from parabench.prompts.rendering import render
from parabench.prompts.table import TaskTable
from parabench.prompts.templates import Template, templates_by_name
from tests.support import tiny
from tests.support.prompts import check_records

NOTEBOOK = (
    Template(
        "sentiment",
        "<|VIRTUAL_PROMPT_0|> {sentence} sentiment:{label}",
        10,
        (10,),
        None,
        "label",
        True,
    ),
    Template(
        "intent_and_slot",
        "<|VIRTUAL_PROMPT_0|> Predict intent and slot <|VIRTUAL_PROMPT_1|> :\n{utterance}{label}",
        10,
        (7, 3),
        None,
        "label",
    ),
    Template(
        "squad",
        "<|VIRTUAL_PROMPT_0|> Context: {context}\n\nQuestion: {question}\n\nAnswer:{answer}",
        15,
        (15,),
        "context",
        "answer",
        True,
        max_new_tokens=5,
    ),
    Template("plain", "{x} is <|VIRTUAL_PROMPT_0|>{y}", 3, (3,), "x", "y", True, max_new_tokens=12),
)
LINES = [
    {"taskname": "plain", "x": "Rain"},
    {"taskname": "squad", "context": tiny.SENTENCES[0], "question": "What was approved?"},
    {"taskname": "sentiment", "sentence": tiny.SENTENCES[3]},
    {"taskname": "intent_and_slot", "utterance": "wake me at seven"},
    {"taskname": "squad", "context": tiny.SENTENCES[1] * 5, "question": "What?"},
    {"taskname": "sentiment", "sentence": tiny.SENTENCES[4], "label": " positive"},
    {"taskname": "plain", "x": tiny.SENTENCES[5]},
]
DECODING = Decoding(max_new_tokens=8)


@pytest.fixture(scope="module", params=["opt", "opt350", "gpt2", "llama"])
def loaded(request, tmp_path_factory):
    checkpoint = locate(str(tiny.CAUSAL[request.param](tmp_path_factory.mktemp(request.param))))
    model, tokenizer = load_causal(checkpoint, Runtime())
    base = BaseIdentity.of(checkpoint)
    draw = torch.Generator().manual_seed(3)
    prompts = {
        one.taskname: torch.randn(one.total_virtual_tokens, base.width, generator=draw)
        for one in NOTEBOOK
    }
    return TaskTable(base, NOTEBOOK, prompts), model, tokenizer


def records_of(table):
    return list(check_records(LINES, templates_by_name(table.templates), training=False))


def alone(table, record, model, tokenizer, ends=()):
    """transformers' greedy text for one record, from embeddings that are put together here."""
    template = templates_by_name(table.templates)[record.taskname]
    limit = template.max_new_tokens or DECODING.max_new_tokens
    fields = {name: text for name, text in record.fields.items() if name != template.answer_field}
    room = model.config.max_position_embeddings - limit
    ids = render(template, fields, tokenizer, room).ids
    words, prompt = model.get_input_embeddings().weight, table.prompts[record.taskname]
    rows = [words[token] if token >= 0 else prompt[-1 - token] for token in ids]
    made = model.generate(
        inputs_embeds=torch.stack(rows)[None],
        attention_mask=torch.ones(1, len(rows), dtype=torch.long),
        max_new_tokens=limit,
        min_new_tokens=1,
        do_sample=False,
        num_beams=1,
        eos_token_id=[tokenizer.eos_token_id, *ends],
        pad_token_id=1,
    )
    ids = made[0].tolist()
    text = ids[:-1] if ids[-1] in ends else ids
    return tokenizer.decode(text, skip_special_tokens=True).strip()


def test_a_mixed_batch_is_transformers_row_by_row(loaded):
    table, model, tokenizer = loaded
    records = records_of(table)
    answers = answer_records(table, records, model, tokenizer, DECODING, Runtime(batch_size=7))
    assert [answer.id for answer in answers] == [record.id for record in records]
    assert [answer.text for answer in answers] == [
        alone(table, record, model, tokenizer) for record in records
    ]
    assert len({answer.text for answer in answers}) > 3


@pytest.mark.parametrize(
    "decoding",
    [
        DECODING,
        Decoding(max_new_tokens=8, num_beams=3),
        Decoding(max_new_tokens=8, do_sample=True, top_p=0.9),
    ],
)
def test_a_row_is_the_row_alone(loaded, decoding):
    table, model, tokenizer = loaded
    records = records_of(table)
    together = answer_records(table, records, model, tokenizer, decoding, Runtime(batch_size=7))
    for record, answer in zip(records, together, strict=True):
        assert answer_records(table, [record], model, tokenizer, decoding, Runtime()) == [answer]


def test_a_record_too_long_keeps_its_place_and_says_why(loaded):
    table, model, tokenizer = loaded
    long = TaskRecord("a", "sentiment", {"sentence": "The rain " * 100})
    short = TaskRecord("b", "sentiment", {"sentence": "The rain"})
    found = answer_records(table, [long, short], model, tokenizer, DECODING, Runtime())
    assert found[0].problem.endswith(f"more than {model.config.max_position_embeddings - 8}")
    assert (found[0].text, found[1].problem) == ("", "")


def test_what_was_truncated_is_counted(loaded):
    table, model, tokenizer = loaded
    context = tiny.SENTENCES[1] * 10
    record = TaskRecord("a", "squad", {"context": context, "question": "What?"})
    (answer,) = answer_records(table, [record], model, tokenizer, DECODING, Runtime())
    assert 0 < answer.cut < len(context)


def test_a_record_of_no_task_and_samples_are_refused(loaded):
    table, model, tokenizer = loaded
    stranger = TaskRecord("a", "poem", {"x": "y"})
    with pytest.raises(UserError, match="no such task in the table"):
        answer_records(table, [stranger], model, tokenizer, DECODING, Runtime())
    several = Decoding(do_sample=True, samples=2)
    with pytest.raises(UserError, match="one answer a record"):
        answer_records(table, [], model, tokenizer, several, Runtime())


def test_every_declared_end_id_ends_an_answer(loaded, monkeypatch):
    """A chat model's end of turn often stands in generation_config.json alone."""
    table, model, tokenizer = loaded
    record = TaskRecord("a", "sentiment", {"sentence": "The rain"})
    (before,) = answer_records(table, [record], model, tokenizer, DECODING, Runtime())
    written = tokenizer(before.text, add_special_tokens=False).input_ids
    monkeypatch.setattr(model.generation_config, "eos_token_id", [2, *written[1:]])
    (after,) = answer_records(table, [record], model, tokenizer, DECODING, Runtime())
    assert len(after.text) < len(before.text)
    assert after.text == alone(table, record, model, tokenizer, written[1:])
    assert after.finished


@pytest.mark.parametrize(
    ("text", "stop", "found"),
    [
        ("a\nb", (), ("a\nb", False)),
        ("a\nb", ("\n",), ("a", True)),
        ("Intent: x\nSlots: y", ("\n\n", "###"), ("Intent: x\nSlots: y", False)),
        ("one. two", ("two", ". "), ("one", True)),
    ],
)
def test_text_ends_before_the_first_stop_string(text, stop, found):
    tokenizer = tiny.tokenizer()
    ids = tokenizer(text, add_special_tokens=False).input_ids
    assert EndOfText(tokenizer, {2}, stop).cut(ids) == found
