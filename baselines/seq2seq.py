"""Encoder-decoder paraphrasers (BART, T5 and their like)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from parabench.contracts import BuildContext, Paraphrase, Runtime, Signature
from parabench.models.checkpoints import locate
from parabench.models.loading import load_seq2seq
from parabench.models.local import Checkpoint

from . import options
from .samples import join_samples, repeat_rows

if TYPE_CHECKING:
    pass

PLAIN = "{source}"


@dataclass(frozen=True)
class Seq2Seq:
    """An encoder-decoder that reads the source and writes the paraphrase."""

    setting: BuildContext
    replacement: tuple[tuple[str, str], ...] = ()

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model, found and identified; UserError where it is missing."""
        return locate(str(self.setting.options["model"]))

    @property
    def signature(self) -> Signature:
        """The model by its digest, and what is written around the source."""
        items = [("model", f"{Path(self.checkpoint.path).name}@{self.checkpoint.digest[:12]}")]
        items += [("template", self.template)] if self.template != PLAIN else []
        dtype = options.dtype_item(self.setting)
        return Signature("bart", (*items, *self.replacement, *dtype))

    @property
    def template(self) -> str:
        """What the model is given to read."""
        return str(self.setting.options.get("template", PLAIN))

    @property
    def model_names(self) -> tuple[str, ...]:
        """The model, as the suite names it."""
        return (str(self.setting.options["model"]),)

    @property
    def runtime(self) -> Runtime:
        """Where and in which arithmetic the model runs."""
        return self.setting.runtime

    @property
    def trained(self) -> Path:
        """Where the record of what it learned from lies."""
        return Path(self.checkpoint.path)

    @property
    def role(self) -> str:
        """A system, or a sentinel where the suite says so."""
        return str(self.setting.options.get("role", "system"))

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield batches as they finish; a source longer than the model can read is shortened."""
        samples = self.setting.decoding.samples
        yield from join_samples(self._answers(repeat_rows(sources, samples)), samples)

    def _answers(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        from parabench.inference.decoding import decode_seq2seq
        from parabench.inference.end_of_text import EndOfText

        model, tokenizer = self.setting.models.get(
            load_seq2seq, self.checkpoint, self.setting.runtime
        )
        longest = (
            getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
        )
        prompts = [self.template.replace("{source}", source) for source in sources]
        ids = [
            tuple(row) for row in tokenizer(prompts, truncation=True, max_length=longest).input_ids
        ]
        end = EndOfText.of(model, tokenizer, stop_strings=())
        for batch in decode_seq2seq(model, ids, self.setting.decoding, self.setting.runtime):
            yield [
                Paraphrase(done.position, end.cut(done.ids).text.strip(), done.finished)
                for done in batch
            ]

    def release(self) -> None:
        """Let go of the model; the next ``paraphrase`` loads it again."""
        self.setting.models.clear()


def build_seq2seq(variant: str, setting: BuildContext) -> Seq2Seq:
    """A BART or T5 fine-tuned to paraphrase."""
    setting = options.model_context("bart", setting, "template")
    name = f"bart-{variant}" if variant else "bart"
    return Seq2Seq(*options.trained_model(name, setting))
