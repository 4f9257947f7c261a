"""Decoder-only language models (OPT and its like): zero-shot, fully fine-tuned, and behind a
learned soft prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from parabench.contracts import BuildContext, Paraphrase, Signature, UserError
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from parabench.models.local import Checkpoint
from parabench.prompts.trained import TrainedFiles, find_adapter

from . import options
from .answer_lines import without_thoughts
from .chats import chat_items, check_literal_text
from .samples import join_samples, repeat_rows
from .tasks import TaskSystem

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from parabench.inference.end_of_text import EndOfText
    from parabench.inference.prompt_ids import PromptIds
    from parabench.prompts.adapters import Adapter
    from parabench.prompts.lora import Lora
    from parabench.prompts.templates import Template

SEPARATOR = "{source}\n"
CHAT_SEPARATOR = "{source}"
INSTRUCTION = "paraphrase the following: {source}\nparaphrase:"
CHAT_INSTRUCTION = "Paraphrase this sentence. Answer with the paraphrase alone.\n{source}"


@dataclass(frozen=True)
class Causal:
    """A decoder-only model that continues a rendered template; one line is one paraphrase.

    Behind a soft prompt ``name`` is the adapter's folder in ``options["adapters"]``, and the
    template is the adapter's. ``fields`` fill further slots of the template, the same for every
    source.
    """

    family: str
    name: str
    setting: BuildContext
    template: str = ""
    replacement: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The base model, found and identified; UserError where it is missing."""
        return locate(str(self.setting.options["model"]))

    @cached_property
    def adapter(self) -> Adapter | None:
        """The learned prompt, verified, and made for this very base; UserError otherwise."""
        if not self.name or self.family == "lora":
            return None
        from parabench.prompts import adapters

        return adapters.load_adapter(self._folder, self.checkpoint)

    @cached_property
    def lora(self) -> Lora | None:
        """The low-rank adapter, verified, and made for this very base; UserError otherwise."""
        if self.family != "lora":
            return None
        from parabench.prompts.lora import load_lora

        return load_lora(self._folder, self.checkpoint)

    @cached_property
    def task_template(self) -> Template:
        """What is written around a source: the adapter's template, else the suite's."""
        from parabench.prompts.templates import Template

        if self.adapter:
            return self.adapter.facts.template
        if self.lora:
            return self.lora.facts.template
        text = f"{self.template}{{target}}"
        given = self.setting.options
        chat = bool(given.get("chat", False))
        system = str(given.get("system", ""))
        return Template(self.family, text, 0, (), "source", "target", chat=chat, system=system)

    @property
    def _folder(self) -> Path:
        return Path(self._adapter_files.location)

    @cached_property
    def _adapter_files(self) -> TrainedFiles:
        """The adapter's files: the user's own training, if it fits, or the suite's."""
        folder = self.setting.options.get("adapters")
        suite_folder = None if folder is None else Path(str(folder))
        return find_adapter(self.name, suite_folder, self.checkpoint.digest)

    @property
    def signature(self) -> Signature:
        """Model and adapter by their digests, and the template in full."""
        name = Path(self.checkpoint.path).name
        digest = self.checkpoint.digest
        items = [("model", f"{name}@{digest[:12]}")]
        if self.adapter:
            splits = self.adapter.facts.template.virtual_token_splits
            lengths = "+".join(map(str, splits))
            items += [("adapter", self.adapter.digest[:12]), ("P", lengths or "0")]
            items += self._adapter_files.signature_items
        if self.lora:
            items += [("lora", self.lora.digest[:12]), ("r", str(self.lora.config.rank))]
            items += self._adapter_files.signature_items
        items += self.replacement
        template = self.template
        if self.adapter or self.lora:
            template = self.task_template.prompt_template
        if not self.name:  # an adapter has learned behind its template, whatever that holds
            check_literal_text(self.task_template, self.checkpoint)
        chat = chat_items(self.task_template, self.checkpoint)
        # names of rules, not of tokens: which ids they mean, the model's digest decides
        stop = "eos+turn" if chat else "eos+newline"
        rules = (("template", template), *chat, ("stop", stop))
        return Signature(self.family, (*items, *rules, *options.dtype_item(self.setting)))

    model_names = property(options.suite_models)
    runtime = property(options.suite_runtime)
    role = property(options.suite_role)

    @property
    def adapter_folder(self) -> Path | None:
        """The folder of the learned prompt; None where there is none."""
        if self.name and self.family != "lora":
            return self._folder
        return None

    @property
    def trained(self) -> Path:
        """The folder with the record of the training data: beside the adapter, or beside the
        model.
        """
        if self.name:
            return self._folder
        return Path(self.checkpoint.path)

    def paraphrase(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        """Yield batches as they finish; a text ends at a declared end id or at the first line
        break.
        """
        yield from join_samples(self._answers(sources), self.setting.decoding.samples)

    def _answers(self, sources: Sequence[str]) -> Iterator[Sequence[Paraphrase]]:
        from parabench.inference.decoding import decode_causal
        from parabench.inference.end_of_text import padding_id

        adapter = self.adapter
        model, tokenizer = self._load()
        prompts = self.rows(model, tokenizer, sources, adapter)
        rows = repeat_rows(prompts, self.setting.decoding.samples)
        end = self.end_of_text(model, tokenizer)
        decoding = self.setting.decoding
        runtime = self.setting.runtime
        pad = padding_id(tokenizer)
        for batch in decode_causal(model, rows, decoding, runtime, end.ids, pad, end):
            answers = []
            for done in batch:
                text = end.cut(done.ids).text
                answers.append(self._read(done.position, text, done.finished))
            yield answers

    def _read(self, position: int, text: str, finished: bool) -> Paraphrase:
        """The answer in a decoded text; the thoughts of a chat model are none."""
        written = text.strip()
        if not self.task_template.chat:
            return Paraphrase(position, written, finished)
        answer = without_thoughts(written).strip()
        if written and not answer:
            reason = "thoughts without an answer"
            return Paraphrase(position, "", finished=False, reason=reason)
        return Paraphrase(position, answer, finished)

    def _load(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model, a low-rank adapter merged into it where there is one, and its tokenizer."""
        models = self.setting.models
        runtime = self.setting.runtime
        if self.lora is None:
            return models.get(load_causal, self.checkpoint, runtime)
        from parabench.prompts.lora import load_merged

        # the adapter is among what the cache compares, as the merged weights depend on it
        return models.get(load_merged, self.checkpoint, self.lora, runtime)

    def end_of_text(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> EndOfText:
        """Where a paraphrase ends.

        At a declared end id; of a chat also at the end of the model's turn, else at the first line
        break.
        """
        from parabench.inference.end_of_text import EndOfText, declared_end_ids
        from parabench.prompts.chat import answer_end

        if not self.task_template.chat:
            return EndOfText.of(model, tokenizer)
        # the files of a chat model often declare EOS alone, which it never writes in a chat
        ids = declared_end_ids(model, tokenizer) | {answer_end(self.task_template, tokenizer)}
        # an answer of a chat may have several lines
        return EndOfText(tokenizer, ids, stop_strings=())

    def release(self) -> None:
        """Let go of the model; the next ``paraphrase`` loads it again."""
        self.setting.models.clear()

    def rows(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        sources: Sequence[str],
        adapter: Adapter | None,
    ) -> list[PromptIds]:
        """Every source in its template, as token ids; too long a source is shortened, and nothing
        else is.
        """
        from parabench.inference.prompt_ids import PromptIds
        from parabench.prompts.rendering import render

        template = self.task_template
        fields = dict(self.fields)
        # the source is shortened rather than the answer
        room = model.config.max_position_embeddings - self.setting.decoding.max_new_tokens
        virtual = adapter.prompt if adapter else None
        prompts = []
        for source in sources:
            record = {**fields, "source": source}
            rendered = render(template, record, tokenizer, room)
            prompts.append(PromptIds(rendered.ids, virtual))
        return prompts


def build_lora(variant: str, setting: BuildContext) -> Causal:
    """A low-rank adapter of the given rank, merged into its base: lora-8.

    Raises UserError where ``variant`` names no rank.
    """
    if not variant:
        raise UserError("use the system 'lora'", "no rank", mend="name its rank: lora-8")
    setting = options.model_context("lora", setting, "adapters")
    return Causal("lora", _full_name("lora", variant), setting)


def build_zeroshot(variant: str, setting: BuildContext) -> Causal:
    """OPT as it is, with an instruction."""
    setting = options.model_context("zeroshot", setting, "template", "chat", "system")
    usual = CHAT_INSTRUCTION if setting.options.get("chat") else INSTRUCTION
    return Causal("zeroshot", "", setting, str(setting.options.get("template", usual)))


def build_finetuned(variant: str, setting: BuildContext) -> Causal:
    """OPT with all of its weights fine-tuned on paraphrase pairs."""
    setting = options.model_context("finetuned", setting, "template", "chat", "system")
    setting, replacement = options.trained_model(_full_name("finetuned", variant), setting)
    usual = CHAT_SEPARATOR if setting.options.get("chat") else SEPARATOR
    template = str(setting.options.get("template", usual))
    return Causal("finetuned", "", setting, template, replacement)


def build_softprompt(variant: str, setting: BuildContext) -> Causal | TaskSystem:
    """Frozen OPT behind a learned prompt of the given length: softprompt-111.

    With the options ``table`` and ``task`` it is the prompt of that task.
    """
    setting = options.model_context("softprompt", setting, "adapters", "table", "task")
    if "table" in setting.options:
        return TaskSystem(setting)
    return Causal("softprompt", _named("softprompt", variant), setting)


def build_ptuning(variant: str, setting: BuildContext) -> Causal:
    """Frozen OPT behind a prompt written by a learned encoder: ptuning-20, ptuning-mlp-20."""
    return Causal(
        "ptuning", _named("ptuning", variant), options.model_context("ptuning", setting, "adapters")
    )


def _full_name(family: str, variant: str) -> str:
    return f"{family}-{variant}" if variant else family


def _named(family: str, variant: str) -> str:
    if not variant:
        raise UserError(
            f"use the system {family!r}", "no length", mend=f"name its length: {family}-111"
        )
    return f"{family}-{variant}"
