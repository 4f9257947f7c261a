"""NeMo's prompt table: a tar archive of a YAML file and a checkpoint of tensors; nothing in it is
executed.

Layout after ``megatron_gpt_prompt_learning_model.py`` and ``prompt_table.py`` v1.10, and
``prompt_encoder.py`` v1.17.
"""

from __future__ import annotations

import dataclasses
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from jaxtyping import Float
from torch import Tensor

from parabench.contracts import UserError
from parabench.models.pickles import read_tensors
from parabench.prompts.files import check_matrix, damaged_adapter
from parabench.prompts.templates import Template, parse_template, templates_by_name

NEMO_WEIGHTS_FILE, NEMO_CONFIG_FILE = "model_weights.ckpt", "model_config.yaml"
PROMPT = re.compile(r"(?:^|\.)prompt_table\.([^.]+)\.prompt_embeddings\.weight$")


def read_nemo(source: Path) -> tuple[tuple[Template, ...], Mapping[str, Float[Tensor, "_ H"]]]:
    """The templates and prompts of a ``.nemo`` file, tasks that have both; UserError where it has
    none.
    """
    members = _members(source)
    tensors = read_tensors(f"{source.name}:{NEMO_WEIGHTS_FILE}", members[NEMO_WEIGHTS_FILE])
    found = {match[1]: tensor for name, tensor in tensors.items() if (match := PROMPT.search(name))}
    prompts = {task: check_matrix(source, prompt) for task, prompt in found.items()}
    templates = tuple(
        parse_template(task)
        for task in _templates(source, members[NEMO_CONFIG_FILE])
        if task.get("taskname") in prompts
    )
    if not templates:
        raise damaged_adapter(
            source, f"prompts of {', '.join(prompts) or 'no task'}, and no template of theirs"
        )
    return templates, {name: prompts[name] for name in templates_by_name(templates)}


def _members(source: Path) -> dict[str, bytes]:
    try:
        with tarfile.open(source) as archive:
            files = {
                PurePosixPath(member.name).name: member
                for member in archive.getmembers()
                if member.isfile()
            }
            wanted = {
                name: archive.extractfile(files[name])
                for name in (NEMO_WEIGHTS_FILE, NEMO_CONFIG_FILE)
                if name in files
            }
            content = {name: file.read() for name, file in wanted.items() if file}
    except (OSError, tarfile.TarError, EOFError) as error:
        raise UserError(
            f"read the NeMo file {source}", f"not a whole tar archive ({error})"
        ) from None
    if len(content) < 2:
        found = f"{', '.join(sorted(files)) or 'nothing'}, not {NEMO_WEIGHTS_FILE} and {NEMO_CONFIG_FILE}"
        raise UserError(
            f"read the NeMo file {source}", found, mend="use a prompt-learning .nemo of one rank"
        )
    return content


def _templates(source: Path, content: bytes) -> list[dict[str, Any]]:
    known = {field.name for field in dataclasses.fields(Template)}
    try:
        tasks = yaml.safe_load(content)["task_templates"]
        return [{key: value for key, value in task.items() if key in known} for task in tasks]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise damaged_adapter(
            source, f"{NEMO_CONFIG_FILE} has no list task_templates ({type(error).__name__})"
        ) from None
