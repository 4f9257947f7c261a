"""The contract between the core and its plug-ins.

Three modules, each short enough to be read whole:

- ``values``: what travels between core and plug-ins (examples, settings, signatures, scores);
- ``plugins``: ``System`` and ``Scorer``, and what their builders are handed;
- ``optional``: all that the core may ask beyond these, one Protocol each, with its default.

Axes, used everywhere: N examples, K statistics, C columns; B batch, P prompt length, T tokens, H
hidden, V vocabulary.
"""

from parabench.contracts.optional import (
    EstimatesCost,
    ExplainsUndefined,
    HasBatchSize,
    HasRole,
    HasRuntime,
    HasSoftPrompt,
    HasTrainingRecord,
    NamesModels,
    Releasable,
    SharesEncodings,
    adapter_folder,
    estimated_cost,
    examples_per_call,
    model_names,
    release_models,
    runtime_of,
    shared_encodings,
    system_role,
    training_record,
    undefined_reason,
)
from parabench.contracts.plugins import (
    BuildContext,
    ModelCache,
    Scorer,
    ScorerBuilder,
    System,
    SystemBuilder,
    additive,
    is_additive,
)
from parabench.contracts.values import (
    NOT_FINITE,
    Against,
    Better,
    Column,
    Decoding,
    Example,
    Notice,
    Paraphrase,
    ProgressCallback,
    Role,
    Runtime,
    Score,
    Signature,
    UserError,
)

__all__ = [
    "NOT_FINITE",
    "Against",
    "Better",
    "BuildContext",
    "Column",
    "Decoding",
    "EstimatesCost",
    "Example",
    "ExplainsUndefined",
    "HasBatchSize",
    "HasRole",
    "HasRuntime",
    "HasSoftPrompt",
    "HasTrainingRecord",
    "ModelCache",
    "NamesModels",
    "Notice",
    "Paraphrase",
    "ProgressCallback",
    "Releasable",
    "Role",
    "Runtime",
    "Score",
    "Scorer",
    "ScorerBuilder",
    "SharesEncodings",
    "Signature",
    "System",
    "SystemBuilder",
    "UserError",
    "adapter_folder",
    "additive",
    "estimated_cost",
    "examples_per_call",
    "is_additive",
    "model_names",
    "release_models",
    "runtime_of",
    "shared_encodings",
    "system_role",
    "training_record",
    "undefined_reason",
]
