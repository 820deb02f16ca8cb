"""Settings of all tests: hypothesis draws the same examples every time, so that a failure is one of the code."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker per core: threads of BLAS would only wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("exploring", deadline=None)
settings.load_profile("repeatable")
