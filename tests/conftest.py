"""How the whole suite runs."""

import os

from hypothesis import settings

# A gate that fails by luck blocks a change that did nothing wrong: the usual run repeats the same
# examples, `make test-long` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
