"""Native plans with mistakes put into them, built and run between pages that can't be touched."""

from __future__ import annotations

import copy
import ctypes
import mmap
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import _native
from tinygrad_mnist.backends import cpu
from tinygrad_mnist.checking import kernels_of, problems
from tinygrad_mnist.checking.one_call import OneCall

Spec = list[Any]  # buffers, calls, what each call waits for, bytes of the arena
Change = Callable[[Spec, random.Random], Spec]  # makes a mistake in a copy

#: What the native program raises for a plan that it refuses.
REFUSED = (ValueError, TypeError, IndexError, OverflowError, RuntimeError, MemoryError)
_POWERS = [2**k for k in (7, 15, 16, 24, 31, 32, 47, 55, 56, 60, 61, 62, 63)]
_NUMBERS = [0, 1, 2, 3, 7, 64, *_POWERS, *(n - 1 for n in _POWERS), *(n + 1 for n in _POWERS)]
_WORDS = [*_native.kernels(), *_native.opcodes(), "float32", "float64", "int64", "int8", "bool"]
_OTHER = [None, "", "bind", "arena", "fixed", 1.5, 2**70, -(2**70), [], [1], [[1, 2]], "\0", b"x"]
_MOST_BYTES, _MOST_ELEMENTS = 1 << 22, 1 << 20  # of a plan that is also run
_SECONDS = 20


class _Recorder:
    """Stands in for the native module, and keeps the plans that it gets."""

    def __init__(self) -> None:
        self.specs: list[Spec] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(_native, name)

    def Program(self, buffers: Any, calls: Any, depends: Any, n: int, arena: Any = None) -> Any:  # noqa: N802
        self.specs.append(_as_lists([buffers, calls, depends, n]))
        return _native.Program(buffers, calls, depends, n, arena)


def _as_lists(value: Any) -> Any:
    return [_as_lists(v) for v in value] if isinstance(value, list | tuple) else value


def _step(x: Any, w: Any, v: Any, i: Any) -> None:
    hidden = T.nnet.relu(T.dot(x[i * 4 : (i + 1) * 4], w))
    cost = T.mean(T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(hidden, v)), T.arange(4)))
    updates = [(p, p - 0.1 * T.grad(cost, p)) for p in (w, v)]
    step = theano.function([i], cost, updates=updates)
    for k in range(2):
        step(k)


def plans() -> list[Spec]:
    """A call of every kernel, and steps with slots, temporaries and constants."""
    recorder = _Recorder()
    module: Any = cpu
    before, module._native = module._native, recorder
    try:
        for kernel in kernels_of("cpu"):
            problem = problems.build(problems.Request(kernel, dtype=problems.dtypes_of(kernel)[0]))
            outputs: list[Any] = list(problem.outputs)
            if problem.in_place is not None:
                outputs[0] = problem.inputs[problem.in_place]
            OneCall(kernel, problem.inputs, outputs, problem.params).run("cpu")
        rng = np.random.default_rng(0)
        shapes = ((8, 6), (6, 5), (5, 4))
        x, w, v = (theano.shared(rng.normal(size=shape).astype("float32")) for shape in shapes)
        _step(x, w, v, T.lscalar("i"))
    finally:
        module._native = before
    return recorder.specs


# --- mistakes -------------------------------------------------------------------------------------


def _places(value: Any) -> Iterator[tuple[list[Any], int]]:
    """Every list below `value` with every index in it."""
    for k, item in enumerate(value):
        yield value, k
        if isinstance(item, list):
            yield from _places(item)


def _changed(item: Any, rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return copy.deepcopy(rng.choice(_OTHER))
    if isinstance(item, bool) or not isinstance(item, int):
        return rng.choice(_WORDS) if isinstance(item, str) else item
    if rng.random() < 0.3:
        return item + rng.choice((-1, 1, -item - item, item))
    return rng.choice(_NUMBERS) * rng.choice((1, 1, -1))


def mutated(spec: Spec, rng: random.Random) -> Spec:
    """A copy with one mistake or a few."""
    spec = copy.deepcopy(spec)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        where, k = rng.choice(list(_places(spec)))
        kind = rng.random()
        if kind < 0.8 or where is spec:
            where[k] = _changed(where[k], rng)
        elif kind < 0.9:
            del where[k]
        else:
            where.insert(rng.randrange(len(where) + 1), copy.deepcopy(where[k]))
    return spec


# --- runs -----------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class _Guarded:
    """Zeros, or any bits, that end where a page begins that can't be touched; so does the page
    before them."""

    def __init__(self, n: int, rng: random.Random) -> None:
        page = mmap.PAGESIZE
        inner = -(-max(n, 1) // page) * page
        self._length = inner + 2 * page
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._start = _libc.mmap(None, self._length, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        for at in (self._start, self._start + page + inner):
            _libc.mprotect(at, page, 0)
        self.address = self._start + page + inner - n
        if n > 0 and rng.random() < 0.5:
            ctypes.memmove(self.address, rng.randbytes(n), n)

    def free(self) -> None:
        _libc.munmap(self._start, self._length)


def _is_small(spec: Spec) -> bool:
    views = [view for call in spec[1] for view in (*call[1], *call[2])]
    elements = [np.prod([float(n) for n in view[2]]) for view in views]
    sizes = [b[2] for b in spec[0] if b[0] != "arena"]
    return bool(max(elements, default=0) <= _MOST_ELEMENTS and max(sizes, default=0) <= _MOST_BYTES)


def build_and_run(spec: Spec, rng: random.Random) -> str:
    """'refused', 'built' or 'ran'. The buffers of a plan that is run are as long as it says."""
    buffers, calls, depends, arena_bytes = spec
    memory: list[_Guarded] = []
    addresses: dict[int, int] = {}
    try:
        complete = all(b[0] == "arena" or len(b) > 2 for b in buffers)
        if complete and isinstance(buffers, list):
            buffers = [_placed(list(b), rng, memory, addresses) for b in buffers]
        program = _native.Program(buffers, calls, depends, arena_bytes)
        if not complete or not _is_small(spec) or arena_bytes > _MOST_BYTES:
            return "built"
        given = [addresses.get(k, 0) for k in range(max(addresses, default=-1) + 1)]
        slots = [rng.choice((0, 0, 1, 2, rng.choice(_NUMBERS) * rng.choice((1, -1))))] * 64
        program.run(given, [max(min(s, 2**63 - 1), -(2**63)) for s in slots])
        return "ran"
    except REFUSED:
        return "refused"
    finally:
        for part in memory:
            part.free()


def _placed(
    buffer: list[Any], rng: random.Random, memory: list[_Guarded], addresses: dict[int, int]
) -> tuple[Any, ...]:
    """The buffer as the native module takes it, with memory of its own."""
    kind, value, *rest = buffer
    if kind == "arena" or not isinstance(rest[0], int) or not 0 <= rest[0] <= _MOST_BYTES:
        return tuple(buffer)
    if kind == "bind" and value in addresses:
        raise ValueError("two buffers of one number")
    memory.append(_Guarded(rest[0], rng))
    if kind == "fixed":
        return (kind, memory[-1].address, *rest)
    addresses[value] = memory[-1].address
    return tuple(buffer)


def run_seeds(
    specs: Sequence[Spec], first: int, count: int, change: Change = mutated
) -> dict[str, int]:
    """How many plans were refused, built and run; how many were slow, such as windows of 30,000 x
    30,000; and `crashes`, with the seeds in the order found.

    A process of its own runs them. Where it dies, the next one goes on behind the seed.
    """
    result: dict[str, Any] = {"refused": 0, "built": 0, "ran": 0, "slow": 0, "crashes": []}
    seed = first
    while seed < first + count:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _serve(specs, seed, first + count, change, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            answered = answers.read().decode()
        _, status = os.waitpid(child, 0)
        for letter in answered:
            result[{"r": "refused", "b": "built", "x": "ran"}[letter]] += 1
        seed += len(answered)
        if seed < first + count:
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
                result["slow"] += 1
            else:
                result["crashes"].append((seed, status))
            seed += 1
    return result


def _serve(specs: Sequence[Spec], first: int, last: int, change: Change, writer: int) -> None:
    letters = {"refused": b"r", "built": b"b", "ran": b"x"}
    try:
        _native.set_threads(1)
        for seed in range(first, last):
            rng = random.Random(seed)
            signal.alarm(_SECONDS)
            outcome = build_and_run(change(specs[seed % len(specs)], rng), rng)
            os.write(writer, letters[outcome])
        os._exit(0)
    except BaseException:
        os._exit(1)
