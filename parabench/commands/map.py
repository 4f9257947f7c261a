"""The command that draws soft prompts among the vocabulary of their base model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parabench.commands.arguments import SuiteOption
from parabench.commands.help_pages import examples
from parabench.contracts import UserError

if TYPE_CHECKING:
    from parabench.explore.promptmap import PromptMap
    from parabench.suites.suite import Suite


@examples("parabench prompt map softprompt-20,softprompt-111 --output results/maps")
def map_command(
    prompts: Annotated[
        str,
        typer.Argument(
            metavar="A,B,…",
            help="Systems with a soft prompt, or adapters, of one base model.",
        ),
    ],
    suite: SuiteOption = "mini",
    nearest: Annotated[
        int, typer.Option(min=1, help="How many vocabulary tokens to name for each position.")
    ] = 5,
    output: Annotated[Path, typer.Option(help="Folder of the map.")] = Path("results/maps"),
) -> None:
    """Draw soft prompts among the vocabulary.

    A page to explore, a picture, and a table of the nearest tokens.
    """
    from parabench.explore import mappage
    from parabench.store.files import write_atomically
    from parabench.suites import suite as suites

    found = _prompt_map(prompts.split(","), suites.load_suite(suite), nearest, output)
    write_atomically(output / "prompt-map.html", mappage.map_to_html(found).encode())
    write_atomically(output / "prompt-map.png", mappage.map_to_png(found))
    write_atomically(output / "nearest.csv", mappage.map_to_csv(found).encode())
    typer.echo(f"{output}/prompt-map.html  prompt-map.png  nearest.csv")


def _prompt_map(names: list[str], suite: Suite, nearest: int, folder: Path) -> PromptMap:
    """The prompts of ``names`` on the plane of their base model, which is kept in ``folder``."""
    from parabench.contracts import Runtime
    from parabench.explore.promptmap import PromptMap, load_or_fit_plane, place_prompt
    from parabench.models.checkpoints import locate
    from parabench.models.loading import load_causal
    from parabench.prompts import adapters
    from parabench.prompts.soft import vocabulary_rows

    checkpoint = locate(
        str(suite.options("system", names[0], "softprompt").get("model") or suite.train.causal)
    )
    folders = {name: _adapter_folder(name, suite, checkpoint.digest) for name in names}
    labels = dict(zip(names, distinct_labels(names), strict=True))
    loaded = {name: adapters.load_adapter(place, checkpoint) for name, place in folders.items()}
    # Only the embeddings are needed, and no forward pass: the CPU is always there.
    model, tokenizer = load_causal(checkpoint, Runtime())
    vocabulary = vocabulary_rows(model).float().cpu()
    plane, digest = load_or_fit_plane(vocabulary.numpy(), folder)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(vocabulary))))
    return PromptMap(
        Path(checkpoint.path).name,
        digest,
        tokens,
        plane.place(vocabulary.numpy()),
        (float(plane.shares[0]), float(plane.shares[1])),
        tuple(
            place_prompt(
                labels[name], adapter, folders[name], plane, vocabulary, tokenizer, nearest
            )
            for name, adapter in loaded.items()
        ),
    )


def distinct_labels(names: list[str]) -> list[str]:
    """The last parts of the names, where these tell them apart; UserError where one occurs
    twice.
    """
    if len(set(names)) < len(names):
        raise UserError(f"map {','.join(names)!r}", "duplicate name", mend="name each prompt once")
    last = [Path(name).name for name in names]
    return last if len(set(last)) == len(last) else names


def _adapter_folder(name: str, suite: Suite, base_digest: str) -> Path:
    """An adapter's folder: the one named, or the one that a run of the suite would use."""
    from parabench.prompts.trained import find_adapter

    if (Path(name) / "adapter_config.json").is_file():
        return Path(name)
    folder = suite.options("system", name, name.partition("-")[0]).get("adapters")
    suite_folder = Path(str(folder)) if folder else None
    return Path(find_adapter(name, suite_folder, base_digest).location)
