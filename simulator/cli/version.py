"""Versions that an answer depends on."""

from __future__ import annotations

import platform
from functools import lru_cache

__all__ = ["version", "versions"]


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version of the installed package."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("learnersim")
    except PackageNotFoundError:
        return "unknown (not installed)"


def versions() -> dict[str, str]:
    """Return the versions of what computes an answer."""
    import numpy as np

    return {"learnersim": version(), "python": platform.python_version(), "numpy": np.__version__}
