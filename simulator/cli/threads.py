"""Threads of linear algebra: one, where matrices are small."""

from __future__ import annotations

import os

__all__ = ["one_blas_thread"]


def one_blas_thread() -> None:
    """Let NumPy's linear algebra run in one thread, unless the user said otherwise; to be called before NumPy is imported.

    Fits of step times multiply thousands of matrices of a few hundred rows. Two threads of OpenBLAS take several times the
    processor time of one for that, most of it waiting for each other.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        if "OMP_NUM_THREADS" not in os.environ:
            os.environ.setdefault(name, "1")
