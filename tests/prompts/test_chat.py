"""Chat prompts against transformers' own ``apply_chat_template``, and against hostile messages."""

from __future__ import annotations

import pytest

from parabench.contracts import UserError
from parabench.prompts.chat import end_of_turn
from parabench.prompts.chat_tokens import check_plain_text, control_tokens
from parabench.prompts.rendering import render
from parabench.prompts.templates import Template, parse_template
from parabench.training.encoding import causal_encoder
from tests.support import chatting, tiny

TOKENIZERS = {
    "bytes": tiny.tokenizer,
    "first": chatting.metaspace_tokenizer,
    "always": lambda: chatting.metaspace_tokenizer("always"),
}
NAMES = sorted(chatting.TEMPLATES)


def chat(text, system=""):
    return Template("chat", text + "{target}", 0, (), "source", "target", chat=True, system=system)


@pytest.fixture(params=sorted(TOKENIZERS))
def kind(request):
    return request.param


def made(kind, name):
    return chatting.give_chat(TOKENIZERS[kind](), name)


def transformers_ids(tokenizer, messages, generation=True):
    roles = ("user", "assistant")
    turns = [
        {"role": roles[number % 2], "content": text}
        for number, text in enumerate(messages["turns"])
    ]
    if messages.get("system"):
        turns.insert(0, {"role": "system", "content": messages["system"]})
    encoded = tokenizer.apply_chat_template(turns, add_generation_prompt=generation)
    return list(encoded["input_ids"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text", ["{source}", "Say: {source}", "{source}\n", " In other words {source}!"]
)
def test_prompts_equal_transformers(kind, name, text):
    tokenizer = made(kind, name)
    for source in (*tiny.SENTENCES, " spaces  around ", "", "two\nlines", "ümläut 😀 <b>"):
        row = render(chat(text), {"source": source}, tokenizer, 1000)
        expected = transformers_ids(tokenizer, {"turns": [text.replace("{source}", source)]})
        assert list(row.ids) == expected


@pytest.mark.parametrize("name", ["chatml", "llama3"])
def test_a_system_message_equals_transformers(kind, name):
    tokenizer = made(kind, name)
    row = render(chat("{source}", "Be brief."), {"source": "It rained."}, tokenizer, 1000)
    messages = {"turns": ["It rained."], "system": "Be brief."}
    assert list(row.ids) == transformers_ids(tokenizer, messages)


@pytest.mark.parametrize("name", NAMES)
def test_turns_equal_transformers(kind, name):
    tokenizer = made(kind, name)
    template = chat("Say: {a}<|TURN|>{b}<|TURN|>Say: {source}")
    fields = {"a": "It rained.", "b": "Rain fell.", "source": "She bought seven books."}
    turns = ["Say: It rained.", "Rain fell.", "Say: She bought seven books."]
    row = render(template, fields, tokenizer, 1000)
    assert list(row.ids) == transformers_ids(tokenizer, {"turns": turns})


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_message_is_never_a_control_token(kind, name):
    tokenizer = made(kind, name)
    plain = render(chat("Say: {source}"), {"source": "a"}, tokenizer, 1000)
    control = set(control_tokens(tokenizer).values()) - {tokenizer.unk_token_id}
    expected = [token for token in plain.ids if token in control]
    for token in [*control_tokens(tokenizer), "<<think><think>", "</s> x <s>"]:
        source = f"rain{token}\n{token} fell {token}"
        row = render(chat("Say: {source}"), {"source": source}, tokenizer, 1000)
        assert [one for one in row.ids if one in control] == expected, token
        if kind == "bytes":
            assert source in tokenizer.decode(row.ids)


@pytest.mark.parametrize("name", sorted(chatting.END_OF_TURN))
def test_the_end_of_a_turn_is_found(name):
    tokenizer = made("bytes", name)
    assert end_of_turn(tokenizer) == tokenizer.convert_tokens_to_ids(chatting.END_OF_TURN[name])


def test_a_turn_may_end_with_eos_or_with_no_token():
    tokenizer = made("bytes", "llama2")
    assert end_of_turn(tokenizer) == tokenizer.eos_token_id
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}\n{% endfor %}"
    )
    assert end_of_turn(tokenizer) is None


@pytest.mark.parametrize("name", NAMES)
def test_training_rows_are_the_prompt_the_answer_and_its_end(name):
    tokenizer = made("bytes", name)
    text = "<|VIRTUAL_PROMPT_0|>Say: {source}{target}"
    template = Template("chat", text, 2, (2,), "source", "target", True, chat=True)
    pair = ("It <|im_end|> rained.", "Rain fell.")
    row = render(template, {"source": pair[0], "target": pair[1]}, tokenizer, 1000, training=True)
    assert row.ids[:2] == (-1, -2)
    prompt = render(template, {"source": pair[0]}, tokenizer, 1000)
    assert row.ids[: row.answer_start] == prompt.ids
    end = end_of_turn(tokenizer)
    answer = tokenizer(pair[1], add_special_tokens=False).input_ids
    assert list(row.ids[row.answer_start :]) == [*answer, end]
    (encoded,) = causal_encoder(tokenizer, template)([pair])
    assert encoded.source == list(row.ids[2 : row.answer_start])
    assert encoded.target == [*answer, end]


def test_too_long_a_source_is_shortened_and_the_frame_kept():
    tokenizer = made("bytes", "chatml")
    row = render(chat("Say: {source}"), {"source": "rain " * 50}, tokenizer, 60)
    short = render(chat("Say: {source}"), {"source": "rain"}, tokenizer, 60)
    assert len(row.ids) <= 60
    assert row.cut
    end = end_of_turn(tokenizer)
    assert row.ids[row.ids.index(end) :] == short.ids[short.ids.index(end) :]


def test_no_system_role_is_refused_in_the_templates_words():
    tokenizer = made("bytes", "gemma")
    with pytest.raises(UserError, match="System role not supported") as error:
        render(chat("{source}", "Be brief."), {"source": "a"}, tokenizer, 1000)
    assert "into the template" in str(error.value)


def test_a_system_role_that_is_dropped_is_refused():
    with pytest.raises(UserError, match="message of the system"):
        render(chat("{source}", "Be brief."), {"source": "a"}, made("bytes", "llama2"), 1000)


def test_a_template_that_changes_messages_is_refused():
    tokenizer = made("bytes", "chatml")
    tokenizer.chat_template = "{{ messages[0]['content'] | upper }}"
    with pytest.raises(UserError, match="message of the user"):
        render(chat("{source}"), {"source": "a"}, tokenizer, 1000)


def test_without_a_chat_template_chat_is_refused():
    with pytest.raises(UserError, match="no chat template"):
        render(chat("{source}"), {"source": "a"}, tiny.tokenizer(), 1000)


def test_a_template_that_reads_the_clock_writes_one_day():
    tokenizer = made("bytes", "chatml")
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }} {{ messages[0]['content'] }}"
    row = render(chat("{source}"), {"source": "rain"}, tokenizer, 1000)
    assert tokenizer.decode(row.ids) == "26 Jul 2024 rain"


def test_a_template_cannot_reach_out_of_its_sandbox():
    tokenizer = made("bytes", "chatml")
    tokenizer.chat_template = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(UserError, match="SecurityError"):
        render(chat("{source}"), {"source": "a"}, tokenizer, 1000)


@pytest.mark.parametrize(
    ("text", "message"),
    [("<|im_start|>user\n{source}", "set chat = true"), ("a {source}</s>", "<|EOS|>")],
)
def test_a_special_tokens_name_in_a_template_is_refused(text, message):
    tokenizer = made("bytes", "chatml")
    with pytest.raises(UserError) as error:
        check_plain_text(text, tokenizer, "use the template")
    assert message in str(error.value)
    check_plain_text("a <b> {source} |", tokenizer, "use the template")


def test_a_chat_in_a_tasks_file_is_checked():
    base = {
        "taskname": "t",
        "total_virtual_tokens": 0,
        "virtual_token_splits": [],
        "prompt_template": "{source}<|TURN|>{target}",
        "answer_field": "target",
    }
    assert parse_template({**base, "chat": True}).prompt_parts == (("field", "source"),)
    for broken in (
        base,
        {**base, "chat": True, "prompt_template": "{source}<|TURN|>a{target}"},
        {**base, "prompt_template": "{source}{target}", "system": "a"},
    ):
        with pytest.raises(UserError):
            parse_template(broken)
