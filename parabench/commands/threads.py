"""Threads of numerical libraries, where their number would decide the last bit of a result."""

from __future__ import annotations

import os


def fix_order_of_sums() -> None:
    """Let NumPy's linear algebra run in one thread; to be called before NumPy is imported.

    OpenBLAS cuts a product of matrices into a piece a thread, and adds up the edge of a piece in
    another order than its middle. The bounds of bootstrap intervals then differed in their last bit
    between 1 and 2 threads. Models are not concerned: torch has libraries of its own.
    """
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
