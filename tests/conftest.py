"""Settings of all tests: hypothesis draws the same examples every time, so that a failure is one of the code."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("exploring", deadline=None)
settings.load_profile("repeatable")
