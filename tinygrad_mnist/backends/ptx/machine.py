"""Runs a kernel: all threads of many blocks at once, block of code by block of code.

Of the blocks of code that threads wait to run, the one that comes first in the text runs first, for
all threads that are there. So threads that have parted meet again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends.ptx import arithmetic, data, exact, logic, overflow, warp
from tinygrad_mnist.backends.ptx.blocks import Block, code_of
from tinygrad_mnist.backends.ptx.memory import (
    LOCAL_BASE,
    SHARED_STEP,
    STEP,
    VARIABLE_BASE,
    AddressSpace,
    Allocation,
    Window,
)
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.backends.ptx.overflow import Overflow
from tinygrad_mnist.backends.ptx.parse import parse
from tinygrad_mnist.backends.ptx.program import Instruction, Parameter, Variable
from tinygrad_mnist.backends.ptx.races import Shadow
from tinygrad_mnist.backends.ptx.types import DTYPES, PtxError
from tinygrad_mnist.backends.ptx.writer import Writer, lacking
from tinygrad_mnist.contracts.core.base import Array

# Threads that run at once: enough that NumPy's cost of a call is small, and that a register still
# fits in the L1 cache.
THREADS_AT_ONCE = 8192
WARP = 32
EMITTERS = (arithmetic, data, logic, warp)  # they register what they write

Lanes = Any  # numbers of threads as an array, or None for all


class Shape(NamedTuple):
    """Threads of a launch; shared_bytes: dynamic shared memory of a block."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0


class Kernel:
    """A kernel that is ready to run.

    name: for messages; by default the one in the text. follows: whether 32-bit indices that wrap
    around are found, which takes time. Raises PtxError for text that this machine
    can't run.
    """

    def __init__(self, text: str, name: str = "", follows: bool = False) -> None:
        module = parse(text)
        code = code_of(module)
        self.name = name or code.entry.name
        self.parameters: dict[str, Parameter] = {p.name: p for p in code.entry.parameters}
        variables = [*module.variables.values(), *code.entry.variables.values()]
        self._shared = [v for v in variables if v.space == "shared"]
        self._local = [v for v in variables if v.space == "local"]
        self._constants = [v for v in variables if v.space in ("const", "global")]
        writer = Writer(code, self._addresses(), Overflow(code) if follows else None)
        self.source = writer.text()
        self.blocks: tuple[Block, ...] = code.blocks
        self.sites: list[Instruction] = writer.sites
        self._words = _narrowest(self.sites)
        self.n_registers = len(writer.numbers)
        self.register_names = list(writer.numbers)
        names: dict[str, Any] = {"np": np, **exact.FUNCTIONS, **overflow.FUNCTIONS, **writer.constants}
        exec(compile(self.source, f"<PTX of {self.name}>", "exec"), names)
        self.functions: list[Callable[[Run, Lanes], Any]] = [
            names[f"block_{block.number}"] for block in self.blocks
        ]
        for block in self.blocks:
            if block.end is not None and block.end.name in ("bar", "barrier"):
                _check_barrier(block.end)

    def _addresses(self) -> dict[str, int]:
        addresses = {v.name: (k + 1) * SHARED_STEP for k, v in enumerate(self._shared)}
        addresses |= {v.name: LOCAL_BASE + k * STEP for k, v in enumerate(self._local)}
        return addresses | {v.name: VARIABLE_BASE + k * STEP for k, v in enumerate(self._constants)}

    def constant_windows(self) -> list[Window]:
        """Those of the tables that the kernel brings along."""
        addresses, windows = self._addresses(), []
        for variable in self._constants:
            assert variable.nbytes is not None
            allocation = Allocation(variable.nbytes)
            if variable.initial is not None:
                allocation.data[: variable.nbytes] = np.frombuffer(variable.initial, np.uint8)
            base = addresses[variable.name]
            writable = variable.space == "global"
            windows.append(
                Window(variable.name, base, base, base + variable.nbytes, allocation, 0, "", 0, writable)
            )
        return windows

    def word(self, space: str) -> int:
        """Bytes of the narrowest access of a space."""
        return self._words.get(space, 8)

    def own_windows(self, n_blocks: int, n_threads: int, shape: Shape, records: bool) -> list[Window]:
        """Those of shared and local memory, for some blocks. records: whether writes are."""
        shared = self._windows(self._shared, "block", n_blocks, shape.shared_bytes, records)
        return shared + self._windows(self._local, "thread", n_threads, 0, records)

    def _windows(
        self, variables: Sequence[Variable], per: str, n: int, dynamic: int, records: bool
    ) -> list[Window]:
        offsets, end = [], 0
        sizes = [dynamic if v.nbytes is None else v.nbytes for v in variables]
        for variable, size in zip(variables, sizes, strict=True):
            end += -end % max(variable.alignment, 16)
            offsets.append(end)
            end += size
        stride = end + -end % 16
        allocation = Allocation(n * stride, records)
        allocation.data.fill(0xFF)  # NaN, or -1
        if records and per == "block":
            allocation.shadow = Shadow(0, n * stride, self.word("shared"))
        addresses = self._addresses()
        return [
            Window(v.name, base, base, base + size, allocation, offset, per, stride)
            for v, offset, size in zip(variables, offsets, sizes, strict=True)
            for base in [addresses[v.name]]
        ]


def _narrowest(sites: Sequence[Instruction]) -> dict[str, int]:
    """Bytes of the narrowest load or store, by space; one of any space counts for all."""
    words: dict[str, int] = {}
    for i in sites:
        if i.name in ("ld", "ldu", "st"):
            known = {"global", "shared", "local"}
            for space in known & set(i.opcode) or known:
                words[space] = min(words.get(space, 8), DTYPES[i.opcode[-1]].itemsize)
    return words


def _check_barrier(i: Instruction) -> None:
    """Barriers of all threads of a block alone."""
    if i.opcode not in (("bar", "sync"), ("barrier", "sync"), ("barrier", "sync", "aligned")) or len(
        i.operands
    ) != 1:
        raise lacking(i)


def launch(
    kernel: Kernel,
    shape: Shape,
    parameters: Sequence[int],
    windows: Sequence[Window],
    observer: Observer | None = None,
) -> None:
    """Runs a kernel.

    parameters: the values of its parameters, integers or addresses. windows: the memory that they
    point to. observer: records what is wrong; without one, the first access outside of an operand
    raises PtxError.
    """
    if len(parameters) != len(kernel.parameters):
        raise PtxError(f"{kernel.name} has {len(kernel.parameters)} parameters, not {len(parameters)}")
    n_threads, n_blocks = prod(shape.block), prod(shape.grid)
    at_once = max(1, THREADS_AT_ONCE // n_threads)
    fixed = [*windows, *kernel.constant_windows()]
    if observer is not None:
        observer.begin(fixed, kernel.word("global"))
    with np.errstate(all="ignore"):
        for first in range(0, n_blocks, at_once):
            n = min(at_once, n_blocks - first)
            own = kernel.own_windows(n, n * n_threads, shape, observer is not None)
            space = AddressSpace([*fixed, *own])
            Run(kernel, shape, parameters, space, first, n, observer).run()


class Run:
    """Some blocks of a launch while they run. The code of a kernel calls its methods.

    n: threads. block, thread: of each thread, the number of its block among these, and its own
    number in the block. first: number of the first block in the grid.
    """

    def __init__(
        self,
        kernel: Kernel,
        shape: Shape,
        parameters: Sequence[int],
        space: AddressSpace,
        first: int,
        n_blocks: int,
        observer: Observer | None,
    ) -> None:
        self.kernel, self.shape, self.space = kernel, shape, space
        self.first, self.n_blocks, self.observer = first, n_blocks, observer
        self.n_threads = prod(shape.block)
        self.n = n_blocks * self.n_threads
        self.block = np.repeat(np.arange(n_blocks), self.n_threads)
        self.thread = np.tile(np.arange(self.n_threads), n_blocks)
        self.epochs = np.zeros(n_blocks, np.int64)  # barriers that each block has passed
        self._values = dict(zip(kernel.parameters, parameters, strict=True))
        self._registers: list[Any] = [None] * kernel.n_registers
        self._special: dict[str, Any] = {}
        self._alive = self.n

    # --- control ------------------------------------------------------------------------------

    def run(self) -> None:
        pending: dict[int, list[Lanes]] = {0: [None]}
        waiting: list[tuple[int, Lanes, Instruction]] = []
        while pending or waiting:
            if not pending:
                pending = self._pass_barrier(waiting)
                waiting = []
            number = min(pending)
            lanes = self._gathered(pending.pop(number))
            condition = self.kernel.functions[number](self, lanes)
            block = self.kernel.blocks[number]
            end = block.end
            if end is None:
                pending.setdefault(number + 1, []).append(lanes)
            elif end.name in ("bar", "barrier"):
                waiting.append((number + 1, lanes, end))
            elif end.name != "bra":
                self._alive -= self.n if lanes is None else len(lanes)
            else:
                assert block.target is not None
                for target, part in self._parted(lanes, condition):
                    to = block.target if target else number + 1
                    pending.setdefault(to, []).append(part)

    def _parted(self, lanes: Lanes, condition: Any) -> list[tuple[bool, Lanes]]:
        """The threads for which a branch is taken, and the others."""
        if condition is None:
            return [(True, lanes)]
        if condition.ndim == 0:
            return [(bool(condition), lanes)]
        taken = np.flatnonzero(condition)
        if len(taken) in (0, len(condition)):
            return [(len(taken) > 0, lanes)]
        others = np.flatnonzero(~condition)
        if lanes is not None:
            taken, others = lanes[taken], lanes[others]
        return [(True, taken), (False, others)]

    def _gathered(self, parts: list[Lanes]) -> Lanes:
        """The threads of several parts; None if they are all that have not ended."""
        if parts[0] is None:
            return None
        lanes = parts[0]
        if len(parts) > 1:
            lanes = np.concatenate(parts)
        if len(lanes) == self._alive:
            if self._alive < self.n:
                self._forget_ended(np.sort(lanes))
            return None
        return np.sort(lanes, kind="stable") if len(parts) > 1 else lanes

    def _forget_ended(self, lanes: Array) -> None:
        """Numbers the threads anew: those that have ended take no part any more."""
        self._registers = [
            r if r is None or r.ndim == 0 else r[lanes] for r in self._registers
        ]
        self._special = {k: v if v.ndim == 0 else v[lanes] for k, v in self._special.items()}
        self.block, self.thread = self.block[lanes], self.thread[lanes]
        self.n = len(lanes)

    def _pass_barrier(
        self, waiting: list[tuple[int, Lanes, Instruction]]
    ) -> dict[int, list[Lanes]]:
        """All threads that have not ended wait: lets them go on."""
        if self.observer is not None:
            for _, lanes, barrier in waiting:
                counts = np.bincount(self.block if lanes is None else self.block[lanes])
                parted = (counts > 0) & (counts < self.n_threads)
                if parted.any():
                    self.observer.divergent(self, int(np.flatnonzero(parted)[0]), barrier)
        pending: dict[int, list[Lanes]] = {}
        for target, lanes, _ in waiting:
            blocks = self.block if lanes is None else self.block[lanes]
            self.epochs[np.unique(blocks)] += 1
            pending.setdefault(target, []).append(lanes)
        return pending

    # --- registers ----------------------------------------------------------------------------

    def get(self, number: int, lanes: Lanes) -> Any:
        value = self._registers[number]
        if value is None:
            raise PtxError(
                f"{self.kernel.name} reads the register {self.kernel.register_names[number]},"
                " which it has not written"
            )
        return value if lanes is None or value.ndim == 0 else value[lanes]

    def put(self, number: int, value: Any, lanes: Lanes) -> None:
        if lanes is None:
            self._registers[number] = value
            return
        old = self._registers[number]
        if old is None:
            new = np.zeros(self.n, value.dtype)
        elif old.ndim == 0:
            new = np.full(self.n, old)
        else:
            new = old.copy()  # it may be that of another register, too
        new[lanes] = value
        self._registers[number] = new

    def special(self, name: str, lanes: Lanes) -> Any:
        """The value of a special register, as uint32."""
        if name not in self._special:
            self._special[name] = self._computed(name)
        value = self._special[name]
        return value if lanes is None or value.ndim == 0 else value[lanes]

    def _computed(self, name: str) -> Any:
        what, _, axis = name.partition("_")
        k = "xyz".index(axis) if axis else 0
        if what in ("ntid", "nctaid"):
            return np.uint32((self.shape.block if what == "ntid" else self.shape.grid)[k])
        if what in ("tid", "ctaid"):
            extent = self.shape.block if what == "tid" else self.shape.grid
            number = self.thread if what == "tid" else self.block + self.first
            if extent[k] == 1:
                return np.uint32(0)
            if what == "ctaid" and self.n_blocks == 1:
                return np.uint32(self.first // prod(extent[:k]) % extent[k])
            return (number // prod(extent[:k]) % extent[k]).astype(np.uint32)
        if what == "laneid":
            return (self.thread % WARP).astype(np.uint32)
        if what == "warpid":
            return (self.thread // WARP).astype(np.uint32)
        raise PtxError(f"this machine has no special register %{name.replace('_', '.')}")

    # --- memory -------------------------------------------------------------------------------

    def parameter(self, name: str, offset: int, dtype: np.dtype[Any], n: int) -> Any:
        value = self._values[name]
        raw = int(value).to_bytes(8, "little", signed=value < 0)
        values = np.frombuffer(raw, dtype, n, offset)
        return values[0] if n == 1 else tuple(values)

    def load(
        self,
        address: Any,
        offset: int,
        dtype: np.dtype[Any],
        n: int,
        used: tuple[bool, ...],
        site: int,
        lanes: Lanes,
    ) -> Any:
        """n elements of each thread. used: which of them the kernel reads later."""
        window, index, lanes = self._located(address, offset, dtype.itemsize * n, site, lanes)
        if window is None:
            return self._load_apart(index, dtype, n, used, site, lanes)
        if self.observer is not None:
            self.observer.loaded(self, window, index, dtype.itemsize, used, site, lanes)
        return _taken(window.allocation.view(dtype), index, dtype.itemsize, n)

    def _load_apart(
        self,
        addresses: Array,
        dtype: np.dtype[Any],
        n: int,
        used: tuple[bool, ...],
        site: int,
        lanes: Lanes,
    ) -> Any:
        """A load whose threads access several windows."""
        columns = [np.full(len(addresses), 0xFF).astype(np.uint8).repeat(dtype.itemsize).view(dtype) for _ in range(n)]
        for part in self._apart(addresses, dtype.itemsize * n, site, lanes):
            own = part if lanes is None else lanes[part]
            values = self.load(addresses[part], 0, dtype, n, used, site, own)
            for column, value in zip(columns, (values,) if n == 1 else values, strict=True):
                column[part] = value
        return columns[0] if n == 1 else tuple(columns)

    def store(
        self,
        address: Any,
        offset: int,
        dtype: np.dtype[Any],
        values: tuple[Any, ...],
        site: int,
        lanes: Lanes,
    ) -> None:
        """Stores values of each thread, one behind the other. Of two threads that write the same
        element, the last one's value stays."""
        n = len(values)
        window, index, lanes = self._located(address, offset, dtype.itemsize * n, site, lanes)
        if window is None:
            for part in self._apart(index, dtype.itemsize * n, site, lanes):
                own = part if lanes is None else lanes[part]
                chosen = tuple(v if v.ndim == 0 else v[part] for v in values)
                self.store(index[part], 0, dtype, chosen, site, own)
            return
        if not window.writable:
            self.fail("write", f"writes to {window.name}, which is an input", site, lanes)
            return
        view = window.allocation.view(dtype)
        if self.observer is not None:
            self.observer.stored(self, window, index, view, values, site, lanes)
        first = index >> (dtype.itemsize.bit_length() - 1)
        for k, value in enumerate(values):
            if index.ndim == 0 and value.ndim:
                value = value[-1]
            view[first + k] = value

    def _located(
        self, address: Any, offset: int, nbytes: int, site: int, lanes: Lanes
    ) -> tuple[Window | None, Any, Lanes]:
        """The window of an access, and the index of its first byte; where the threads' windows
        differ or an access isn't allowed, None and their addresses."""
        if address.dtype != np.uint64:
            address = address.astype(np.uint64)
        if address.ndim == 0:
            low = high = int(address) + offset
            merged = low
        else:
            low, high = int(address.min()) + offset, int(address.max()) + offset
            merged = int(np.bitwise_or.reduce(address + np.uint64(offset % 2**64)))
        window = self.space.find(low, high + nbytes)
        if window is None or merged & (nbytes - 1):
            addresses = address + np.uint64(offset % 2**64)
            return None, np.broadcast_to(addresses, self._length(lanes)), lanes
        index = address - np.uint64((window.base - window.start - offset) % 2**64)
        if window.per and window.stride:
            copies = self.block if window.per == "block" else self._copies()
            if lanes is not None:
                copies = copies[lanes]
            if self.n_blocks > 1 or window.per == "thread":
                index = index + (copies * window.stride).astype(np.uint64)
        return window, index.view(np.int64), lanes

    def _copies(self) -> Array:
        """The number of each thread among those of these blocks."""
        return self.block * self.n_threads + self.thread

    def _length(self, lanes: Lanes) -> int:
        return self.n if lanes is None else len(lanes)

    def _apart(self, addresses: Array, nbytes: int, site: int, lanes: Lanes) -> list[Array]:
        """Threads by the window that they access; reports those that access none."""
        parts = []
        misaligned = (addresses & np.uint64(nbytes - 1)) != 0
        if misaligned.any():
            where = np.flatnonzero(misaligned)
            text = f"accesses {nbytes} bytes at an address that isn't a multiple of {nbytes}"
            self.fail("misaligned", text, site, where if lanes is None else lanes[where])
        left = ~misaligned
        for window in self.space.windows:
            inside = left & (addresses >= window.low) & (addresses <= window.high - nbytes)
            if inside.any():
                parts.append(np.flatnonzero(inside))
                left &= ~inside
        if left.any():
            where = np.flatnonzero(left)
            text = self._outside(int(addresses[where[0]]), nbytes)
            self.fail("outside", text, site, where if lanes is None else lanes[where])
        return parts

    def _outside(self, address: int, nbytes: int) -> str:
        window = self.space.nearest(address)
        if window is None:
            return f"accesses {nbytes} bytes at address {address:#x}, where there is no memory"
        return (
            f"accesses {nbytes} bytes from byte {address - window.low} of {window.name} on, which"
            f" has {window.high - window.low}"
        )

    def overflowed(self, flags: Any, site: int, lanes: Lanes) -> None:
        """Reports threads whose address is made of an index that has wrapped around."""
        if not np.any(flags):
            return
        where = np.flatnonzero(np.broadcast_to(flags, self._length(lanes)))
        text = "accesses an address made of a 32-bit index that has wrapped around"
        self.fail("overflow", text, site, where if lanes is None else lanes[where])

    # --- warps --------------------------------------------------------------------------------

    def _warps(self, lanes: Lanes) -> tuple[Array, Array]:
        """Warp and lane of each thread."""
        block, thread = self.block, self.thread
        if lanes is not None:
            block, thread = block[lanes], thread[lanes]
        return warp.positions(block, thread, self.n_threads)

    def _seats(self, number: Array, lane: Array) -> Array:
        """By warp and lane, the index of a thread among those that take part; -1 if it doesn't."""
        seats = np.full((self.n_blocks * -(-self.n_threads // WARP), WARP), -1)
        seats[number, lane] = np.arange(len(lane))
        return seats

    def shuffled(
        self, how: str, value: Any, by: Any, limits: Any, mask: Any, site: int, lanes: Lanes
    ) -> tuple[Any, Any]:
        """The value of another thread of the warp, and whether there is one."""
        number, lane = self._warps(lanes)
        source, inside = warp.sources(how, lane, by, limits)
        value = np.broadcast_to(value, len(lane))
        seat = self._seats(number, lane)[number, source]
        self._check_warp(number, lane, mask, site, lanes)
        absent = np.flatnonzero(seat < 0)
        if len(absent):
            text = "reads the value of a thread that doesn't take part"
            self.fail("warp", text, site, absent if lanes is None else lanes[absent])
        return np.where(seat < 0, value, value[seat]), inside

    def voted(self, how: str, value: Any, mask: Any, site: int, lanes: Lanes) -> Any:
        """all, any, uni or ballot of the threads of each warp that take part."""
        number, lane = self._warps(lanes)
        seats = self._seats(number, lane)
        here = seats >= 0
        self._check_warp(number, lane, mask, site, lanes)
        yes = here & np.broadcast_to(value, len(lane))[seats]
        if how == "ballot":
            bits = (yes.astype(np.uint64) << np.arange(WARP, dtype=np.uint64)).sum(axis=1)
            return bits.astype(np.uint32)[number]
        everyone, someone = (yes == here).all(axis=1), yes.any(axis=1)
        votes = {"all": everyone, "any": someone, "uni": everyone | ~someone}
        return votes[how][number]

    def _check_warp(self, number: Array, lane: Array, mask: Any, site: int, lanes: Lanes) -> None:
        """Reports threads that the mask names and that don't come along."""
        bits = np.broadcast_to(mask, len(lane)).astype(np.int64)
        present = np.zeros(self.n_blocks * -(-self.n_threads // WARP), np.int64)
        np.bitwise_or.at(present, number, 1 << lane)
        missing = np.flatnonzero((bits & ~present[number]) & self._existing(number))
        if len(missing):
            text = "waits for threads of its warp that don't come"
            self.fail("warp", text, site, missing if lanes is None else lanes[missing])

    def _existing(self, number: Array) -> Array:
        """Which lanes of a warp there are at all: the last one of a block may not be full."""
        rest = self.n_threads - number % -(-self.n_threads // WARP) * WARP
        return (1 << np.minimum(rest, WARP)) - 1

    def multiplied(
        self, k: int, a: Any, b: Any, c: Any, site: int, lanes: Lanes
    ) -> list[Any]:
        """The product of matrices whose elements the threads of each warp hold; see
        `warp.product`."""
        number, lane = self._warps(lanes)
        order = np.lexsort((lane, number))
        if len(order) % WARP or (lane[order].reshape(-1, WARP) != np.arange(WARP)).any():
            self.fail("warp", "multiplies with threads of its warp that don't come", site, lanes)
            return list(c)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))

        def rows(values: Any) -> list[Array]:
            n = len(order)
            return [np.broadcast_to(v, n)[order].reshape(-1, WARP) for v in values]

        results = warp.product(k, rows(a), rows(b), rows(c))
        return [r.reshape(-1)[back] for r in results]

    def fail(self, kind: str, text: str, site: int, lanes: Lanes) -> None:
        """Reports what threads do wrong; without an observer, as an error."""
        observer = self.observer or Observer()
        observer.found(self, kind, text, self.kernel.sites[site], lanes)
        if self.observer is None:
            raise PtxError(str(observer.findings[0]))


def _taken(view: Array, index: Any, itemsize: int, n: int) -> Any:
    first = index >> (itemsize.bit_length() - 1)
    if index.ndim == 0:
        values = tuple(view[first + k] for k in range(n))
    else:
        values = tuple(view.take(first + k if k else first) for k in range(n))
    return values[0] if n == 1 else values
