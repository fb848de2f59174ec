"""Times this package beside other frameworks: each mode is a process, and the processes take turns.

A turn is a fraction of a second, and times are compared between neighbouring turns, so that other
work on the machine slows all of them equally. `python -m benchmarks --help` lists what can be run.
"""

import sys
from pathlib import Path

# `python -m` searches the clone first, but only the installed package has the compiled kernels.
_CLONE = str(Path(__file__).parents[1])
if _CLONE in sys.path:
    sys.path.remove(_CLONE)
    sys.path.append(_CLONE)
