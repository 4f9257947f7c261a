"""The command that trains a system, or new tasks into a task table."""

from __future__ import annotations

from parabench.commands import training_options as options
from parabench.commands.help_pages import examples
from parabench.commands.pair_training import train_on_pairs
from parabench.commands.task_training import train_into_table
from parabench.commands.training_data import CorpusOption, TestFileOption, TrainSuiteOption


@examples(
    "parabench train softprompt-40",
    "parabench train softprompt-20 --data tsv:pairs.tsv --steps 2000 --validate-every 200",
    "parabench train finetuned --gradient-checkpointing --dtype bfloat16",
)
def train_command(
    name: options.TrainNameArgument,
    suite: TrainSuiteOption = "mini",
    data: CorpusOption = None,
    tasks: options.TasksOption = None,
    dev: options.DevOption = 200,
    test: TestFileOption = None,
    records: options.TableRecordsOption = None,
    dev_records: options.DevRecordsOption = None,
    method: options.MethodOption = "ptuning",
    new: options.NewTasksOption = None,
    existing: options.ExistingTasksOption = "",
    steps: options.StepsOption = None,
    minutes: options.MinutesOption = None,
    learning_rate: options.LearningRateOption = None,
    batch_size: options.TrainBatchOption = None,
    accumulation: options.AccumulationOption = None,
    optimizer: options.OptimizerOption = None,
    schedule: options.ScheduleOption = None,
    warmup: options.WarmupOption = None,
    preset: options.PresetOption = None,
    validate_every: options.ValidateEveryOption = None,
    patience: options.PatienceOption = None,
    validation_texts: options.ValidationTextsOption = 0,
    scorers: options.ValidationScorersOption = None,
    base: options.BaseOption = None,
    initialiser: options.InitialiserOption = None,
    snapshots: options.SnapshotsOption = 0,
    gradient_checkpointing: options.GradientCheckpointingOption = False,
    seed: options.TrainSeedOption = 0,
    device: options.TrainDeviceOption = "auto",
    dtype: options.TrainDtypeOption = "float32",
    save_every: options.SaveEveryOption = None,
    track: options.TrackOption = None,
    output: options.TrainOutputOption = None,
) -> None:
    """Train a system; run again to resume.

    The suite names the base model, and the test set that no training pair may hold.
    """
    # The first statement, so that the local names are the options and nothing else.
    given = options.TrainOptions(**locals())
    if given.records:
        train_into_table(given)
    else:
        train_on_pairs(given)
