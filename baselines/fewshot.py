"""Few-shot prompting: pairs from a training split before each sentence (Brown et al. 2020).

In a chat the pairs are turns: each source is the user's message, each target the assistant's.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError
from parabench.data.filters import TextPair
from parabench.data.leakage import TestSentences
from parabench.data.sketches import write_sketch
from parabench.data.skipped import SkipCounts
from parabench.data.specs import parse_corpora
from parabench.data.training_set import numbered_pairs
from parabench.models.cache import cache_folder, make_once
from parabench.models.local import Checkpoint
from parabench.store.files import write_atomically

from . import options
from .causal import CHAT_INSTRUCTION, Causal

SHOT = "Sentence: {source}\nParaphrase: {target}"
CHAT_SHOT = f"{CHAT_INSTRUCTION}{{target}}"
JOINER = "\n\n"

_DRAWN_FROM = 10_000
"""Pairs at the beginning of each corpus that shots are drawn from: a corpus may have fifty million,
and every reading of a signature would read them all."""

_MOST_SHOTS = 1000
_TARGET = "{target}"


@dataclass(frozen=True)
class FewShot:
    """A decoder-only model that continues ``count`` pairs and a source, or answers them in a chat.

    ``setting.options``: ``pairs``, the training split; ``template`` of one shot, with ``{source}``
    and at its end ``{target}``; ``joiner``, the text between shots; ``chat`` and ``system``.
    """

    count: int
    setting: BuildContext

    @cached_property
    def shots(self) -> tuple[TextPair, ...]:
        """The pairs, drawn by the run's seed; none is, or is near, a sentence of the test set.

        Raises UserError where the training split has too few others.
        """
        spec = str(self.setting.options["pairs"])
        seed = self.setting.runtime.seed
        candidates = _read_pairs(spec, seed)
        random.Random(f"fewshot-{seed}").shuffle(candidates)
        # the gate is slow, so no more pairs pass it than are wanted
        clear = self._clear_of_test_set(candidates)
        drawn = tuple(islice(clear, self.count))
        if len(drawn) < self.count:
            asked = f"draw {self.count} pairs from {spec}"
            left = f"{len(drawn)} of {len(candidates)} are no sentences of the test set"
            raise UserError(asked, left, mend="name a larger training split")
        return drawn

    def _clear_of_test_set(self, pairs: Sequence[TextPair]) -> Iterator[TextPair]:
        # near in words counts too: a test sentence with its case or order changed is no other
        test = TestSentences(self._test_texts())
        for source, target in pairs:
            if not test.holds(source) and not test.holds(target):
                yield source, target

    def _test_texts(self) -> Iterator[str]:
        """What is known of the test set: its sources, and what people answered."""
        yield from self.setting.sources
        yield from chain.from_iterable(self.setting.human_answers)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over the pairs in their order."""
        content = json.dumps(self.shots)
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def causal(self) -> Causal:
        """The system that continues the shots: they fill slots of its template, as sources do."""
        fields: list[tuple[str, str]] = []
        # slots and not text of the template, so that no braces and no marker in a pair is expanded
        for number, (source, target) in enumerate(self.shots, 1):
            fields.append((f"source_{number}", source))
            fields.append((f"target_{number}", target))
        setting = replace(self.setting, options=_causal_options(self.setting))
        return Causal("fewshot", "", setting, self._template(), fields=tuple(fields))

    @property
    def _shot(self) -> str:
        """The template of one shot."""
        usual = CHAT_SHOT if self._chat else SHOT
        return str(self.setting.options.get("template", usual))

    @property
    def _chat(self) -> bool:
        return bool(self.setting.options.get("chat", False))

    def _template(self) -> str:
        """The template of the whole prompt, up to where the model writes."""
        question = self._shot.removesuffix(_TARGET)
        pieces: list[str] = []
        for number in range(1, self.count + 1):
            asked = question.replace("{source}", f"{{source_{number}}}")
            answer = f"{{target_{number}}}"
            if self._chat:
                # turns of their own
                pieces += [asked, answer]
            else:
                pieces.append(asked + answer)
        pieces.append(question)
        if self._chat:
            return "<|TURN|>".join(pieces)
        joiner = str(self.setting.options.get("joiner", JOINER))
        return joiner.join(pieces)

    @property
    def signature(self) -> Signature:
        """That of the causal system, the number of shots, and the pairs by their digest."""
        items = dict(self.causal.signature.items)
        # one shot and the joiner say all that the whole template does
        items["template"] = self._shot
        if "joiner" in self.setting.options:
            items["joiner"] = str(self.setting.options["joiner"])
        shots = (("shots", str(self.count)), ("pairs", self.digest[:12]))
        return Signature("fewshot", (*shots, *items.items()))

    @property
    def checkpoint(self) -> Checkpoint:
        """The model, found and identified; raises UserError where it is missing."""
        return self.causal.checkpoint

    model_names = property(options.suite_models)
    runtime = property(options.suite_runtime)
    role = property(options.suite_role)

    @property
    def trained(self) -> Path:
        """The folder with the shots and their sketch, made in the cache when it is first asked for.

        Nothing is written into the folder that the program was started in. Raises UserError where
        the cache cannot be written.
        """
        cleared = TestSentences(self._test_texts()).keys
        seed = self.setting.runtime.seed
        # the sketch says of which test sentences the shots are clear, so these are in its name
        content = json.dumps([self.digest, sorted(cleared), seed])
        name = hashlib.sha256(content.encode()).hexdigest()[:16]
        folder = cache_folder() / "shots" / f"{self.count}-{name}"

        def write(made: Path) -> None:
            lines = ""
            for source, target in self.shots:
                lines += json.dumps({"source": source, "target": target}) + "\n"
            write_atomically(made / "shots.jsonl", lines.encode())
            write_sketch(made, self.shots, cleared, seed)

        make_once(folder, write, f"keep the {self.count} pairs of {self.signature.name}")
        return folder

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield batches as they finish; a text ends as the causal system's does.

        Raises UserError where the pairs leave no room for a sentence.
        """
        from parabench.prompts.rendering import TooLongError

        try:
            yield from self.causal.paraphrase(sources)
        except TooLongError as error:
            raise UserError(
                f"put {self.count} pairs before each sentence",
                error.found,
                mend='use fewer pairs, or shorter ones: pairs = "…?max_words=20"',
            ) from None

    def release(self) -> None:
        """Free the model; the next ``paraphrase`` loads it again."""
        self.causal.release()


def build_fewshot(variant: str, setting: BuildContext) -> FewShot:
    """Build a frozen model behind pairs of a training split: fewshot-4 has four.

    Raises UserError where ``variant`` is no number of pairs, and where no training split is named.
    """
    known = ("pairs", "template", "joiner", "chat", "system")
    setting = options.model_context("fewshot", setting, *known)
    given = setting.options
    count = int(variant) if variant.isdecimal() else 0
    if not 1 <= count <= _MOST_SHOTS:
        name = f"fewshot-{variant}" if variant else "fewshot"
        found = f"no number of pairs from 1 to {_MOST_SHOTS}"
        raise UserError(f"use the system {name!r}", found, mend="fewshot-4")
    if "pairs" not in given:
        asked = f"use the system 'fewshot-{variant}'"
        mend = 'pairs = "tsv:pairs.tsv", the training split to draw them from'
        raise UserError(asked, "the suite names no pairs for it", mend=mend)
    if given.get("chat") and "joiner" in given:
        raise UserError("use a joiner in a chat", "its shots are turns", mend="leave joiner out")
    shot = str(given.get("template", SHOT))
    ends_with_target = shot.endswith(_TARGET) and shot.count(_TARGET) == 1
    if not ends_with_target or "{source}" not in shot:
        asked = f"use the template {shot[:60]!r} for one shot"
        found = "it does not hold {source}, and {target} at its end"
        raise UserError(asked, found, mend=f"template = {json.dumps(SHOT)}")
    return FewShot(count, setting)


def _causal_options(setting: BuildContext) -> dict[str, str | int | float | bool]:
    """The options that the causal system reads."""
    own = ("pairs", "template", "joiner")
    return {name: value for name, value in setting.options.items() if name not in own}


def _read_pairs(spec: str, seed: int) -> list[TextPair]:
    """The pairs at the beginning of each corpus of a specification, each once.

    A path alone is the corpus of its ending: ``./pairs.tsv`` is ``tsv:./pairs.tsv``. ``seed``
    decides what the filters draw by chance.
    """
    ending = Path(spec.partition("?")[0]).suffix.lower()
    if ":" not in spec and ending:
        spec = f"{ending[1:]}:{spec}"
    found: dict[TextPair, None] = {}
    for corpus in parse_corpora(spec):
        pairs = numbered_pairs(corpus, SkipCounts(), seed)
        for _, pair in islice(pairs, _DRAWN_FROM):
            found[pair] = None
    return list(found)
