"""What is read of torch's build equals what torch itself says."""

from __future__ import annotations

import sys

import pytest
import torch

from parabench.models import torch_build


def test_what_is_read_is_what_torch_says() -> None:
    assert torch_build.torch_version() == str(torch.__version__)
    named = torch_build._version_module()
    assert named["cuda"] == torch.version.cuda
    assert named["hip"] == torch.version.hip


def test_a_machine_with_a_gpu_is_never_passed_over() -> None:
    assert torch_build.may_have_gpu() or not torch.cuda.is_available()


@pytest.mark.parametrize(("build", "platform", "device", "may"), [
    ({"cuda": "13.0", "hip": None}, "linux", True, True),
    ({"cuda": "13.0", "hip": None}, "linux", False, False),
    ({"cuda": "13.0", "hip": None}, "win32", False, True),
    ({"cuda": None, "hip": "6.4"}, "linux", True, True),
    ({"cuda": None, "hip": None}, "linux", True, False),
])  # fmt: skip
def test_a_gpu_needs_a_build_and_a_device(
    monkeypatch: pytest.MonkeyPatch, build: dict, platform: str, device: bool, may: bool
) -> None:
    monkeypatch.setattr(torch_build, "_version_module", lambda: build)
    monkeypatch.setattr(sys, "platform", platform)
    there = ("/dev/null",) if device else ("/dev/none-such",)
    monkeypatch.setattr(torch_build, "_GPU_DEVICES", there)
    assert torch_build.may_have_gpu() is may
