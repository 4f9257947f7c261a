"""A served model as a system, against a server on loopback that misbehaves in the usual ways."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from parabench.contracts import BuildContext, Decoding, UserError
from parabench.pipeline import plan, runner
from parabench.store.log import read_log
from parabench.suites import suite as suites
from tests.support import tiny_suite

pytestmark = pytest.mark.loopback
KEY = "sk-a-key-that-nobody-may-read"


@dataclass
class Stub:
    """Answers with the sentence in capitals; ``faults`` are taken one a request, first the
    first.
    """

    faults: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    key: str = ""
    url: str = ""
    lock: Any = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    stub: Stub

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with self.stub.lock:
            self.stub.asked.append(question)
            self.stub.keys.append(key)
            fault = self.stub.faults.pop(0) if self.stub.faults else ""
        text = question["messages"][0]["content"].rsplit("\n", 1)[-1].upper()
        choice = {"message": {"content": f"\n {text}\nand more"}, "finish_reason": "stop"}
        count = 1 if fault == "single" else question.get("n", 1)
        choices = [
            choice | {"message": {"content": f"\n {text}{'!' * at}\nand more"}}
            for at in range(count)
        ]
        good = {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 4}}
        if self.stub.key and key != self.stub.key:
            self.answer(401, f"the key {key} is not ours".encode())
        elif fault[3:4] == " ":  # "400 {…}": a status and a body
            self.answer(int(fault[:3]), fault[4:].encode())
        elif fault.isdecimal():
            self.answer(
                int(fault), b'{"error": "not now"}', {"Retry-After": "7"} if fault == "429" else {}
            )
        elif fault == "cut":
            self.answer(200, json.dumps(good).encode()[:20], {"Content-Length": "900"})
        elif fault == "away":
            self.answer(
                307, b"", {"Location": self.stub.url.replace("127.0.0.1", "localhost") + "/stolen"}
            )
        else:
            odd = {
                "junk": b"<html>",
                "shape": b'{"choices": []}',
                "refusal": b"",
                "huge": b"9" * ((1 << 20) + 9),
            }
            refusal = {
                "choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]
            }
            body = json.dumps(refusal if fault == "refusal" else good).encode()
            self.answer(200, odd.get(fault) or body)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"stub": stub}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield stub
    server.shutdown()
    server.server_close()


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept, self.lock = 0.0, list[float](), threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds
            self.slept.append(seconds)


def endpoint(stub: Stub, time: Time, **options: str | float) -> Any:
    from parabench.baselines.endpoint import build_endpoint

    made = build_endpoint(
        "", BuildContext(options={"url": stub.url, "model": "served", **options}, key=KEY)
    )
    return replace(made, clock=lambda: time.now, sleep=time.sleep)


def answers(system: Any, *sources: str) -> list[tuple[str, bool]]:
    done = sorted(answer for batch in system.paraphrase(sources) for answer in batch)
    assert [answer.position for answer in done] == list(range(len(sources)))
    return [(answer.text, answer.finished) for answer in done]


def test_every_sentence_is_answered_in_its_place(stub: Stub) -> None:
    system = endpoint(stub, Time(), concurrency=4)
    sources = [f"sentence {number}" for number in range(20)]
    assert answers(system, *sources) == [(source.upper(), True) for source in sources]
    assert {question["max_tokens"] for question in stub.asked} == {Decoding().max_new_tokens}
    assert {question["temperature"] for question in stub.asked} == {0}
    assert set(stub.keys) == {KEY}


def test_samples_are_choices_of_one_request(stub: Stub) -> None:
    system = replace(endpoint(stub, Time()), decoding=Decoding(do_sample=True, samples=3))
    ((answer,),) = system.paraphrase(["One."])
    assert (answer.text, answer.samples) == ("ONE.", ("ONE.", "ONE.!", "ONE.!!"))
    assert [question["n"] for question in stub.asked] == [3]
    stub.faults = ["single"]
    with pytest.raises(UserError, match="fewer choices than n"):
        list(system.paraphrase(["One."]))


@pytest.mark.parametrize("fault", ["500", "503", "429", "cut", "junk", "shape", "huge"])
def test_what_passes_is_tried_again(stub: Stub, fault: str) -> None:
    stub.faults, time = [fault, fault], Time()
    assert answers(endpoint(stub, time), "a b") == [("A B", True)]
    assert time.slept == ([7.0, 7.0] if fault == "429" else [0.5, 1.0])


def test_a_refusal_is_an_unfinished_empty_answer(stub: Stub) -> None:
    stub.faults = ["refusal"]
    assert answers(endpoint(stub, Time()), "a b") == [("", False)]


def test_no_sentence_takes_longer_than_its_deadline(stub: Stub) -> None:
    stub.faults, time = ["503"] * 99, Time()
    with pytest.raises(UserError, match=r"HTTP 503(.|\n)*within 20 s(.|\n)*it resumes"):
        answers(endpoint(stub, time, deadline=20), "a b")
    assert sum(time.slept) <= 20


def test_a_wrong_key_is_named_and_not_shown(stub: Stub) -> None:
    stub.key = "another"
    with pytest.raises(UserError, match="PARABENCH_API_KEY") as caught:
        answers(endpoint(stub, Time()), "a b")
    assert KEY not in str(caught.value)
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("fault", "says"), [("404", "check the suite"), ("400", "not now"), ("away", "HTTP 307")]
)
def test_what_does_not_pass_is_told_at_once(stub: Stub, fault: str, says: str) -> None:
    stub.faults = [fault]
    with pytest.raises(UserError, match=says):
        answers(endpoint(stub, Time()), "a b")
    assert len(stub.asked) == 1


def test_requests_keep_to_the_rate(stub: Stub) -> None:
    time = Time()
    answers(endpoint(stub, time, rate=60), "a", "b", "c", "d")
    assert time.now == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temprature": 1.0}, "no such option"),
        ({"rate": "fast"}, "not a number"),
        ({"url": "ftp://somewhere"}, "ftp"),
        ({"url": "http://name:word@host/v1"}, "url ="),
    ],
)
def test_a_wrong_option_is_refused(stub: Stub, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        endpoint(stub, Time(), **options)


def test_a_run_resumes_counts_tokens_and_writes_the_key_nowhere(stub: Stub, tmp_path: Path) -> None:
    suite = tiny_suite.suite_file(tmp_path)
    suite.write_text(
        suite.read_text()
        + f'[system.served]\nfamily = "endpoint"\nurl = "{stub.url}"\nmodel = "m"\n'
    )
    request = plan.RunRequest(
        suites.load_suite(str(suite)),
        ("served",),
        ("ibleu",),
        device="cpu",
        output=tmp_path / "run",
        key=KEY,
    )
    stub.faults = ["", "", "", "404"]
    with pytest.raises(UserError):
        runner.run_plan(plan.make_plan(request))
    runner.run_plan(plan.make_plan(request))
    assert len(stub.asked) <= 12 + 1 + 1, (
        "at most what was asked when the endpoint refused is asked again"
    )
    records = read_log(tmp_path / "run", "predictions", "served")[1]
    assert {tuple(record["tokens"]) for record in records.values()} == {(9, 4)}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written
    assert KEY not in repr(request)


def body(**fields: Any) -> str:
    """A reply of status 400 with an error of these fields."""
    return "400 " + json.dumps({"error": fields})


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (body(message="filtered", code="content_filter"), "content_filter: filtered"),
        (body(message="too long", code="context_length_exceeded"), "too long for the model"),
        ('200 {"choices": [{"message": {"content": null}}]}', "an empty text"),
        ('200 {"choices": [{"message": {"refusal": "no"}}]}', "refusal: no"),
        ('200 {"choices": [{"message": {"content": "\\ud800"}}]}', "surrogate"),
        ('200 {"error": {"message": "blocked", "code": "content_filter"}}', "content_filter"),
        ('403 {"error": {"message": "x", "type": "content_policy_violation"}}', "content_filter"),
    ],
)
def test_one_row_without_an_answer_ends_no_run(stub: Stub, reply: str, reason: str) -> None:
    stub.faults = ["", reply]
    batches = list(endpoint(stub, Time()).paraphrase(["a b", "c d", "e f"]))
    found = sorted(answer for batch in batches for answer in batch)
    assert [answer.text for answer in found] == ["A B", "", "E F"]
    assert not found[1].finished
    assert reason in found[1].reason


def test_answers_without_choices_end_as_unanswered(stub: Stub) -> None:
    stub.faults = ["shape"] * 3
    (batch,) = endpoint(stub, Time()).paraphrase(["a b"])
    assert (batch[0].text, batch[0].reason) == ("", "an answer without choices")


def test_another_name_of_the_limit_is_found_out_once(stub: Stub) -> None:
    stub.faults = [body(message="Unsupported parameter: 'max_tokens'", param="max_tokens")]
    assert answers(endpoint(stub, Time()), "a b", "c d") == [("A B", True), ("C D", True)]
    limits = [
        [name for name in ("max_tokens", "max_completion_tokens") if name in question]
        for question in stub.asked
    ]
    assert limits == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]


def test_a_server_that_only_streams_is_asked_for_a_stream(stub: Stub) -> None:
    stub.faults = [body(message="This model only supports streaming", code=None)]
    assert answers(endpoint(stub, Time()), "a b") == [("A B", True)]
    assert [question.get("stream", False) for question in stub.asked] == [False, True]


def test_a_temperature_is_never_dropped_in_silence(stub: Stub) -> None:
    refusal = body(message="'temperature' does not support 0", param="temperature")
    stub.faults = [refusal]
    with pytest.raises(UserError, match=r"does not support 0(.|\n)*leave_out = .temperature"):
        answers(endpoint(stub, Time()), "a b")
    without = endpoint(stub, Time(), leave_out="temperature")
    assert answers(without, "a b") == [("A B", True)]
    assert "temperature" not in stub.asked[-1]
    assert "left-out:temperature" in str(without.signature)


def test_no_credit_is_told_at_once(stub: Stub) -> None:
    stub.faults = ['429 {"error": {"message": "no credit", "code": "insufficient_quota"}}']
    with pytest.raises(UserError, match="no credit"):
        answers(endpoint(stub, Time()), "a b")
    assert len(stub.asked) == 1


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY} ", f"{KEY}\r\n"])
def test_a_line_break_behind_the_key_is_taken_off(stub: Stub, key: str) -> None:
    from parabench.baselines.endpoint import build_endpoint

    made = build_endpoint("", BuildContext(options={"url": stub.url, "model": "m"}, key=key))
    assert answers(made, "a b") == [("A B", True)]
    assert stub.keys == [KEY]


@pytest.mark.parametrize("key", ["a key of words", "sk-one\nsk-two", "sk-é", "sk-\x00"])
def test_a_key_that_no_header_may_hold_is_refused(key: str) -> None:
    from parabench.baselines.endpoint import build_endpoint

    options = {"url": "http://localhost", "model": "m"}
    with pytest.raises(UserError, match="PARABENCH_API_KEY") as caught:
        build_endpoint("", BuildContext(options=options, key=key))
    assert key not in str(caught.value)
    assert key not in repr(caught.value)


@pytest.mark.parametrize("padding", range(240, 600, 7))
def test_no_part_of_an_echoed_key_survives_a_cut(stub: Stub, padding: int) -> None:
    stub.faults = [body(message="x" * padding + KEY + " is wrong")]
    with pytest.raises(UserError) as caught:
        answers(endpoint(stub, Time()), "a b")
    assert KEY[:6] not in str(caught.value)


def test_a_key_in_an_answer_is_hidden(stub: Stub) -> None:
    stub.faults = [
        "200 " + json.dumps({"choices": [{"message": {"content": f"your key is {KEY}"}}]}),
        "200 " + json.dumps({"choices": [{"message": {"refusal": f"no, {KEY}"}}]}),
    ]
    batches = list(endpoint(stub, Time()).paraphrase(["a b", "c d"]))
    assert KEY not in repr(batches)
    assert "(the key)" in repr(batches)


@pytest.mark.parametrize("name", ["rate", "deadline", "concurrency"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_numbers_without_an_end_are_refused(stub: Stub, name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"use {name} = "):
        endpoint(stub, Time(), **{name: value})


def test_unanswered_rows_are_counted_in_the_table(stub: Stub, tmp_path: Path) -> None:
    from parabench.report.notes import reader_notes

    suite = tiny_suite.suite_file(tmp_path)
    served = f'[system.served]\nfamily = "endpoint"\nurl = "{stub.url}"\nmodel = "m"\n'
    suite.write_text(suite.read_text() + served)
    stub.faults = [
        body(message="filtered", code="content_filter"),
        "200 " + json.dumps({"choices": [{"message": {"refusal": "no"}}]}),
        body(message="filtered again", code="content_filter"),
    ]
    request = plan.RunRequest(
        suites.load_suite(str(suite)), ("served",), ("ibleu",), device="cpu", output=tmp_path / "r"
    )
    board = runner.run_plan(plan.make_plan(request))
    notes = [note for note in reader_notes(board) if note.startswith("Not answered")]
    assert notes == [
        "Not answered, and scored as empty texts: served 3 (content_filter 2, refusal 1)."
    ]
