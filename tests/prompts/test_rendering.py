"""The renderer against a reference written from its specification, and against arbitrary text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parabench.contracts import UserError
from parabench.prompts.rendering import TooLongError, labels, render
from parabench.prompts.templates import Template, paraphrase_template, parse_template
from parabench.training.encoding import causal_encoder
from tests.support.tiny import tokenizer as tiny_tokenizer

TOKENIZER = tiny_tokenizer("</s> $A")
BOS = EOS = 2
TEXT = st.text(max_size=30)


def ids(text):
    return TOKENIZER(text, add_special_tokens=False, split_special_tokens=True).input_ids


def text(tokens):
    return TOKENIZER.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def test_paraphrase_layout_is_soft_bos_source_newline_answer_eos():
    row = render(
        paraphrase_template(3),
        {"source": "The rain", "target": "Rain"},
        TOKENIZER,
        100,
        training=True,
    )
    prompt = [-1, -2, -3, BOS, *ids("The rain\n")]
    assert list(row.ids) == [*prompt, *ids("Rain"), EOS]
    assert row.answer_start == len(prompt)
    assert labels(row) == [-100] * len(prompt) + [*ids("Rain"), EOS]


def test_length_0_has_no_virtual_token():
    assert render(paraphrase_template(0), {"source": "a"}, TOKENIZER, 9).ids == (BOS, *ids("a\n"))


def test_markers_anywhere_with_rows_in_index_order():
    template = Template(
        "t", "<|VIRTUAL_PROMPT_1|>A {x}<|VIRTUAL_PROMPT_0|> so {y}", 5, (2, 3), None, "y", True
    )
    row = render(template, {"x": "b", "y": "c"}, TOKENIZER, 100, training=True)
    prompt = [-3, -4, -5, BOS, *ids("A b"), -1, -2, *ids(" so")]
    assert list(row.ids) == [*prompt, *ids(" c"), EOS]
    assert row.answer_start == len(prompt)


def test_the_end_of_text_token_can_stand_in_a_template():
    template = Template(
        "t", "<|VIRTUAL_PROMPT_0|>{source}<|EOS|>{target}", 1, (1,), "source", "target", True
    )
    row = render(template, {"source": "a b", "target": "c"}, TOKENIZER, 100, training=True)
    assert list(row.ids) == [-1, BOS, *ids("a b"), EOS, *ids("c"), EOS]
    assert row.answer_start == 3 + len(ids("a b"))


def test_loss_over_the_whole_text_skips_virtual_tokens_and_bos():
    template = Template("t", "<|VIRTUAL_PROMPT_0|>A<|VIRTUAL_PROMPT_1|>{x}", 2, (1, 1))
    row = render(template, {"x": "b"}, TOKENIZER, 100, training=True)
    assert list(row.ids) == [-1, BOS, *ids("A"), -2, *ids("b"), EOS]
    assert labels(row) == [-100, -100, *ids("A"), -100, *ids("b"), EOS]


def test_special_token_names_in_a_value_are_text():
    row = render(
        paraphrase_template(1),
        {"source": "stop</s>here", "target": "x"},
        TOKENIZER,
        100,
        training=True,
    )
    assert row.ids.count(EOS) == 2
    assert text(row.ids[2 : row.answer_start]) == "stop</s>here\n"


@given(source=TEXT, target=TEXT, between=st.sampled_from(["\n", " ", " answer: ", ":", ""]))
@settings(max_examples=150)
def test_render_then_recover(source, target, between):
    template = Template(
        "t", f"<|VIRTUAL_PROMPT_0|>{{source}}{between}{{target}}", 2, (2,), None, "target", True
    )
    row = render(template, {"source": source, "target": target}, TOKENIZER, 10_000, training=True)
    answer = text(row.ids[row.answer_start : -1])
    prompt = text(row.ids[3 : row.answer_start])
    assert prompt + answer == source + between + target
    assert answer.removeprefix(template.answer_prefix) == target
    assert (
        render(template, {"source": source}, TOKENIZER, 10_000).ids == row.ids[: row.answer_start]
    )
    spans = {span.field: row.ids[span.start : span.end] for span in row.spans}
    assert source in text(spans["source"])
    assert text(spans["target"]) == template.answer_prefix + target


@given(source=st.text(min_size=5, max_size=40), target=st.text(max_size=5), room=st.integers(0, 30))
@settings(max_examples=150)
def test_truncation_cuts_only_the_named_field_at_its_end(source, target, room):
    least = len(
        render(
            paraphrase_template(2), {"source": "", "target": target}, TOKENIZER, 999, training=True
        ).ids
    )
    row = render(
        paraphrase_template(2),
        {"source": source, "target": target},
        TOKENIZER,
        least + room,
        training=True,
    )
    kept = source[: len(source) - row.cut]
    assert len(row.ids) <= least + room
    assert (
        row.ids
        == render(
            paraphrase_template(2),
            {"source": kept, "target": target},
            TOKENIZER,
            999,
            training=True,
        ).ids
    )


def test_truncation_leaves_no_room_unused_for_plain_words():
    source = "The committee approved the new budget after a long discussion."
    row = render(
        paraphrase_template(4), {"source": source, "target": "x"}, TOKENIZER, 12, training=True
    )
    assert len(row.ids) == 12


def test_a_repeated_field_is_cut_in_every_place():
    template = Template("t", "{x} and again {x}", 0, (), "x")
    row = render(template, {"x": "long discussion of the budget"}, TOKENIZER, 12)
    value = "long discussion of the budget"[: -row.cut]
    assert text(row.ids[1:]) == f"{value} and again {value}"


def test_what_cannot_be_cut_to_fit_is_refused():
    record = {"source": "x", "target": "The committee approved"}
    with pytest.raises(TooLongError, match="more than 8"):
        render(paraphrase_template(2), record, TOKENIZER, 8, training=True)


def test_missing_field_and_no_room_are_errors():
    with pytest.raises(UserError, match="no field 'source'"):
        render(paraphrase_template(2), {"target": "y"}, TOKENIZER, 100)
    with pytest.raises(UserError, match="leave no room"):
        render(paraphrase_template(8), {"source": "y"}, TOKENIZER, 8)


GOOD = {
    "taskname": "t",
    "prompt_template": "<|VIRTUAL_PROMPT_0|>{x}<|VIRTUAL_PROMPT_1|>{y}",
    "total_virtual_tokens": 5,
    "virtual_token_splits": [2, 3],
    "truncate_field": "x",
    "answer_field": "y",
    "answer_only_loss": True,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"virtual_token_splits": [2, 2]}, "sum to 4, not 5"),
        ({"virtual_token_splits": [5]}, "markers 0, 1; 1 splits need 0"),
        (
            {"prompt_template": "<|VIRTUAL_PROMPT_0|>{x}<|VIRTUAL_PROMPT_0|>{y}"},
            "markers 0, 0; 2 splits need 0, 1",
        ),
        (
            {"prompt_template": "<|VIRTUAL_PROMPT_0|>{x}<|VIRTUAL_PROMPT_2|>{y}"},
            "markers 0, 2; 2 splits need 0, 1",
        ),
        (
            {
                "prompt_template": (
                    "<|VIRTUAL_PROMPT_0|>{x}<|VIRTUAL_PROMPT_1|><|VIRTUAL_PROMPT_x|>{y}"
                )
            },
            "a marker that is",
        ),
        (
            {"prompt_template": "<|VIRTUAL_PROMPT_0|>[x]<|VIRTUAL_PROMPT_1|>{y}"},
            r"the slot \[x\] in square brackets",
        ),
        (
            {"prompt_template": "<|VIRTUAL_PROMPT_0|>{x}<|VIRTUAL_PROMPT_1|>{y}."},
            r"does not end with \{y\}",
        ),
        (
            {"prompt_template": "<|VIRTUAL_PROMPT_0|>{y}{x}<|VIRTUAL_PROMPT_1|>{y}"},
            "stands in the prompt too",
        ),
        ({"truncate_field": "z"}, "truncate_field 'z' is no slot; slots: x, y"),
        ({"truncate_field": "y"}, "truncate_field is the answer"),
        ({"answer_field": None}, "answer_only_loss without an answer_field"),
        ({"virtual_token_splits": [-1, 6]}, "negative number"),
        ({"taskname": ""}, "an empty task name"),
        ({"taskname": 3}, "taskname: Input should be a valid string"),
        ({"traskname": "t"}, "traskname"),
    ],
)
def test_a_wrong_template_is_refused(change, message):
    assert parse_template(GOOD).total_virtual_tokens == 5
    with pytest.raises(UserError, match=message):
        parse_template({**GOOD, **change})


def test_the_trainers_rows_are_the_renderers_and_end_inside():
    template = Template(
        "t", "<|VIRTUAL_PROMPT_0|>{source}<|EOS|>to: {target}", 2, (2,), None, "target", True
    )
    (row,) = causal_encoder(TOKENIZER, template)([("The rain", "Rain")])
    whole = render(template, {"source": "The rain", "target": "Rain"}, TOKENIZER, 99, training=True)
    assert (row.source, row.target) == (
        list(whole.ids[2 : whole.answer_start]),
        list(whole.ids[whole.answer_start :]),
    )
