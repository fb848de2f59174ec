"""Profiles: the time of every kernel call, compared with the machine's roofline.

`fn.profile(...)` times a function's calls. `measure_roofline()` measures the machine.
"""

from tinygrad_mnist.profiling.measure import profile_runs
from tinygrad_mnist.profiling.records import CallProfile, KernelProfile, Profile
from tinygrad_mnist.profiling.roofline import Roofline, measure_roofline
from tinygrad_mnist.profiling.segmented import SegmentedProfile
from tinygrad_mnist.profiling.timeline import ThreadTime
from tinygrad_mnist.profiling.watch import recording, recording_chunks, watched

__all__ = [
    "CallProfile",
    "KernelProfile",
    "Profile",
    "Roofline",
    "SegmentedProfile",
    "ThreadTime",
    "measure_roofline",
    "profile_runs",
    "recording",
    "recording_chunks",
    "watched",
]
