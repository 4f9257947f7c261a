"""Run under torchrun by ``test_ranks.py``: one training in as many processes as there are."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from parabench.training.ranks import joined
from parabench.training.requests import carry_out
from tests.support import jobs

torch.set_num_threads(1)
with joined("cpu") as ranks:
    carry_out(jobs.request("finetuned", Path(sys.argv[1]), "two"), ranks=ranks)
