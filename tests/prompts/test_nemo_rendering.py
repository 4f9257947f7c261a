"""The renderer against NeMo's own algorithm, done literally: string replacement, then one
tokenisation.

Reference: NeMo v1.10 ``gpt_prompt_learning_dataset.py`` (``_insert_text_in_template``,
``_insert_virtual_token_placeholders``, ``_find_answer_start``), which adds ``<prompt_k>`` to the
tokenizer.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from parabench.prompts.rendering import render
from parabench.prompts.templates import Template
from tests.support.tiny import tokenizer as tiny_tokenizer

TOKENIZER, THEIRS = tiny_tokenizer("$A"), tiny_tokenizer("$A")
PSEUDO = [f"<prompt_{k}>" for k in range(200)]
THEIRS.add_special_tokens(
    {"additional_special_tokens": [AddedToken(token, normalized=False) for token in PSEUDO]}
)
START = THEIRS.convert_tokens_to_ids(PSEUDO[0])

SENTIMENT = Template(
    "sentiment",
    "<|VIRTUAL_PROMPT_0|> {sentence} sentiment: {label}",
    10,
    (10,),
    None,
    "label",
    True,
)
QUESTION = Template(
    "qa",
    "<|VIRTUAL_PROMPT_0|> Context: {context}\n\nQuestion: {question}\n\nAnswer: {answer}",
    15,
    (15,),
    None,
    "answer",
)
INTENT = Template(
    "intent_and_slot",
    "<|VIRTUAL_PROMPT_0|> Predict intent and slot <|VIRTUAL_PROMPT_1|> :\n{utterance} {label}",
    10,
    (7, 3),
    None,
    "label",
    True,
)
LENGTHS = [
    Template("t", "<|VIRTUAL_PROMPT_0|>{x} and {y}", n, (n,), None, "y") for n in (20, 111, 163)
]
SPLITS = Template(
    "t",
    "<|VIRTUAL_PROMPT_2|>a<|VIRTUAL_PROMPT_0|><|VIRTUAL_PROMPT_1|> {x} {y}",
    163,
    (20, 43, 100),
    None,
    "y",
)


def reference(template, record):
    """NeMo's ids with virtual tokens as -1-k, and its answer start."""
    text = template.prompt_template
    for field in template.fields:
        text = text.replace(f"{{{field}}}", record[field])
    start = 0
    for index, split in enumerate(template.virtual_token_splits):
        text = text.replace(f"<|VIRTUAL_PROMPT_{index}|>", "".join(PSEUDO[start : start + split]))
        start += split
    ids = [*THEIRS(text, add_special_tokens=False).input_ids, 2]
    answer = THEIRS(" " + record[template.answer_field], add_special_tokens=False).input_ids
    return [START - 1 - token if token >= START else token for token in ids], len(ids) - len(
        answer
    ) - 1


@pytest.mark.parametrize(
    "template",
    [SENTIMENT, QUESTION, INTENT, *LENGTHS, SPLITS],
    ids=lambda t: f"{t.taskname}{t.total_virtual_tokens}",
)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_ids_and_answer_start_are_nemos(template, data):
    word = st.sampled_from(["the", "Rain", "stopped,", "it's", "1998", "über"])
    words = st.lists(word, min_size=1, max_size=6).map(" ".join)
    record = {field: data.draw(words) for field in template.fields}
    ids, answer_start = reference(template, record)
    row = render(template, record, TOKENIZER, 2000, training=True)
    assert list(row.ids) == ids
    assert row.answer_start == answer_start


def test_a_merge_across_the_answers_start_is_right_here():
    template = Template("t", "{x}{y}", 0, (), None, "y", True)
    record = {"x": "th", "y": "e rain"}
    row = render(template, record, TOKENIZER, 100, training=True)
    assert TOKENIZER.decode(row.ids[row.answer_start : -1]) == "e rain"
    ids, start = reference(template, record)
    assert THEIRS.decode(ids[start:-1]) != "e rain"
