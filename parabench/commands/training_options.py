"""Options of the commands that train: ``train``, ``tasks train`` and ``search`` share these tables.

Each option has one name, one type, one description and one group of the help page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from parabench.commands.training_data import CorpusOption, TestFileOption, TrainSuiteOption
from parabench.contracts import UserError

_DATA = "Data"
_SCHEDULE = "Schedule"
_TASKS = "Task table (parabench tasks)"
_VALIDATION = "Validation"
_PROMPT = "Prompt and model"
_MACHINE = "Machine and output"

TrainNameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="softprompt-N, ptuning-N, ptuning-mlp-N, lora-R, finetuned or bart."
    ),
]
TasksOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Several tasks at once: a TOML table for each, or with --records a tasks file.",
        rich_help_panel=_DATA,
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option(help="The model to start from, instead of the suite's.", rich_help_panel=_PROMPT),
]
TableRecordsOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Records of the tasks in --tasks; NAME is then a task table's folder.",
        rich_help_panel=_TASKS,
    ),
]
DevRecordsOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Held-out records.", rich_help_panel=_TASKS),
]
MethodOption = Annotated[
    str,
    typer.Option(metavar="prompt|ptuning", help="How tasks are tuned.", rich_help_panel=_TASKS),
]
NewTasksOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…", help="Tasks to tune; all that the table lacks.", rich_help_panel=_TASKS
    ),
]
ExistingTasksOption = Annotated[
    str,
    typer.Option(
        metavar="A,B,…", help="Tasks that the table has, and keeps.", rich_help_panel=_TASKS
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        metavar="lstm|mlp|tpmlp|peft-lstm|peft-mlp",
        help="p-tuning's encoder; lstm if not given.",
        rich_help_panel=_TASKS,
    ),
]
DevOption = Annotated[
    int,
    typer.Option(help="About how many pairs to hold out for validation.", rich_help_panel=_DATA),
]
StepsOption = Annotated[
    int | None, typer.Option(help="Updates to make.", rich_help_panel=_SCHEDULE)
]
MinutesOption = Annotated[
    float | None,
    typer.Option(help="Minutes of training, instead of updates.", rich_help_panel=_SCHEDULE),
]
LearningRateOption = Annotated[
    float | None,
    typer.Option(help="The highest learning rate of the schedule.", rich_help_panel=_SCHEDULE),
]
TrainBatchOption = Annotated[
    int | None, typer.Option(help="Batch size in rows.", rich_help_panel=_SCHEDULE)
]
AccumulationOption = Annotated[
    int | None, typer.Option(help="Batches in an update.", rich_help_panel=_SCHEDULE)
]
OptimizerOption = Annotated[
    str | None,
    typer.Option(
        metavar="adamw|adam|sgd|adafactor", help="The optimiser.", rich_help_panel=_SCHEDULE
    ),
]
ScheduleOption = Annotated[
    str | None,
    typer.Option(
        metavar="constant|linear|cosine|plateau",
        help="Learning rate schedule.",
        rich_help_panel=_SCHEDULE,
    ),
]
WarmupOption = Annotated[
    int | None,
    typer.Option(help="Updates over which the rate rises.", rich_help_panel=_SCHEDULE),
]
PresetOption = Annotated[
    str | None,
    typer.Option(metavar="origin", help="Settings of a published run.", rich_help_panel=_SCHEDULE),
]
ValidateEveryOption = Annotated[
    int | None,
    typer.Option(help="Updates between validations; 0: at the end.", rich_help_panel=_VALIDATION),
]
PatienceOption = Annotated[
    int | None,
    typer.Option(
        help="Validations without a better one before the end.", rich_help_panel=_VALIDATION
    ),
]
ValidationTextsOption = Annotated[
    int,
    typer.Option(
        help="Held-out sentences to paraphrase at each validation.", rich_help_panel=_VALIDATION
    ),
]
ValidationScorersOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,…",
        help="Scorers of these paraphrases; if not, the headline's, or ibleu if that needs people.",
        rich_help_panel=_VALIDATION,
    ),
]
SnapshotsOption = Annotated[
    int,
    typer.Option(
        help="Updates between copies of the prompt, for its map; 0: none.",
        rich_help_panel=_PROMPT,
    ),
]
GradientCheckpointingOption = Annotated[
    bool,
    typer.Option(
        "--gradient-checkpointing",
        help="Whole models: recompute activations, for less memory and more time.",
        rich_help_panel=_PROMPT,
    ),
]
InitialiserOption = Annotated[
    str | None,
    typer.Option(
        help="Where a prompt starts: sampled:1000, text:…, uniform.", rich_help_panel=_PROMPT
    ),
]
TrainSeedOption = Annotated[
    int, typer.Option(help="Seed of every random choice.", rich_help_panel=_MACHINE)
]
TrainDeviceOption = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda[:i]", help="Where to train.", rich_help_panel=_MACHINE),
]
TrainDtypeOption = Annotated[
    str,
    typer.Option(metavar="float32|bfloat16", help="Model dtype.", rich_help_panel=_MACHINE),
]
TrainOutputOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the result; the same folder is resumed.", rich_help_panel=_MACHINE
    ),
]
SaveEveryOption = Annotated[
    int | None,
    typer.Option(help="Updates between checkpoints.", rich_help_panel=_MACHINE),
]
TrackOption = Annotated[
    str | None,
    typer.Option(
        metavar="tensorboard|wandb|trackio", help="Experiment tracker.", rich_help_panel=_MACHINE
    ),
]


@dataclass(frozen=True)
class TrainOptions:
    """What was typed after ``train`` or ``tasks train``: their options, each by its name.

    ``name`` is a system's name, or the folder of a task table where ``records`` are given.
    """

    name: TrainNameArgument
    suite: TrainSuiteOption = "mini"
    data: CorpusOption = None
    tasks: TasksOption = None
    dev: DevOption = 200
    test: TestFileOption = None
    records: TableRecordsOption = None
    dev_records: DevRecordsOption = None
    method: MethodOption = "ptuning"
    new: NewTasksOption = None
    existing: ExistingTasksOption = ""
    encoder: EncoderOption = None
    steps: StepsOption = None
    minutes: MinutesOption = None
    learning_rate: LearningRateOption = None
    batch_size: TrainBatchOption = None
    accumulation: AccumulationOption = None
    optimizer: OptimizerOption = None
    schedule: ScheduleOption = None
    warmup: WarmupOption = None
    preset: PresetOption = None
    validate_every: ValidateEveryOption = None
    patience: PatienceOption = None
    validation_texts: ValidationTextsOption = 0
    scorers: ValidationScorersOption = None
    base: BaseOption = None
    initialiser: InitialiserOption = None
    snapshots: SnapshotsOption = 0
    gradient_checkpointing: GradientCheckpointingOption = False
    seed: TrainSeedOption = 0
    device: TrainDeviceOption = "auto"
    dtype: TrainDtypeOption = "float32"
    save_every: SaveEveryOption = None
    track: TrackOption = None
    output: TrainOutputOption = None

    def __post_init__(self) -> None:
        """Raise UserError for amounts below 0, before any data are read."""
        for name in ("dev", "validation_texts", "snapshots"):
            amount = getattr(self, name)
            if amount < 0:
                asked = f"train with --{name.replace('_', '-')} {amount}"
                raise UserError(asked, mend="a number of 0 or more")

    @property
    def settings(self) -> dict[str, Any]:
        """Those that are fields of ``TrainingConfig``, and the batch size; None is not given."""
        return {
            "seed": self.seed,
            "steps": self.steps,
            "minutes": self.minutes,
            "learning_rate": self.learning_rate,
            "batch_size": self.batch_size,
            "accumulation": self.accumulation,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "warmup": self.warmup,
            "validate_every": self.validate_every,
            "patience": self.patience,
            "save_every": self.save_every,
        }

    def given(self, names: Sequence[str]) -> list[str]:
        """Those of the options called ``names`` that were given, as they are typed."""
        unset = TrainOptions(self.name)
        # A list option that was not given is None or empty, as the version of typer has it.
        changed = [name for name in names if getattr(self, name) not in (getattr(unset, name), [])]
        return ["--" + name.replace("_", "-") for name in changed]
