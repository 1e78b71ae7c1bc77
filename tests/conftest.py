"""How the properties are tried: the same examples each time in the gate, new ones in a search.

A gate that draws new examples on each run fails one day for what was committed on another. `make
search` draws anew, again and again; what it finds is mended and kept as a test.
"""

import os

from hypothesis import settings

settings.register_profile("gate", derandomize=True, print_blob=True)
settings.register_profile("search", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
