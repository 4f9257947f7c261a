"""A model behind an OpenAI-compatible endpoint: served open models, chat models as baselines."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.error import URLError

from parabench.contracts import BuildContext, Decoding, Paraphrase, Signature, UserError

from . import options
from .endpoint_options import (
    OPTIONAL_PARAMETERS,
    check_decoding,
    check_numbers,
    checked_address,
    checked_key,
    left_out_parameters,
)
from .exchange import DeadlineError, Reply, Secret, post_json
from .pacing import Clock, Pace, as_they_come
from .replies import parse_body, read_answer
from .server_errors import (
    FinalError,
    NoAnswerError,
    NoChoicesError,
    PassingError,
    error_of,
    refused_parameter,
)

_INSTRUCTION = "Paraphrase the following sentence. Answer with the paraphrase alone.\n\n{source}"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds before the second try, and at most between two tries; each pause doubles the last."""
LONGEST_EXCHANGE = 120.0
"""Seconds that one try may take, so that a server that hangs once is asked again."""
TRIES_WITHOUT_CHOICES = 3
"""Answers without any choice after which a sentence counts as unanswered."""
LONGEST_REASON = 200
"""Characters that are kept of why a sentence has no answer."""


@dataclass
class _Dialect:
    """What this server was found to want otherwise, for all requests after the first."""

    limit_name: str = "max_tokens"
    stream: bool = False


@dataclass
class Endpoint:
    """A served model that is asked for one sentence at a time.

    ``rate`` is requests a minute (0: no limit), ``concurrency`` requests at once, ``deadline`` the
    seconds that one sentence may take with all its tries. ``left_out`` names parameters that are
    not sent. The ``key`` goes into the request's header and nowhere else.
    """

    url: str
    model: str
    template: str
    decoding: Decoding
    seed: int = 0
    rate: float = 0.0
    concurrency: int = 1
    deadline: float = 300.0
    left_out: tuple[str, ...] = ()
    key: str = field(default="", repr=False)
    clock: Clock = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    dialect: _Dialect = field(default_factory=_Dialect, repr=False)

    @property
    def signature(self) -> Signature:
        """The model by the name it is served under: which weights those are, only the server knows.

        ``read:2`` is the version of the rules by which an answer is read (``replies``).
        """
        items = [
            ("model", self.model),
            ("template", self.template),
            ("stop", "eos+newline"),
            ("read", "2"),
        ]
        if self.left_out:
            names = "+".join(self.left_out)
            items.append(("left-out", names))
        return Signature("endpoint", tuple(items))

    @property
    def model_names(self) -> tuple[str, ...]:
        """No model is loaded here."""
        return ()

    def estimate_cost(self, count: int) -> str:
        """What ``count`` sentences take, as far as it can be told without asking the server."""
        pace = "no rate is set"
        if self.rate:
            minutes = count / self.rate
            pace = f"at least {minutes:.0f} min at {self.rate:.0f} a minute"
        texts = count * self.decoding.samples
        most = texts * self.decoding.max_new_tokens
        return f"{count} requests, at most {most:,} tokens written, {pace}"

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield each answer as it comes; a sentence that the server will not answer has its reason.

        Raises UserError where the endpoint refuses all sentences, or fails until the deadline.
        """
        gap = 60 / self.rate if self.rate else 0.0  # seconds between two requests
        pace = Pace(gap, self.clock, self.sleep)
        with ThreadPoolExecutor(self.concurrency) as pool:
            asked = {}
            for place, source in enumerate(sources):
                future = pool.submit(self._answer, pace, source)
                asked[future] = place
            try:
                yield from as_they_come(asked, pace)
            finally:
                # whoever stops reading, by an error or on purpose, has no more requests sent
                pace.over = True
                pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, pace: Pace, source: str) -> Paraphrase:
        """The answer for one sentence, after as many tries as the deadline allows."""
        end = self.clock() + self.deadline
        pause = FIRST_PAUSE
        without_choices = 0
        while True:
            pace.wait_for_turn()
            if pace.over:
                raise PassingError("stopped")
            try:
                return self._hidden(self._ask(source, end))
            except NoAnswerError as failure:
                return self._unanswered(str(failure))
            except FinalError as failure:
                raise self._refused(str(failure)) from None
            except PassingError as failure:
                if isinstance(failure, NoChoicesError):
                    without_choices += 1
                if without_choices == TRIES_WITHOUT_CHOICES:
                    return self._unanswered(str(failure))
                # what the server asks for, but never less than our own pause
                wait = max(failure.pause, pause)
                if self.clock() + wait > end:
                    found = f"{failure} within {self.deadline:.0f} s"
                    raise self._refused(found, "run the same command again: it resumes") from None
            self.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _ask(self, source: str, end: float) -> Paraphrase:
        """Ask, and read the answer; ask again where the server wants another form."""
        for _ in range(3):  # a limit of another name, then a stream
            # a copy, as other threads may change the dialect while this request is on its way
            used = replace(self.dialect)
            reply = self._send(source, end)
            if 200 <= reply.status < 300:
                answer = parse_body(reply.body, reply.headers.get("content-type", ""))
                return read_answer(answer, source, self.decoding.samples)
            body = self._error_body(reply)
            refused = refused_parameter(body)
            if reply.status in (400, 422) and self._adapts(refused, used):
                continue
            error = error_of(reply.status, body, reply.headers)
            raise self._explained(error, refused)
        raise FinalError("it refuses the request in every form that is known")

    def _send(self, source: str, end: float) -> Reply:
        """One exchange with the server, of at least a second and at most until ``end``."""
        left = max(1.0, end - self.clock())
        seconds = min(left, LONGEST_EXCHANGE)
        headers = {}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        address = f"{self.url}/chat/completions"
        question = self._question(source)
        try:
            return post_json(address, question, headers, seconds)
        except DeadlineError as error:
            raise PassingError(str(error)) from None
        except (URLError, OSError, http.client.HTTPException, ValueError) as error:
            said = getattr(error, "reason", error)
            raise PassingError(f"{type(error).__name__}: {said}") from None

    def _question(self, source: str) -> dict[str, Any]:
        """The request's JSON."""
        decoding = self.decoding
        content = self.template.replace("{source}", source)
        message = {"role": "user", "content": content}
        question: dict[str, Any] = {
            "model": self.model,
            "messages": [message],
            self.dialect.limit_name: decoding.max_new_tokens,
            "seed": self.seed,
            "temperature": 0,  # greedy, as near as the protocol comes to it
        }
        if decoding.do_sample:
            question["temperature"] = decoding.temperature
            question["top_p"] = decoding.top_p
        if decoding.samples > 1:
            question["n"] = decoding.samples
        if self.dialect.stream:
            question["stream"] = True
            # without it a stream does not say how many tokens it took
            question["stream_options"] = {"include_usage": True}
        return {name: value for name, value in question.items() if name not in self.left_out}

    def _adapts(self, parameter: str, used: _Dialect) -> bool:
        """Whether to ask again, after a request in the dialect ``used`` was refused.

        ``parameter`` is what the refusal was about.

        Only what changes no text is adapted: the name of the limit, and how the answer is sent.
        A temperature that is silently left out would make rows that are not comparable.
        """
        if used != self.dialect:
            return True  # another thread has found it out meanwhile
        if parameter == "max_tokens" and self.dialect.limit_name == "max_tokens":
            self.dialect.limit_name = "max_completion_tokens"
            return True
        if parameter == "stream" and not self.dialect.stream:
            self.dialect.stream = True
            return True
        return False

    def _explained(self, error: Exception, parameter: str) -> Exception:
        """The error, with the option that mends a refused ``parameter``."""
        if not isinstance(error, FinalError) or parameter not in OPTIONAL_PARAMETERS:
            return error
        mend = f'leave_out = "{parameter}" in the suite (it then stands in the signature)'
        return self._refused(str(error), mend)

    def _error_body(self, reply: Reply) -> Any:
        """The parsed body of an error, or its text."""
        try:
            return parse_body(reply.body, reply.headers.get("content-type", ""))
        except PassingError:
            return reply.body.decode("utf-8", "replace")

    def _unanswered(self, reason: str) -> Paraphrase:
        """A row without a text, and why, cut after the key is hidden: no half of it stays."""
        hidden = Secret(self.key).hide_in_message(reason)
        count = self.decoding.samples
        samples = ("",) * count if count > 1 else ()
        shown = hidden[:LONGEST_REASON]
        return Paraphrase(0, "", finished=False, samples=samples, reason=shown)

    def _hidden(self, answer: Paraphrase) -> Paraphrase:
        """The answer without the key, should the server have echoed it in a text."""
        secret = Secret(self.key)
        samples = [secret.hide_in_answer(text) for text in answer.samples]
        reason = secret.hide_in_message(answer.reason)
        return answer._replace(
            text=secret.hide_in_answer(answer.text),
            samples=tuple(samples),
            reason=reason[:LONGEST_REASON],
        )

    def _refused(self, found: str, mend: str = "") -> UserError:
        shown = Secret(self.key).hide_in_message(found)
        if not mend and shown.startswith(("HTTP 401", "HTTP 403")):
            mend = "set PARABENCH_API_KEY to a key that it takes"
        elif not mend and "fewer choices" in shown:
            mend = "leave samples out of the decoding"
        elif not mend and shown.startswith(("HTTP 404", "HTTP 405", "HTTP 30")):
            mend = f"check the suite: url = {self.url!r}, model = {self.model!r}"
        # hidden first, cut after: half a key would still be one
        return UserError(f"ask {self.model!r} at {self.url}", shown[:600], mend=mend)


def build_endpoint(variant: str, setting: BuildContext) -> Endpoint:
    """Any model behind an OpenAI-compatible endpoint; its key is in PARABENCH_API_KEY.

    Raises UserError for an address or options with which it cannot be asked.
    """
    numbers = {"rate": 0.0, "concurrency": 1, "deadline": 300.0}
    texts = ("url", "model", "template", "leave_out")
    found = options.read_options("endpoint", setting, *texts, **numbers)
    given = {**numbers, **found}
    check_decoding(setting.decoding)
    check_numbers(given)
    return Endpoint(
        checked_address(str(given["url"])),
        str(given["model"]),
        str(given.get("template", _INSTRUCTION)),
        setting.decoding,
        setting.runtime.seed,
        float(given["rate"]),
        int(given["concurrency"]),
        float(given["deadline"]),
        left_out_parameters(str(given.get("leave_out", ""))),
        checked_key(setting.key),
    )
