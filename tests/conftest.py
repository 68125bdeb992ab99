"""How the whole suite runs."""

import os

from hypothesis import HealthCheck, settings

# A gate that fails by luck blocks a change that did nothing wrong: the usual run repeats the same
# examples, `make test-long` looks for new ones, and a busy machine may take its time for each.
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
patient = settings.get_profile("patient")
settings.register_profile("repeatable", patient, derandomize=True)
settings.register_profile("search", patient, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
