"""Any model behind an OpenAI-compatible endpoint: served open models, instruction-tuned ones as
baseline rows.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from parabench.contracts import BuildContext, Decoding, Paraphrase, Signature, UserError

from . import options

_INSTRUCTION = "Paraphrase the following sentence. Answer with the paraphrase alone.\n\n{source}"
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
LARGEST = 1 << 20
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

Clock = Callable[[], float]


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would carry the key to whoever it names."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _PassingError(Exception):
    """A failure that may be over the next time; ``pause`` is what the server asks for, in
    seconds.
    """

    def __init__(self, found: str, pause: float = 0.0) -> None:
        super().__init__(found)
        self.pause = pause


@dataclass
class Endpoint:
    """A served model that is asked for one sentence at a time.

    ``rate`` is requests a minute (0: no limit), ``concurrency`` requests at once, ``deadline`` the
    seconds one sentence may take with all its retries. The key goes into the request's header and
    nowhere else.
    """

    url: str
    model: str
    template: str
    decoding: Decoding
    seed: int = 0
    rate: float = 0.0
    concurrency: int = 1
    deadline: float = 300.0
    key: str = field(default="", repr=False)
    clock: Clock = time.monotonic
    sleep: Callable[[float], object] = time.sleep

    @property
    def signature(self) -> Signature:
        """The model by the name it is served under; which weights those are, only the server
        knows.
        """
        return Signature(
            "endpoint",
            (("model", self.model), ("template", self.template), ("stop", "eos+newline")),
        )

    @property
    def model_names(self) -> tuple[str, ...]:
        """None: the model behind an address is loaded elsewhere."""
        return ()

    def estimate_cost(self, count: int) -> str:
        """What so many sentences take, as far as it can be told without asking."""
        pace = (
            f"at least {count / self.rate:.0f} min at {self.rate:.0f} a minute"
            if self.rate
            else "no rate is set"
        )
        most = count * self.decoding.samples * self.decoding.max_new_tokens
        return f"{count} requests, at most {most:,} tokens written, {pace}"

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield each answer as it comes; UserError where the endpoint refuses, or cannot answer
        until the deadline.
        """
        turns = _Turns(60 / self.rate if self.rate else 0.0, self.clock, self.sleep)
        opener = build_opener(_NoRedirect)
        with ThreadPoolExecutor(self.concurrency) as pool:
            answers = {
                pool.submit(self._answer, opener, turns, text): place
                for place, text in enumerate(sources)
            }
            try:
                failure: BaseException | None = None
                for answer in as_completed(answers):
                    if answer.cancelled() or answer.exception():
                        failure, turns.over = (
                            failure or (None if answer.cancelled() else answer.exception()),
                            True,
                        )
                        for (
                            waiting
                        ) in answers:  # answers on their way are paid for: they are still taken
                            waiting.cancel()
                    else:
                        yield [answer.result()._replace(position=answers[answer])]
                if failure:
                    raise failure
            finally:
                turns.over = True
                pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, opener: OpenerDirector, turns: _Turns, source: str) -> Paraphrase:
        """The answer for one sentence, after as many tries as the deadline allows."""
        end, pause = self.clock() + self.deadline, FIRST_PAUSE
        while True:
            turns.take()
            if turns.over:
                raise _PassingError("stopped")
            try:
                made = _read(
                    self._ask(opener, source, max(1.0, end - self.clock())), self.decoding.samples
                )
                if len(made.samples or [made.text]) < self.decoding.samples:
                    raise self._refused(
                        "fewer choices than n asks for", "leave samples out of the decoding"
                    )
                return made
            except _PassingError as failure:
                wait = max(failure.pause, pause)
                if self.clock() + wait > end:
                    found = f"{failure} within {self.deadline:.0f} s"
                    raise self._refused(found, "run the same command again: it resumes") from None
            self.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _ask(self, opener: OpenerDirector, source: str, timeout: float) -> Any:
        headers = {
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
        }
        request = Request(
            f"{self.url}/chat/completions", json.dumps(self._question(source)).encode(), headers
        )
        try:
            with opener.open(request, timeout=min(timeout, 120.0)) as response:
                data = response.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise _PassingError(f"an answer of more than {LARGEST} bytes")
            return json.loads(data)
        except HTTPError as error:
            raise self._status(error) from None
        except (URLError, OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            raise _PassingError(
                f"{type(error).__name__}: {getattr(error, 'reason', error)}"
            ) from None

    def _question(self, source: str) -> dict[str, Any]:
        decoding = self.decoding
        greedy = {"temperature": 0}
        chance = (
            {"temperature": decoding.temperature, "top_p": decoding.top_p}
            if decoding.do_sample
            else greedy
        )
        message = {"role": "user", "content": self.template.replace("{source}", source)}
        limits = {"max_tokens": decoding.max_new_tokens, "seed": self.seed}
        limits |= {"n": decoding.samples} if decoding.samples > 1 else {}
        return {"model": self.model, "messages": [message], **limits, **chance}

    def _status(self, error: HTTPError) -> Exception:
        """What an answer other than 200 means: to try again, or a UserError."""
        said = error.read(300).decode("utf-8", "replace").strip() if error.fp else ""
        found = f"HTTP {error.code}" + (f": {said}" if said else "")
        if error.code in RETRIED:
            asked = error.headers.get("Retry-After", "")
            return _PassingError(found, float(asked) if asked.isdecimal() else 0.0)
        if error.code in (401, 403):
            return self._refused(found, "set PARABENCH_API_KEY to a key that it takes")
        return self._refused(found, f"check the suite: url = {self.url!r}, model = {self.model!r}")

    def _refused(self, found: str, mend: str) -> UserError:
        shown = found.replace(self.key, "(the key)") if self.key else found
        return UserError(f"ask {self.model!r} at {self.url}", shown, mend=mend)


class _Turns:
    """Lets one request through every ``gap`` seconds, whichever thread it comes from, until it is
    over.
    """

    def __init__(self, gap: float, clock: Clock, sleep: Callable[[float], object]) -> None:
        self.gap, self.clock, self.sleep = gap, clock, sleep
        self.lock, self.next, self.over = threading.Lock(), 0.0, False

    def take(self) -> None:
        with self.lock:
            now = self.clock()
            wait, self.next = max(0.0, self.next - now), max(now, self.next) + self.gap
        if wait:
            self.sleep(wait)


def _read(answer: Any, samples: int) -> Paraphrase:
    """The first line of each choice, and the tokens they cost; a refusal is an empty, unfinished
    text.
    """
    try:
        choices = answer["choices"][:samples]
        texts = tuple(_first_line(choice["message"]["content"] or "") for choice in choices)
        usage = answer.get("usage") or {}
        tokens = (int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
        several = texts if len(texts) > 1 else ()
        return Paraphrase(
            0, texts[0], choices[0].get("finish_reason") == "stop", tokens, samples=several
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        raise _PassingError("an answer without choices[0].message.content") from None


def _first_line(text: str) -> str:
    return next(filter(None, map(str.strip, text.splitlines())), "")


def build_endpoint(variant: str, setting: BuildContext) -> Endpoint:
    """Any model behind an OpenAI-compatible endpoint; its key is in PARABENCH_API_KEY."""
    numbers = {"rate": 0.0, "concurrency": 1, "deadline": 300.0}
    given = {
        **numbers,
        **options.read_options("endpoint", setting, "url", "model", "template", **numbers),
    }
    decoding, plain = setting.decoding, Decoding()
    for name in ("num_beams", "repetition_penalty", "no_repeat_ngram_size", "top_k"):
        if getattr(decoding, name) != getattr(plain, name):
            raise UserError(
                f"use {name} with an endpoint",
                "the protocol has no such setting",
                mend=f"leave {name} out",
            )
    if not str(given["url"]).startswith(("http://", "https://")) or "@" in str(given["url"]):
        raise UserError(
            "use the endpoint", f"url = {given['url']!r}", mend='url = "http://localhost:8000/v1"'
        )
    return Endpoint(
        str(given["url"]).rstrip("/"),
        str(given["model"]),
        str(given.get("template", _INSTRUCTION)),
        decoding,
        setting.runtime.seed,
        float(given["rate"]),
        max(1, int(given["concurrency"])),
        float(given["deadline"]),
        setting.key,
    )
