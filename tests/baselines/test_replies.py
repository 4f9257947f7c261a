"""What a chat completion says: a paraphrase, a reason why there is none, or a failure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from parabench.baselines.replies import parse_body, read_answer
from parabench.baselines.server_errors import (
    FinalError,
    NoAnswerError,
    PassingError,
    error_of,
    pause_asked,
    refused_parameter,
)

SOURCE = "The old farmer sold the horse in April."
TEXT = "In April the old farmer sold the horse."


def answer(content: Any, ending: Any = "stop", **message: Any) -> dict[str, Any]:
    choice = {"message": {"content": content, **message}, "finish_reason": ending}
    return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        f"\n {TEXT}\nand more",
        f"<think>The farmer\nsold it, so…</think>\n\n{TEXT}",
        f"<THINKING>in capitals</THINKING>{TEXT}",
        f"<reasoning>\none\n</reasoning>\n{TEXT}",
        f"the template opened the tag\n</think>\n{TEXT}",
        f"{TEXT}\n<think>what was cut</think>",
        f"Here is a paraphrase:\n{TEXT}",
        f"Sure! Here's a paraphrased version of the sentence:\n\n{TEXT}",
        f"**Paraphrase:**\n{TEXT}",
        f"Certainly!\nHere you are:\n{TEXT}",
        f"Sure thing!\n{TEXT}",
        f"```\n{TEXT}\n```",
        f"[THINK]The farmer sold it.[/THINK]{TEXT}",
        f"◁think▷The farmer\nsold it.◁/think▷\n{TEXT}",
        f"<seed:think>so</seed:think>{TEXT}",
        f"<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>{TEXT}"
        "<|return|>",
        f"Paraphrase: {TEXT}",
        f"**Paraphrased sentence:** {TEXT}",
        f"Here is a paraphrased version: {TEXT}",
        f"Sure! Here's a rephrased version of the sentence: {TEXT}",
        f"Sure!\nRewritten: {TEXT}",
        f"```text\n{TEXT}\n```",
        [{"type": "text", "text": TEXT}],
        [{"type": "text", "text": "In April the old farmer"}, {"text": " sold the horse."}],
        [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": TEXT}],
        [{"type": "text", "text": {"value": TEXT}}],
    ],
)
def test_the_paraphrase_is_found(content: Any) -> None:
    found = read_answer(answer(content), SOURCE, 1)
    assert (found.text, found.finished, found.reason) == (TEXT, True, "")
    assert found.tokens == (9, 4)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (answer(None), "an empty text"),
        (answer(""), "an empty text"),
        (answer(" \n\n"), "an empty text|thoughts"),
        (answer([]), "an empty text"),
        (answer(None, "content_filter"), "content_filter"),
        (answer("In April the", "content_filter"), "content_filter"),
        (answer("In April", "SAFETY"), "content_filter"),
        (answer(None, refusal="I can't help with that."), "refusal: I can't help"),
        (answer("I'm sorry, but I can't assist with that request."), "refusal: I'm sorry"),
        (answer("I cannot help you rewrite this."), "refusal"),
        (answer("Sorry, but I can't do that."), "refusal"),
        (answer("抱歉，我无法提供帮助。"), "refusal"),
        (answer("Es tut mir leid, aber dabei kann ich nicht helfen."), "refusal"),
        (answer("Lo siento, pero no puedo ayudar con eso."), "refusal"),
        (answer("I am", "refusal"), "content_filter \\(refusal\\)"),
        (answer("As an AI, I am unable to provide that."), "refusal"),
        (answer("Sorry, I won't paraphrase this sentence."), "refusal"),
        (answer("<think>and so on and so on", "length"), "thoughts without an answer"),
        (answer("<think>all of it</think>"), "thoughts without an answer"),
        (answer(None, "length", reasoning_content="so…"), "thoughts .* before the limit"),
        (answer("", "stop", reasoning="so…"), "thoughts without an answer"),
        (answer(None, "tool_calls", tool_calls=[{"id": "1"}]), "tool call"),
        (answer(17), "no text"),
        (answer("a half \ud800 of a pair"), "surrogate"),
        (answer("word " * 8000), "40,000|39,999"),
        ({"choices": ["text"]}, "without a message"),
        ({"choices": [{"text": "the older protocol"}]}, "without a message"),
    ],
)
def test_what_is_no_answer_has_its_reason(given: Any, reason: str) -> None:
    import re

    found = read_answer(given, SOURCE, 1)
    assert (found.text, found.finished) == ("", False)
    assert re.search(reason, found.reason), found.reason


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Sorry, I can't help you with that.", "I'm sorry, I am unable to help you there."),
        ("He named three things:", "Three things were named by him:\nsecond line"),
        ("I cannot provide an answer.", "I am unable to provide a reply."),
        ("Paraphrase: he left.", "Paraphrase: he went away."),
        ("It is impossible for me to do that.", "I cannot do that."),
        ("Leider kann er nicht kommen.", "Es tut mir leid, er kann nicht kommen."),
        ("The rewritten version won.", "The version that was rewritten: it won."),
    ],
)
def test_a_source_that_looks_so_may_be_paraphrased_so(source: str, text: str) -> None:
    found = read_answer(answer(text), source, 1)
    assert found.text == text.split("\n")[0]


@pytest.mark.parametrize(
    ("ending", "content", "finished"),
    [
        ("stop", TEXT, True),
        ("eos", TEXT, True),
        ("end_turn", TEXT, True),
        ("length", TEXT, False),
        ("length", f"{TEXT}\nAnother one that was cut", True),  # the line itself has ended
        (None, TEXT, False),
        ("unheard-of", TEXT, False),
        (["stop"], TEXT, False),
    ],
)
def test_a_text_has_ended_or_was_cut(ending: Any, content: str, finished: bool) -> None:
    found = read_answer(answer(content, ending), SOURCE, 1)
    assert (found.text, found.finished) == (TEXT, finished)


@pytest.mark.parametrize("usage", [{"prompt_tokens": float("inf")}, {"prompt_tokens": "9"}, [], 7])
def test_odd_token_counts_are_unknown(usage: Any) -> None:
    assert read_answer({**answer(TEXT), "usage": usage}, SOURCE, 1).tokens is None


def test_a_number_beyond_all_bounds_is_no_traceback() -> None:
    body = b'{"choices":[{"message":{"content":"a b"}}],"usage":{"prompt_tokens":1e999}}'
    found = read_answer(parse_body(body, "application/json"), SOURCE, 1)
    assert (found.text, found.tokens) == ("a b", None)


def test_each_sample_is_read_by_itself() -> None:
    choices = [answer(TEXT)["choices"][0], answer(None, "content_filter")["choices"][0]]
    found = read_answer({"choices": choices}, SOURCE, 2)
    assert found.samples == (TEXT, "")
    assert (found.text, found.reason) == (TEXT, "content_filter")
    with pytest.raises(FinalError, match="fewer choices"):
        read_answer({"choices": choices}, SOURCE, 3)


def events(*parts: Any) -> bytes:
    lines = [f"data: {json.dumps(part)}\n\n" for part in parts]
    return "".join([": a comment\n\n", *lines, "data: [DONE]\n\n"]).encode()


def test_a_stream_is_put_together() -> None:
    body = events(
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "In April"}}]},
        {"choices": [{"index": 0, "delta": {"content": " the old farmer sold the horse."}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 8}},
    )
    for kind in ("text/event-stream; charset=utf-8", "application/json", ""):
        found = read_answer(parse_body(body, kind), SOURCE, 1)
        assert (found.text, found.finished, found.tokens) == (TEXT, True, (3, 8))


def test_a_stream_that_holds_an_error_is_one() -> None:
    body = events({"error": {"message": "overloaded", "type": "overloaded_error"}})
    with pytest.raises(PassingError, match="overloaded"):
        read_answer(parse_body(body, "text/event-stream"), SOURCE, 1)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[1", b"\xff\xfe{", b"data: {half", b"[" * 9999])
def test_a_body_that_is_no_json_may_pass(body: bytes) -> None:
    with pytest.raises(PassingError):
        parse_body(body, "")


@pytest.mark.parametrize("given", [[], "text", None, 7, {}, {"choices": []}, {"choices": None}])
def test_an_answer_of_another_shape_may_pass(given: Any) -> None:
    with pytest.raises(PassingError):
        read_answer(given, SOURCE, 1)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error("The response was filtered", code="content_filter"), NoAnswerError),
        (400, error("x", innererror={"code": "ResponsibleAIPolicyViolation"}), NoAnswerError),
        (403, error("no", type="content_policy_violation"), NoAnswerError),
        (400, error("too many tokens", code="context_length_exceeded"), NoAnswerError),
        (400, error("This model's maximum context length is 4096 tokens"), NoAnswerError),
        (200, error("blocked", code="content_filter"), NoAnswerError),
        (200, error("slow down", type="rate_limit_exceeded"), PassingError),
        (200, error("worker died", code=503), PassingError),
        (200, error("no such model", code="model_not_found"), FinalError),
        (429, error("slow down"), PassingError),
        (429, error("you have no credit", code="insufficient_quota"), FinalError),
        (520, "<html>error code: 520</html>", PassingError),
        (529, error("overloaded", type="overloaded_error"), PassingError),
        (500, "", PassingError),
        (501, "not implemented", FinalError),
        (400, "what?", FinalError),
        (404, error("no such model"), FinalError),
        (422, [{"loc": ["body"], "msg": "field required"}], FinalError),
    ],
)
def test_errors_are_for_now_for_this_row_or_for_all(status: int, body: Any, kind: type) -> None:
    found = error_of(status, body, {})
    assert type(found) is kind
    words = body["error"]["message"] if isinstance(body, dict) else str(body)
    assert words in str(found)  # the server's own words


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        (error("Unsupported parameter: 'max_tokens' is not supported. Use …"), "max_tokens"),
        (error("Unsupported value", param="temperature"), "temperature"),
        (error("`temperature` must be 1 for this model"), "temperature"),
        (error("This model only supports streaming"), "stream"),
        (error("stream must be set to true"), "stream"),
        (error("no such model"), ""),
        ("a text", ""),
    ],
)
def test_the_refused_parameter_is_named(body: Any, parameter: str) -> None:
    assert refused_parameter(body) == parameter


def test_a_pause_is_read_in_every_form() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    later = format_datetime(now + timedelta(seconds=9), usegmt=True)
    dates = {"date": format_datetime(now, usegmt=True), "retry-after": later}
    assert pause_asked(dates) == 9.0
    assert pause_asked({"retry-after": "7"}) == 7.0
    assert pause_asked({"retry-after": "1.5"}) == 1.5
    assert pause_asked({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    for odd in ("nan", "inf", "-3", "soon", "", "1e999", "Fri, 99 Foo"):
        assert pause_asked({"retry-after": odd}) == 0.0
