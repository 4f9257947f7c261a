"""Import and export of soft prompts: from and to the formats of other tools.

In: huggingface/peft folders, Paraphrase-OPT's ``.ckpt``, NeMo's ``.nemo``, plain ``.safetensors``,
our own folders. Out: a PEFT folder, plain safetensors, and the ``prompt_embeds`` of serving
engines.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.prompts import adapters, nemo, peft_format
from parabench.prompts.adapters import Adapter
from parabench.prompts.facts import AdapterFacts, BaseIdentity
from parabench.prompts.files import pack_tensors, to_json_bytes
from parabench.prompts.importers import ForeignPrompt, read_foreign_prompt, read_own_adapter
from parabench.prompts.rendering import render
from parabench.prompts.soft import vocabulary_rows
from parabench.prompts.table import TaskTable, add_task, find_task
from parabench.prompts.templates import Template, paraphrase_template
from parabench.store.files import write_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from parabench.models.local import Checkpoint

EXPORT_FORMS = ("peft", "safetensors")


def import_adapter(
    source: Path, target: Path, base: Checkpoint, template: Template | None = None, task: str = ""
) -> Adapter:
    """Make an adapter for ``base`` in the folder ``target`` of whatever ``source`` is.

    ``template`` replaces the source's own; ``task`` chooses among several. What this project
    exported keeps all of its facts. Raises UserError where the source cannot be read, and where it
    was made for another model.
    """
    own = read_own_adapter(source)
    if own is not None:
        adapters.check_base(source, own.facts.base, base)
        facts = replace(own.facts, template=template or own.facts.template)
        return adapters.save_adapter(target, own.prompt, facts, own.state)
    # Other tools record less: their prompts are taken to be for the base that is given.
    found = read_foreign_prompt(source, task)
    given = BaseIdentity.of(base)
    check_made_for(source, found, given)
    length = len(found.prompt)
    facts = AdapterFacts(
        template or found.template or paraphrase_template(length),
        given,
        found.encoder,
        origin=found.origin,
        versions=library_versions(),
    )
    return adapters.save_adapter(target, found.prompt, facts)


def import_table(source: Path, base: Checkpoint) -> TaskTable:
    """The task table of a ``.nemo`` file, for ``base``."""
    templates, prompts = nemo.read_nemo(source)
    given = BaseIdentity.of(base)
    for prompt in prompts.values():
        # A table records nothing of its base but the width of its prompts.
        foreign = ForeignPrompt(prompt, source.name)
        check_made_for(source, foreign, given)
    return TaskTable(given, templates, prompts)


def import_tasks(
    source: Path, base: Checkpoint, templates: Sequence[Template] = (), task: str = ""
) -> TaskTable:
    """The tasks of ``source`` as a table for ``base``: all of a ``.nemo`` file, or its one prompt.

    ``task`` chooses among several. ``templates`` are for a source that has none, or to replace its
    own; a ``.nemo`` file keeps its own. Raises UserError for a source of another base model,
    without a template, or without the task, and where it is open which template is meant.
    """
    given = BaseIdentity.of(base)
    if source.suffix == ".nemo":
        if templates:
            asked = f"add {source} to a task table with other templates"
            raise UserError(asked, "it has its own", mend="leave --tasks out")
        table = import_table(source, base)
        if not task:
            return table
        template = find_task(table, task)
        return TaskTable(table.base, (template,), {task: table.prompts[task]})
    own = read_own_adapter(source)
    known: Template | None
    if own is not None:
        adapters.check_base(source, own.facts.base, base)
        known = own.facts.template
        prompt = own.prompt
    else:
        found = read_foreign_prompt(source, task)
        check_made_for(source, found, given)
        known = found.template
        prompt = found.prompt
    chosen = _choose_template(source, known, templates, task)
    empty = TaskTable(given, (), {})
    return add_task(empty, chosen, prompt)


def _choose_template(
    source: Path, known: Template | None, templates: Sequence[Template], task: str
) -> Template:
    """The template of a source with one prompt: of ``templates``, where there are any.

    ``known`` is the one that the source has itself.
    """
    asked = f"add {source} to a task table"
    if not templates:
        if known is None:
            mend = "add --tasks FILE with its template, and --task NAME"
            raise UserError(asked, "it has no template", mend=mend)
        if task and task != known.taskname:
            mend = "leave --task out, or add --tasks FILE with a template of that name"
            raise UserError(
                f"{asked} as {task!r}", "its task has another name", [known.taskname], mend
            )
        return known
    by_name = {one.taskname: one for one in templates}
    # Without a name it is the source's own task, or the only one there is.
    wanted = task or (known.taskname if known and known.taskname in by_name else "")
    if not wanted and len(by_name) == 1:
        return templates[0]
    if wanted not in by_name:
        found = f"no template named {wanted!r}" if wanted else f"{len(by_name)} templates"
        raise UserError(asked, found, sorted(by_name), "add --task NAME")
    return by_name[wanted]


def export_adapter(adapter: Adapter, target: Path, form: str = "peft") -> Path:
    """Write ``adapter`` to ``target`` for other tools, and return ``target``.

    ``form`` is ``peft``, a folder without our facts, or ``safetensors``, one file with them. Raises
    UserError for another form, and, as PEFT puts every virtual token in front, for a template that
    puts them elsewhere.
    """
    if form not in EXPORT_FORMS:
        raise UserError(f"export an adapter as {form!r}", "no such form", EXPORT_FORMS)
    prompt = {peft_format.PEFT_TENSOR_KEY: adapter.prompt}
    if form == "safetensors":
        facts = json.dumps(asdict(adapter.facts))
        content = pack_tensors({**prompt, **adapter.state}, {"parabench": facts})
        write_atomically(target, content)
        return target
    after_first = adapter.facts.template.parts[1:]
    if any(part.kind == "marker" for part in after_first):
        found = "virtual tokens that do not all stand in front"
        raise UserError("export to PEFT", found, EXPORT_FORMS, "use safetensors")
    config = peft_format.peft_config(adapter.facts)
    # The configuration is what makes a folder an adapter to PEFT, so it is written last.
    write_atomically(target / peft_format.PEFT_TENSOR_FILE, pack_tensors(prompt))
    write_atomically(target / peft_format.PEFT_CONFIG_FILE, to_json_bytes(config))
    return target


def prompt_embeds(
    adapter: Adapter,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, str]],
    max_length: int,
) -> Iterator[Float[Tensor, "T H"]]:
    """The whole input of each of ``records`` as embeddings, as vLLM's ``prompt_embeds`` wants it.

    Virtual and real tokens alike, in ``model``'s dtype, at most ``max_length`` of ``tokenizer``.
    Raises UserError where prompt and model do not go together, and where ``render`` does.
    """
    adapters.check_fit(adapter, model)
    vocabulary = vocabulary_rows(model).cpu()
    # The prompt upside down before the vocabulary: id -1-k is then row P-1-k of both, so that one
    # lookup at id + P serves all ids.
    prompt = adapter.prompt.to(vocabulary.dtype)
    both = torch.cat([prompt.flip(0), vocabulary])
    for record in records:
        rendered = render(adapter.facts.template, record, tokenizer, max_length)
        places = torch.tensor(rendered.ids) + len(prompt)
        yield both[places]


def served(embeds: Float[Tensor, "T H"]) -> str:
    """Embeddings as the ``prompt_embeds`` string of vLLM's HTTP interface, a tensor in base64."""
    buffer = io.BytesIO()
    # A view would be saved with all of the memory behind it.
    torch.save(embeds.clone(), buffer)
    saved = buffer.getvalue()
    return base64.b64encode(saved).decode()


def export_prompt_embeds(
    adapter: Adapter,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Iterable[Mapping[str, str]],
    target: Path,
    max_length: int,
) -> Path:
    """Write one JSON object ``{"prompt_embeds": …}`` for each of ``records``, ready to be sent.

    The parameters are those of ``prompt_embeds``; returns ``target``, the file.
    """
    inputs = prompt_embeds(adapter, model, tokenizer, records, max_length)
    lines = []
    for embeds in inputs:
        lines.append(json.dumps({"prompt_embeds": served(embeds)}) + "\n")
    write_atomically(target, "".join(lines).encode())
    return target


def library_versions() -> dict[str, str]:
    """The versions of the libraries that decide a prompt's numbers."""
    return {name: version(name) for name in ("torch", "transformers", "safetensors")}


def check_made_for(source: Path, found: ForeignPrompt, given: BaseIdentity) -> None:
    """Refuse, with UserError, a base that contradicts what the source recorded.

    A name may differ, since folders are named freely.
    """
    _, width = found.prompt.shape
    recorded = {"width": width, **found.base}
    for what in ("width", "layers", "heads", "vocabulary", "revision"):
        theirs = recorded.get(what)
        ours = getattr(given, what)
        # What the source did not record cannot contradict.
        if theirs is not None and theirs != ours:
            base = found.base.get("name") or "it was made for"
            raise UserError(
                f"import {source} for {given.name}",
                f"it was made for a model of {what} {theirs}; {given.name} has {what} {ours}",
                mend=f"use the base {base}",
            )
