"""Memory of the device that a run computes on: what is free, and what was taken at most."""

from __future__ import annotations

from parabench.contracts import Runtime


def peak_memory(runtime: Runtime) -> int:
    """Bytes of a CUDA device that the probe took at most; 0 elsewhere."""
    if not runtime.device.startswith("cuda"):
        return 0
    import torch

    return torch.cuda.max_memory_allocated(runtime.device)


def available_memory(runtime: Runtime) -> int:
    """Bytes free on the device."""
    import psutil
    import torch

    if runtime.device.startswith("cuda"):
        # what the probe left in torch's own cache is free as well
        torch.cuda.empty_cache()
        free, _ = torch.cuda.mem_get_info(runtime.device)
        return free
    return psutil.virtual_memory().available
