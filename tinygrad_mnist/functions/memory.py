"""The memory that a run of a plan takes, and the error where the machine doesn't have it.

A system may promise memory that it doesn't have, and end the process when it is used. So a plan
that doesn't fit is refused before anything is allocated or written.
"""

from __future__ import annotations

import os
from pathlib import Path

from tinygrad_mnist.compile.plan import OUTPUT, TEMPORARY, Plan
from tinygrad_mnist.graph.source import at

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

SMALL = 1 << 26  # bytes; for less the system isn't asked
_CGROUPS = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def check_memory(plan: Plan, workspace: int, name: str, held: int = 0, steps: int = 1) -> None:
    """Raises MemoryError where a run of the plan takes more memory than there is.

    workspace: bytes of the program, beside the plan's. name: of the function. held: bytes of the
    function's arena, which it has for other plans and would use again. steps: how many results are
    kept of each output.
    """
    scratch, results = plan.arena_bytes + workspace, steps * plan.output_bytes
    wanted = results + max(0, scratch - held)
    if wanted < SMALL:
        return
    free = free_bytes()
    if free is not None and wanted > free:
        raise MemoryError(
            f"{name} takes {amount(results + scratch)} of memory, and {amount(free)} are free"
            f"{_largest_array(plan)}"
        )


def _largest_array(plan: Plan) -> str:
    """The largest array of a plan, and the lines of the first call that writes to it, as the tail
    of a message; empty where a plan has none."""
    own = [i for i, b in enumerate(plan.buffers) if b.kind in (OUTPUT, TEMPORARY)]
    if not own:
        return ""
    number = max(own, key=lambda i: plan.buffers[i].nbytes)
    largest = plan.buffers[number]
    writers = (c for c in plan.calls if any(v.buffer == number for v in c.outputs))
    lines = next((call.origins for call in writers), ())
    shape = " x ".join(map(str, largest.shape))
    array = f"{shape} {largest.dtype}, {amount(largest.nbytes)}"
    return f"; its largest array is of {array}{at(*lines)}"


def amount(nbytes: int) -> str:
    """`3.64 TiB`, `298 GiB`, `12 MiB`."""
    value, unit = nbytes / 2**20, "MiB"
    for larger in ("GiB", "TiB", "PiB", "EiB"):
        if value < 999.5:
            break
        value, unit = value / 1024, larger
    return f"{value:.3g} {unit}"


def free_bytes() -> int | None:
    """What this process may still take: of the machine, its control group and its own limits. None
    where the system doesn't say."""
    known = [n for n in (_machine(), _control_group(), _own_limit()) if n is not None]
    return min(known, default=None)


def _machine() -> int | None:
    if _MEMINFO.exists():
        fields = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        available = fields.get("MemAvailable"), fields.get("SwapFree")
        if available[0] is not None:
            return sum(int(field.split()[0]) << 10 for field in available if field is not None)
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _control_group() -> int | None:
    """What a container's limit leaves. Copies of files in memory make room when it is needed."""
    try:
        most = (_CGROUPS / "memory.max").read_text().strip()
        used = int((_CGROUPS / "memory.current").read_text())
        lines = (_CGROUPS / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return None
    if not most.isdecimal():
        return None
    fields = dict(line.split(" ", 1) for line in lines if " " in line)
    given_back = ("inactive_file", "active_file", "slab_reclaimable")
    used -= sum(int(fields.get(name, 0)) for name in given_back)
    return max(0, int(most) - max(0, used))


def _own_limit() -> int | None:
    """What setrlimit leaves, of addresses."""
    if resource is None:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return most
    return max(0, most - pages * os.sysconf("SC_PAGE_SIZE"))
