"""Model folders that are not as they were saved, and what loading each must come to.

A folder is refused with a message that names the model, within seconds and without running
anything in it; or it loads, and then either has another digest than the whole folder, or is the
very same model.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from parabench.contracts import Runtime, UserError
from parabench.models.checkpoints import locate
from parabench.models.loading import load_causal
from tests.support import tiny

Change = Callable[[Path], object]
REFUSED, OTHER, SAME = "refused", "another digest", "the same model"
SLOWEST, LATEST = 10.0, 120
"""Seconds that a folder may take: of the processor, and whatever else takes it meanwhile."""
WEIGHT = "model.decoder.layers.1.fc1.weight"


def config(**values: Any) -> Change:
    return changed("config.json", **values)


def changed(name: str, **values: Any) -> Change:
    """Set these keys of a JSON file, which is made where it is not there."""

    def change(folder: Path) -> None:
        file = folder / name
        content = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**content, **values}))

    return change


def written(name: str, data: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(data)


def gone(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def cut(name: str, share: float) -> Change:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return change


def weights(change_them: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def change(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        change_them(held)
        save_file(held, folder / "model.safetensors", {"format": "pt"})

    return change


def filled(value: float) -> Change:
    def fill(held: dict[str, torch.Tensor]) -> None:
        held[WEIGHT][0, 0] = value

    return weights(fill)


def index(shard: str) -> Change:
    """An index that names this file for every weight."""

    def change(folder: Path) -> None:
        names = dict.fromkeys(load_file(folder / "model.safetensors"), shard)
        changed("model.safetensors.index.json", metadata={}, weight_map=names)(folder)

    return change


def header(data: bytes) -> Change:
    """A file of weights whose header is this: its length in 8 bytes, then the JSON."""
    return written("model.safetensors", len(data).to_bytes(8, "little") + data)


def code(**names: Any) -> Change:
    """Python of the folder's own, named for what transformers asks for."""

    def change(folder: Path) -> None:
        (folder / "evil.py").write_text(f"open({str(folder / 'canary')!r}, 'w')\n")
        config(auto_map=names, model_type="evil")(folder)

    return change


def tensors(**shape: Any) -> bytes:
    return json.dumps({WEIGHT: {"dtype": "F32", **shape}}).encode()


def pickled(folder: Path) -> None:
    """Weights as a pickle alone."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def linked(name: str, target: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return change


FOLDERS: dict[str, tuple[Change, str]] = {
    # configurations
    "no configuration": (gone("config.json"), REFUSED),
    "a configuration cut off": (cut("config.json", 0.5), REFUSED),
    "a configuration that is no JSON": (written("config.json", b"\xff\xfe"), REFUSED),
    "a configuration that is a list": (written("config.json", b"[1]"), REFUSED),
    "a configuration nested for ever": (written("config.json", b"[" * 100_000), REFUSED),
    "a configuration of 20 MB": (written("config.json", b" " * (20 << 20)), REFUSED),
    "a hundred million layers": (config(num_hidden_layers=10**8), REFUSED),
    "ten billion words": (config(vocab_size=10**10), REFUSED),
    "a trillion positions": (config(max_position_embeddings=10**12), REFUSED),
    "a hidden size of a billion": (config(hidden_size=10**9), REFUSED),
    "layers of a part": (config(text_config={"num_hidden_layers": 10**8}), REFUSED),
    "no layers as text": (config(num_hidden_layers="two"), REFUSED),
    "minus one word": (config(vocab_size=-1), REFUSED),
    "other heads than fit": (config(num_attention_heads=5), REFUSED),
    "an unknown architecture": (config(model_type="unheard-of"), REFUSED),
    "no architecture": (config(model_type=None), REFUSED),
    "another architecture": (config(model_type="gpt2", architectures=["GPT2LMHeadModel"]), REFUSED),
    "more layers than weights": (config(num_hidden_layers=3), REFUSED),
    "another hidden size": (config(hidden_size=64, word_embed_proj_dim=64), REFUSED),
    "code for the configuration": (code(AutoConfig="evil.C"), REFUSED),
    "code for the model": (code(AutoModelForCausalLM="evil.M"), REFUSED),
    "code from elsewhere": (code(AutoConfig="someone/else--evil.C"), REFUSED),
    "weights of another folder": (config(transformers_weights="../x/m.safetensors"), REFUSED),
    # weights
    "no weights": (gone("model.safetensors"), REFUSED),
    "weights as a pickle": (pickled, REFUSED),
    "half of the weights": (cut("model.safetensors", 0.5), REFUSED),
    "no bytes of weights": (written("model.safetensors", b""), REFUSED),
    "a header of 2^60 bytes": (written("model.safetensors", b"\xff" * 8), REFUSED),
    "a header that is no JSON": (header(b"{" * 100), REFUSED),
    "a tensor behind the end": (
        header(tensors(shape=[64, 32], data_offsets=[0, 8192])), REFUSED
    ),
    "a tensor of 2^60 numbers": (
        header(tensors(shape=[2**30, 2**30], data_offsets=[0, 0])), REFUSED
    ),
    "weights that are not a number": (filled(float("nan")), REFUSED),
    "infinite weights": (filled(float("-inf")), REFUSED),
    "a weight is missing": (weights(lambda held: held.pop(WEIGHT)), REFUSED),
    "a weight of another shape": (
        weights(lambda held: held.update({WEIGHT: torch.zeros(3, 3)})), REFUSED
    ),
    "another weight": (filled(0.25), OTHER),
    "weights in half precision": (
        weights(lambda held: held.update({WEIGHT: held[WEIGHT].half()})), OTHER
    ),
    "an adapter in the folder": (changed("adapter_config.json", peft_type="LORA"), REFUSED),
    "a shard of another folder": (index("../other/model.safetensors"), REFUSED),
    "a shard by its whole path": (index("/tmp/model.safetensors"), REFUSED),
    "a shard that is not there": (index("gone.safetensors"), REFUSED),
    "an index cut off": (written("model.safetensors.index.json", b"{"), REFUSED),
    "an index of a list": (written("model.safetensors.index.json", b"[]"), REFUSED),
    "weights through a pipe": (
        lambda folder: (gone("model.safetensors")(folder), os.mkfifo(folder / "model.safetensors")),
        REFUSED,
    ),
    "weights from a device": (linked("model.safetensors", "/dev/zero"), REFUSED),
    # tokenizers
    "no tokenizer": (gone("tokenizer.json"), REFUSED),
    "a tokenizer cut off": (cut("tokenizer.json", 0.5), REFUSED),
    "a tokenizer that is no JSON": (written("tokenizer.json", b"\x00"), REFUSED),
    "an empty tokenizer": (written("tokenizer.json", b"{}"), REFUSED),
    "settings of a tokenizer cut off": (cut("tokenizer_config.json", 0.5), REFUSED),
    "another begin of texts": (changed("tokenizer_config.json", bos_token="<unk>"), OTHER),
    "a chat template": (written("chat_template.jinja", b"{{ messages }}"), OTHER),
    "more chat templates": (
        lambda folder: (
            (folder / "additional_chat_templates").mkdir(),
            written("additional_chat_templates/tool.jinja", b"{{ messages }}")(folder),
        ),
        OTHER,
    ),
    # what decoding obeys, and what nobody reads
    "another end of texts": (changed("generation_config.json", eos_token_id=[2, 9]), OTHER),
    "beams by default": (changed("generation_config.json", num_beams=4), SAME),
    "notes and states": (written("trainer_state.json", b"{}"), SAME),
    "a program beside it": (written("modeling_opt.py", b"raise SystemExit(9)\n"), SAME),
}  # fmt: skip
"""What was done to a folder, and what loading it comes to."""


def _too_late(*_: object) -> None:
    raise TimeoutError(f"no end within {LATEST} s")


class Folders:
    """Copies of one saved model, and what each comes to."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._whole = tiny.opt(place / "whole")
        self._digest = locate(str(self._whole)).digest
        self._logits = self._read(self._whole)

    @staticmethod
    def _read(folder: Path) -> torch.Tensor:
        model, _ = load_causal(locate(str(folder)), Runtime(device="cpu"))
        with torch.no_grad():
            return torch.as_tensor(model(input_ids=torch.tensor([[2, 5, 7, 11]])).logits)

    def problems(self, name: str) -> Iterator[str]:
        """What is wrong with what a folder comes to."""
        change, expected = FOLDERS[name]
        folder = self._place / name.replace(" ", "-")
        shutil.copytree(self._whole, folder)
        change(folder)
        begin = time.process_time()
        found = self._outcome(folder)
        if found != expected:
            yield f"{name}: {found} and not {expected}"
        if (folder / "canary").exists():
            yield f"{name}: its code ran"
        if time.process_time() - begin > SLOWEST:
            yield f"{name}: took {time.process_time() - begin:.0f} s"
        shutil.rmtree(folder)

    def _outcome(self, folder: Path) -> str:
        # whoever reads a pipe that nobody writes to waits for ever
        signal.signal(signal.SIGALRM, _too_late)
        signal.alarm(LATEST)
        try:
            logits = self._read(folder)
        except UserError as refused:
            return (
                REFUSED if folder.name in str(refused) else f"refused without its name: {refused}"
            )
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:200]}"
        finally:
            signal.alarm(0)
        if locate(str(folder)).digest != self._digest:
            return OTHER
        return SAME if torch.equal(logits, self._logits) else "another model of the same digest"


def counted(place: Path, say: Callable[[str], object]) -> Counter[str]:
    """How many folders come to what, and how many to something wrong, which ``say`` is told."""
    tally, folders = Counter[str](), Folders(place)
    for name, (_, expected) in FOLDERS.items():
        found = list(folders.problems(name))
        for problem in found:
            say(problem)
        tally[expected if not found else "wrong"] += 1
    return tally
