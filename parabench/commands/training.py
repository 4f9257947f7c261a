"""The command that trains a system, or new tasks into a task table."""

from __future__ import annotations

from parabench.commands.help_pages import examples, takes_options
from parabench.commands.pair_training import train_on_pairs
from parabench.commands.task_training import train_into_table
from parabench.commands.training_options import TrainOptions


@examples(
    "parabench train softprompt-40",
    "parabench train softprompt-20 --data tsv:pairs.tsv --steps 2000 --validate-every 200",
    "parabench train finetuned --gradient-checkpointing --dtype bfloat16",
)
@takes_options(TrainOptions, leave_out=("encoder",))
def train_command(given: TrainOptions) -> None:
    """Train a system; run again to resume.

    The suite names the base model, and the test set that no training pair may hold.
    """
    if given.records:
        train_into_table(given)
    else:
        train_on_pairs(given)
