"""What is known about a soft prompt besides its numbers: its template, its base model, its
training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from parabench.prompts.templates import Template
from parabench.prompts.validation import STRICT_KEYS

if TYPE_CHECKING:
    from parabench.models.local import Checkpoint
from parabench.models.checkpoints import load_config

ADAPTER_FORMAT = 2


@dataclass(frozen=True)
class BaseIdentity:
    """The model a prompt was trained in front of: ``vocabulary`` rows of ``width`` numbers, pinned
    by ``digest``.

    ``layers`` and ``heads`` are there because PEFT wants them. ``digest`` is None where nobody
    recorded it.
    """

    __pydantic_config__: ClassVar = STRICT_KEYS

    name: str
    width: int
    vocabulary: int
    layers: int
    heads: int
    revision: str | None = None
    digest: str | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> BaseIdentity:
        """The identity of a located checkpoint, from its configuration alone."""
        config: Any = load_config(checkpoint)
        width = getattr(config, "word_embed_proj_dim", config.hidden_size)
        layers = config.num_hidden_layers
        heads = config.num_attention_heads
        return cls(
            checkpoint.reference,
            width,
            config.vocab_size,
            layers,
            heads,
            checkpoint.revision,
            checkpoint.digest,
        )


@dataclass(frozen=True)
class AdapterFacts:
    """What is known about a prompt besides its numbers; PEFT ignores all of it.

    ``encoder`` holds the settings of p-tuning's encoder (kind, hidden, layers, dropout; empty for
    prompt tuning), ``loss`` the (step, nats per token) pairs seen, ``data`` the training data's
    fingerprint, ``origin`` where an imported prompt came from. ``sha256`` is of the tensor file and
    is filled in by ``save``.
    """

    __pydantic_config__: ClassVar = STRICT_KEYS

    template: Template
    base: BaseIdentity
    encoder: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    initialiser: str = ""
    seed: int | None = None
    data: str = ""
    loss: tuple[tuple[int, float], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    sha256: str = ""
    format: int = ADAPTER_FORMAT
