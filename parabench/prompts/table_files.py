"""A task table on disk: the tensors in one file, what they are of in another.

``prompt_table.safetensors`` has one tensor a task, ``prompt_table.json`` the templates and the base
model. After NeMo's prompt table (``prompt_table.py`` v1.10).
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from parabench.contracts import UserError
from parabench.prompts.adapters import check_base
from parabench.prompts.facts import ADAPTER_FORMAT, BaseIdentity
from parabench.prompts.files import (
    damaged_adapter,
    pack_tensors,
    read_adapter_file,
    read_json_object,
    to_json_bytes,
    unpack_tensors,
    verify_checksums,
    with_checksums,
)
from parabench.prompts.table import TaskTable, check_prompt_shape
from parabench.prompts.templates import Template, templates_by_name
from parabench.prompts.validation import STRICT_KEYS, validate_dataclass
from parabench.store.files import make_folder, write_atomically

if TYPE_CHECKING:
    from parabench.models.local import Checkpoint

TABLE_TENSORS_FILE = "prompt_table.safetensors"
TABLE_FACTS_FILE = "prompt_table.json"
PENDING_FACTS_FILE = "prompt_table.next.json"
"""Facts of the tensors that are being written; left behind only by a process that was killed."""


@dataclass(frozen=True)
class TableFacts:
    """The content of ``prompt_table.json``."""

    __pydantic_config__: ClassVar = STRICT_KEYS

    base: BaseIdentity
    templates: tuple[Template, ...]
    sha256: str
    origin: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = ADAPTER_FORMAT


def save_table(
    folder: Path, table: TaskTable, origin: str = "", versions: Mapping[str, str] | None = None
) -> None:
    """Write the table so that it is found either as it was or as it is to be.

    ``origin`` and ``versions`` are recorded beside the templates.
    """
    content = pack_tensors(table.prompts)
    digest = hashlib.sha256(content).hexdigest()
    facts = TableFacts(table.base, table.templates, digest, origin, versions or {})
    described = to_json_bytes(with_checksums(asdict(facts)))
    # Tensors and facts are two files. Until both are new, the pending facts say what new tensors
    # are, so that a table survives a kill between any two of these lines.
    write_atomically(folder / PENDING_FACTS_FILE, described)
    write_atomically(folder / TABLE_TENSORS_FILE, content)
    write_atomically(folder / TABLE_FACTS_FILE, described)
    (folder / PENDING_FACTS_FILE).unlink()


def load_table(folder: Path, base: Checkpoint | None = None) -> TaskTable:
    """Read and verify a table.

    Raises UserError for missing, damaged or inconsistent files; with ``base`` also for a table made
    for another model.
    """
    if not has_table(folder):
        found = f"no {TABLE_TENSORS_FILE} in it" if folder.is_dir() else "no such folder"
        mend = "parabench tasks train TABLE makes one, and parabench tasks add TABLE SOURCE"
        raise UserError(f"read the task table {folder}", found, mend=mend)
    content = read_adapter_file(folder, TABLE_TENSORS_FILE)
    digest = hashlib.sha256(content).hexdigest()
    facts = _facts_of(folder, digest)
    # From here on tensors and facts are of one save.
    prompts = unpack_tensors(folder / TABLE_TENSORS_FILE, content)
    templates = templates_by_name(facts.templates)
    if set(prompts) != set(templates):
        found = f"tensors of {sorted(prompts)}, templates of {sorted(templates)}"
        raise damaged_adapter(folder, found)
    for name, template in templates.items():
        check_prompt_shape(folder, facts.base, template, prompts[name])
    if base is not None:
        check_base(folder, facts.base, base)
    return TaskTable(facts.base, facts.templates, prompts)


def has_table(folder: Path) -> bool:
    """Whether a table was saved in the folder."""
    return (folder / TABLE_TENSORS_FILE).exists()


@contextmanager
def table_lock(folder: Path) -> Iterator[None]:
    """Hold the folder for one process while it reads, changes and writes its table."""
    make_folder(folder)
    with (folder / ".lock").open("w") as file:
        # The kernel's lock, which ends with the process however that ends.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _facts_of(folder: Path, digest: str) -> TableFacts:
    """The facts written for the tensors with this SHA-256."""
    pending = folder / PENDING_FACTS_FILE
    if pending.exists():
        facts = _read_facts(folder, PENDING_FACTS_FILE)
        if facts.sha256 == digest:
            return facts
    facts = _read_facts(folder, TABLE_FACTS_FILE)
    if facts.sha256 != digest:
        found = f"{TABLE_TENSORS_FILE} is not the file that {TABLE_FACTS_FILE} was written for"
        raise damaged_adapter(folder, found)
    return facts


def _read_facts(folder: Path, name: str) -> TableFacts:
    content = verify_checksums(folder, name, read_json_object(folder, name))
    return validate_dataclass(TableFacts, content, f"read the task table {folder}")
