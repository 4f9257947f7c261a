"""Encoder-decoder paraphrasers: BART, T5, mBART, Pegasus, Marian and their like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError
from parabench.models.checkpoints import locate
from parabench.models.loading import load_seq2seq
from parabench.models.local import Checkpoint
from parabench.prompts.templates import Template

from . import options
from .chats import check_literal_text
from .samples import join_samples, repeat_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PLAIN = "{source}"

_NO_LIMIT = 10**9
"""Tokens: transformers writes 10**30 where a tokenizer does not say how many a model reads."""


@dataclass(frozen=True)
class Seq2Seq:
    """An encoder-decoder that reads the source in its template and writes the paraphrase.

    ``replacement`` are items of the signature that name a training of the user's own, where it
    answers in place of the suite's model. ``family`` is the name in the signature: ``bart``, under
    which older runs are stored, or ``seq2seq``.
    """

    setting: BuildContext
    replacement: tuple[tuple[str, str], ...] = ()
    family: str = "bart"

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model, found and identified; raises UserError where it is missing."""
        return locate(str(self.setting.options["model"]))

    @property
    def signature(self) -> Signature:
        """The model by its digest, and what is written around the source.

        Raises UserError where the template names a special token, or has no ``{source}``.
        """
        self._check_template()
        name = Path(self.checkpoint.path).name
        items = [("model", f"{name}@{self.checkpoint.digest[:12]}")]
        # named only where there is one, so that signatures of earlier runs stay what they were
        if self.template != PLAIN:
            items.append(("template", self.template))
        dtype = options.dtype_item(self.setting)
        return Signature(self.family, (*items, *self.replacement, *dtype))

    @property
    def template(self) -> str:
        """What the model is given to read, with ``{source}`` in it."""
        return str(self.setting.options.get("template", PLAIN))

    def _check_template(self) -> None:
        if PLAIN not in self.template:
            asked = f"use the template {self.template[:60]!r}"
            found = "no {source} in it"
            raise UserError(asked, found, mend='template = "paraphrase: {source}"')
        mend = "leave it out: the tokenizer adds those that its model wants"
        check_literal_text(Template("seq2seq", self.template, 0, ()), self.checkpoint, mend)

    model_names = property(options.suite_models)
    runtime = property(options.suite_runtime)
    role = property(options.suite_role)

    @property
    def trained(self) -> Path:
        """The folder that holds the record of the training data, where there is one."""
        return Path(self.checkpoint.path)

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield batches as they finish; ``sources`` longer than the model reads are shortened."""
        samples = self.setting.decoding.samples
        yield from join_samples(self._answers(repeat_rows(sources, samples)), samples)

    def _answers(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        from parabench.inference.decoding import decode_seq2seq
        from parabench.inference.end_of_text import EndOfText

        decoding = self.setting.decoding
        runtime = self.setting.runtime
        model, tokenizer = self.setting.models.get(load_seq2seq, self.checkpoint, runtime)
        ids = [self._encode(model, tokenizer, source) for source in sources]
        # no stop strings: an encoder-decoder ends its output itself, whatever lines it has
        end = EndOfText.of(model, tokenizer, stop_strings=())
        for batch in decode_seq2seq(model, ids, decoding, runtime):
            answers = []
            for done in batch:
                text = end.cut(done.ids).text.strip()
                answers.append(Paraphrase(done.position, text, done.finished))
            yield answers

    def _encode(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, source: str
    ) -> tuple[int, ...]:
        """One source in its template, with the special tokens that the tokenizer adds.

        The name of a special token in the source is text, and never that token.
        """
        prompt = self.template.replace("{source}", source)
        if hasattr(tokenizer, "remove_language_code") and self.template.startswith("{source}"):
            # Marian takes ">>fra<<" at the beginning for the language to answer in
            prompt = f" {prompt}" if prompt.startswith(">>") else prompt
        positions = getattr(model.config, "max_position_embeddings", None)
        longest = positions or tokenizer.model_max_length  # T5 has no absolute positions
        bounded = longest < _NO_LIMIT
        encoded = tokenizer(
            prompt,
            truncation=bounded,
            max_length=longest if bounded else None,
            split_special_tokens=True,
        )
        return tuple(encoded.input_ids)

    def release(self) -> None:
        """Free the model; the next ``paraphrase`` loads it again."""
        self.setting.models.clear()


def build_bart(variant: str, setting: BuildContext) -> Seq2Seq:
    """A BART fine-tuned to paraphrase."""
    return _build("bart", variant, setting)


def build_seq2seq(variant: str, setting: BuildContext) -> Seq2Seq:
    """Any encoder-decoder fine-tuned to paraphrase: T5, mBART, Pegasus, Marian."""
    return _build("seq2seq", variant, setting)


def _build(family: str, variant: str, setting: BuildContext) -> Seq2Seq:
    setting = options.model_context(family, setting, "template")
    name = f"{family}-{variant}" if variant else family
    return Seq2Seq(*options.trained_model(name, setting), family)
