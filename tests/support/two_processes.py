"""Run under torchrun by ``test_ranks.py``: one training in as many processes as there are."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from parabench.training.ranks import join_processes
from parabench.training.requests import run_training
from tests.support import jobs

torch.set_num_threads(1)
with join_processes("cpu") as ranks:
    run_training(jobs.request("finetuned", Path(sys.argv[1]), "two"), ranks=ranks)
