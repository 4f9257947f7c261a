"""The commands about soft prompts: adapters in and out, and what a prompt is near."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parabench.commands.arguments import SuiteOption
from parabench.commands.help_pages import examples
from parabench.commands.terminal import print_pairs, print_text
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.contracts import BuildContext

_LARGEST = 1 << 20
"""Bytes of a file with a template."""
_Folder = Annotated[Path, typer.Argument(help="An adapter's folder.")]
_BaseModel = Annotated[str, typer.Option(help="The base model: a folder or a hub id.")]
_SystemName = Annotated[
    str, typer.Argument(metavar="SYSTEM", help="A system with a soft prompt, as softprompt-111.")
]


@examples(
    "parabench prompt import peft-folder results/checkpoints/softprompt-20 "
    "--base facebook/opt-1.3b",
    "parabench prompt import trained.ckpt imported --base facebook/opt-1.3b",
)
def import_prompt_command(
    source: Annotated[
        Path,
        typer.Argument(
            help="A PEFT folder, a Paraphrase-OPT .ckpt, a .nemo, a .safetensors, "
            "a stopped training."
        ),
    ],
    target: Annotated[
        Path, typer.Argument(help="The folder to make; its name is the system's name.")
    ],
    base: _BaseModel,
    task: Annotated[str, typer.Option(help="Which prompt, where the source holds several.")] = "",
    template: Annotated[
        Path | None, typer.Option(help="The task template it was trained in, as JSON.")
    ] = None,
) -> None:
    """Import a prompt that was trained elsewhere.

    Nothing in the file is executed.
    """
    from parabench.explore.nearest import describe_adapter
    from parabench.models.checkpoints import locate
    from parabench.prompts import templates
    from parabench.prompts.convert import import_adapter
    from parabench.prompts.lora import import_lora, is_lora
    from parabench.training.stopped import export_stopped, is_stopped_training

    # The three sources are told apart by their files, so that none need be named.
    if is_stopped_training(source):
        step = export_stopped(source, target, locate(base))
        typer.echo(f"{target}: step {step} of the training in {source}")
        return
    written = templates.parse_template(_read_template(template)) if template else None
    if is_lora(source):
        made = import_lora(source, target, locate(base), written)
        typer.echo(f"{target}: low-rank updates of {len(made.factors)} layers, {made.digest[:12]}")
        return
    print_pairs(describe_adapter(import_adapter(source, target, locate(base), written, task)))


@examples(
    "parabench prompt export results/checkpoints/softprompt-20 exported",
    "parabench prompt export ADAPTER inputs.jsonl --format prompt_embeds --base MODEL --data FILE",
)
def export_prompt_command(
    folder: _Folder,
    target: Annotated[Path, typer.Argument(help="Where to write it.")],
    form: Annotated[
        str,
        typer.Option("--format", metavar="peft|safetensors|prompt_embeds", help="What to write."),
    ] = "peft",
    base: Annotated[
        str | None, typer.Option(help="For prompt_embeds: the base model, a folder or a hub id.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="For prompt_embeds: one sentence a line, or JSONL records.")
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help="For peft: a Hugging Face model card beside it.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="For the card: a run folder with the adapter's scores.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="For the card: its name there, if not the folder's.")
    ] = None,
    licence: Annotated[
        str, typer.Option("--license", help="For the card: of the prompt, as apache-2.0.")
    ] = "",
    data_licence: Annotated[
        str, typer.Option("--data-license", help="For the card: of the training data.")
    ] = "",
) -> None:
    """Write an adapter for other tools.

    As ``prompt_embeds``, whole inputs for a serving engine.
    """
    from parabench.prompts.adapters import load_adapter
    from parabench.prompts.convert import export_adapter
    from parabench.prompts.lora import export_lora, is_lora

    _check_format(folder, form, card)
    if is_lora(folder):
        typer.echo(export_lora(folder, target))
        return
    if form == "prompt_embeds":
        typer.echo(_export_embeds(folder, target, base, data))
        return
    typer.echo(export_adapter(load_adapter(folder), target, form))
    if card:
        name = system or folder.resolve().name
        _write_card(folder, target, results, name, licence, data_licence)


def _check_format(folder: Path, form: str, card: bool) -> None:
    """Refuse a format that the adapter in ``folder`` has not, or that has no place for a card."""
    from parabench.prompts.lora import is_lora

    # A low-rank adapter has no prompt that could be written in the other formats.
    if is_lora(folder) and (card or form != "peft"):
        asked = f"export the low-rank adapter {folder} as {'a card' if card else form}"
        raise UserError(asked, "it is written in PEFT's format alone", mend="--format peft")
    if card and form != "peft":
        asked = f"write a model card beside {form}"
        raise UserError(asked, "it belongs to a folder", mend="--format peft --card")


def _write_card(
    folder: Path, target: Path, results: Path | None, name: str, licence: str, data_licence: str
) -> None:
    """The model card of an adapter beside its export, with its row of a run's leaderboard."""
    from parabench.prompts.adapters import load_adapter
    from parabench.report.board import board_from_json
    from parabench.report.card import to_card
    from parabench.store.files import read_bytes, write_atomically

    board = (
        board_from_json(read_bytes(results / "leaderboard.json").decode("utf-8", "replace"))
        if results
        else None
    )
    write_atomically(
        target / "README.md",
        to_card(load_adapter(folder), name, board, licence, data_licence).encode(),
    )
    typer.echo(target / "README.md")


def _export_embeds(folder: Path, target: Path, base: str | None, data: Path | None) -> Path:
    """One line of input embeddings for each sentence of a file, soft prompt included."""
    from parabench.contracts import Runtime
    from parabench.data.lines import json_record, read_lines
    from parabench.models.checkpoints import locate
    from parabench.models.loading import load_causal
    from parabench.prompts.adapters import load_adapter
    from parabench.prompts.convert import export_prompt_embeds

    if base is None or data is None:
        found = "no base model or no sentences"
        raise UserError("export prompt_embeds", found, mend="add --base MODEL --data FILE")
    checkpoint = locate(base)
    adapter = load_adapter(folder, checkpoint)
    model, tokenizer = load_causal(checkpoint, Runtime())
    lines = read_lines(data)
    structured = data.suffix == ".jsonl"
    records = (json_record(data, n, line) if structured else {"source": line} for n, line in lines)
    return export_prompt_embeds(
        adapter, model, tokenizer, records, target, model.config.max_position_embeddings
    )


@examples("parabench prompt show results/checkpoints/softprompt-20")
def show_prompt_command(folder: _Folder) -> None:
    """Show what is known about an adapter."""
    from parabench.explore.nearest import describe_adapter
    from parabench.prompts.adapters import load_adapter

    print_pairs(describe_adapter(load_adapter(folder)))


@examples("parabench prompt verify results/checkpoints/softprompt-20 --base facebook/opt-1.3b")
def verify_prompt_command(
    folder: _Folder,
    base: Annotated[
        str | None, typer.Option(help="Check that it was made for this base model.")
    ] = None,
) -> None:
    """Check an adapter's checksum, numbers and base."""
    from parabench.models.checkpoints import locate
    from parabench.prompts.adapters import load_adapter
    from parabench.prompts.lora import is_lora, load_lora

    if is_lora(folder):
        lora = load_lora(folder, locate(base) if base else None)
        typer.echo(f"intact: updates of {len(lora.factors)} layers, digest {lora.digest}")
        return
    adapter = load_adapter(folder, locate(base) if base else None)
    typer.echo(f"intact: {len(adapter.prompt)} virtual tokens, sha256 {adapter.digest}")


@examples("parabench prompt explain softprompt-111 --nearest 5")
def explain_command(
    system: _SystemName,
    suite: SuiteOption = "mini",
    nearest: Annotated[
        int, typer.Option(help="How many vocabulary tokens to show for each position.")
    ] = 5,
) -> None:
    """Show which tokens a soft prompt is near.

    For each position the nearest tokens, its norm, how far it moved, and its near-duplicate.
    """
    from parabench.contracts import BuildContext
    from parabench.explore.nearest import nearest_of_system

    built = _system_of_suite(system, suite, BuildContext())
    rows = nearest_of_system(built, nearest)
    heading = "position  norm   ratio  moved  near-duplicate"
    typer.echo(f"{heading}  {'nearest by cosine':<40} nearest by distance")
    # Widths fit the heading's; tokens may be of any script, and make a line longer.
    for number, row in enumerate(rows):
        from_init = "-" if row.distance_from_init is None else f"{row.distance_from_init:.2f}"
        duplicate = "-" if row.near_duplicate is None else str(row.near_duplicate)
        cosine = " ".join(f"{near.token}:{near.value:.2f}" for near in row.cosine)
        distance = " ".join(f"{near.token}:{near.value:.2f}" for near in row.euclidean)
        norms = f"{row.norm:<5.2f}  {row.relative_norm:<5.2f}"
        print_text(
            f"{number:>8}  {norms}  {from_init:<5}  {duplicate:<14}  {cosine:<40} {distance}"
        )


def _system_of_suite(name: str, suite: str, setting: BuildContext) -> Any:
    """A system as its suite defines it."""
    from parabench.pipeline import plan
    from parabench.suites import suite as suites

    return plan.build_plugin("system", name, suites.load_suite(suite), setting)


def _read_template(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the user's."""
    from parabench.data.text_files import read_whole

    try:
        found = json.loads(read_whole(path, _LARGEST).decode())
    except (OSError, ValueError) as error:
        raise UserError(
            f"read the template {path}", str(error), mend="give a file of one JSON object"
        ) from None
    if not isinstance(found, dict):
        raise UserError(
            f"read the template {path}", "not a JSON object", mend="give a file of one JSON object"
        )
    return found
