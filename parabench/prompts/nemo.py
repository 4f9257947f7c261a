"""NeMo's prompt table: a tar archive of a YAML file and a checkpoint of tensors; nothing in it is
executed.

Layout after ``megatron_gpt_prompt_learning_model.py`` and ``prompt_table.py`` v1.10, and
``prompt_encoder.py`` v1.17.
"""

from __future__ import annotations

import dataclasses
import lzma
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.models.pickles import read_tensors
from parabench.prompts.files import check_matrix, damaged_adapter
from parabench.prompts.task_file import check_written_template, parse_yaml, with_answer
from parabench.prompts.templates import Template, parse_template, templates_by_name
from parabench.store.files import check_regular

NEMO_WEIGHTS_FILE, NEMO_CONFIG_FILE = "model_weights.ckpt", "model_config.yaml"
_LARGEST = 1 << 30
"""Bytes that an archive of prompts may unpack to: no table of prompts comes near it."""
PROMPT = re.compile(r"(?:^|\.)prompt_table\.([^.]+)\.prompt_embeddings\.weight$")


def read_nemo(source: Path) -> tuple[tuple[Template, ...], Mapping[str, Float[Tensor, "_ H"]]]:
    """The templates and prompts of a ``.nemo`` file: of the tasks that have both.

    Raises UserError where it is no such archive, holds anything but tensors, or has no such task.
    """
    members = _members(source)
    name = f"{source.name}:{NEMO_WEIGHTS_FILE}"
    tensors = read_tensors(name, members[NEMO_WEIGHTS_FILE])
    prompts = {}
    for key, tensor in tensors.items():
        match = PROMPT.search(key)
        # Other keys, such as the encoder's, are passed over.
        if match is not None:
            prompts[match[1]] = check_matrix(source, tensor)
    templates = []
    for settings in _templates(source, members[NEMO_CONFIG_FILE]):
        # Templates of tasks that were never trained stand in the configuration too.
        if settings.get("taskname") in prompts:
            templates.append(_template(source, settings))
    if not templates:
        tasks = ", ".join(prompts) or "no task"
        raise damaged_adapter(source, f"prompts of {tasks}, and no template of theirs")
    by_name = templates_by_name(tuple(templates))
    trained = {task: prompts[task] for task in by_name}
    return tuple(templates), trained


def _members(source: Path) -> dict[str, bytes]:
    """The two files of the archive that are needed, wherever in its folders they lie."""
    asked = f"read the NeMo file {source}"
    content: dict[str, bytes] = {}
    present: list[str] = []
    check_regular(source)
    unpacked = 0
    try:
        with tarfile.open(source) as archive:
            # member by member: a packed archive is unpacked as far as it is looked at
            for member in archive:
                unpacked += member.size
                if unpacked > _LARGEST:
                    found = f"more than {_LARGEST:,} bytes once it is unpacked"
                    raise UserError(asked, found, mend="export the prompts alone")
                # Some archives write ./model_config.yaml, others leave the folder out.
                name = PurePosixPath(member.name).name
                if not member.isfile():
                    continue
                present.append(name)
                if name not in (NEMO_WEIGHTS_FILE, NEMO_CONFIG_FILE):
                    continue
                if file := archive.extractfile(member):
                    content[name] = file.read()
    except (OSError, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(asked, f"not a whole tar archive ({error})") from None
    if len(content) < 2:
        names = ", ".join(sorted(present)) or "nothing"
        found = f"{names}, not {NEMO_WEIGHTS_FILE} and {NEMO_CONFIG_FILE}"
        raise UserError(asked, found, mend="use a prompt-learning .nemo of one rank")
    return content


def _template(source: Path, settings: Mapping[str, Any]) -> Template:
    try:
        template = parse_template(with_answer(settings))
        check_written_template(template)
    except UserError as error:
        asked = f"read the template of task {settings.get('taskname')!r} in {source}"
        raise UserError(asked, error.found, error.choices, error.mend) from None
    return template


def _templates(source: Path, content: bytes) -> list[dict[str, Any]]:
    """The settings of each task, without those keys that NeMo derived and wrote beside them."""
    known = {field.name for field in dataclasses.fields(Template)}
    found = []
    try:
        config: Any = parse_yaml(content)
        for task in config["task_templates"]:
            found.append({key: value for key, value in task.items() if key in known})
    except (
        yaml.YAMLError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        RecursionError,
    ) as error:
        kind = type(error).__name__
        found_text = f"{NEMO_CONFIG_FILE} has no list task_templates ({kind})"
        raise damaged_adapter(source, found_text) from None
    return found
