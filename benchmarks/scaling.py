"""Time per FLOP over sizes: mini-batches, images, filters; with one thread and with several.

A point is a convolution with its two gradients, with or without a max-pool of 2 x 2, or a step of
W3. All points of an axis take turns, so a slow spell of the machine hits one round of several
points, and lower quartiles leave it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from benchmarks.job import Job
from benchmarks.ours import Steps
from tinygrad_mnist.compile.listing import counted
from tinygrad_mnist.profiling import Profile
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.signal import pool

STEEP = 1.5  # times the time per FLOP of the smaller neighbour: a cliff
SWEEP_FLOPS = 2e9  # of the steps that are timed in a row
MOST_STEPS = 500
STEP = "a step of W3"


@dataclass(frozen=True)
class Layer:
    """A convolution of square images and filters. padding: on each side."""

    batch: int
    channels: int
    side: int
    filters: int
    size: int
    padding: int = 0

    @property
    def places(self) -> int:
        """Output positions along a side."""
        return self.side + 2 * self.padding - self.size + 1

    @property
    def flops(self) -> int:
        """Of the forward pass: each gradient has as many."""
        taps = self.channels * self.size**2
        return 2 * self.batch * self.places**2 * self.filters * taps


#: W3's second convolution; a padded layer of larger images, and one of more channels.
BATCH = Layer(10, 20, 12, 40, 5)
IMAGE = Layer(4, 16, 28, 32, 3, 1)
FILTERS = Layer(10, 32, 28, 32, 3, 1)
BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
SIDES = (28, 40, 56, 80, 112, 160, 224)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True)
class Axis:
    """What is varied: the name of a layer's field, the values, and the layer."""

    field: str
    values: Sequence[int]
    layer: Layer

    def at(self, value: int) -> Layer:
        return replace(self.layer, **{self.field: value})


AXES = {
    "batch": Axis("batch", BATCHES, BATCH),
    "image": Axis("side", SIDES, IMAGE),
    "filters": Axis("filters", COUNTS, FILTERS),
}


@dataclass
class Curve:
    """The time per FLOP of a kernel, or of a step, over the values of an axis.

    values: of the axis. flops: of each point, dense. seconds: lower quartiles of the
    rounds.
    """

    axis: str
    name: str
    threads: int
    values: list[int]
    flops: list[int]
    seconds: list[float]

    @property
    def costs(self) -> list[float]:
        """Picoseconds per FLOP."""
        return [1e12 * s / f for s, f in zip(self.seconds, self.flops, strict=True)]

    @property
    def cliffs(self) -> list[int]:
        """Numbers of the points that take more than STEEP times as long per FLOP as the point
        before."""
        costs = self.costs
        return [i for i in range(1, len(costs)) if costs[i] > STEEP * costs[i - 1]]

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "ps_per_flop": self.costs, "cliffs": self.cliffs}


#: Time of each kernel and its dense FLOPs, by its name; measured anew at each call.
Measure = Callable[[], Mapping[str, tuple[float, int]]]


def convolution(layer: Layer, pooled: bool) -> Measure:
    """Times a layer's forward pass and both gradients, each kernel call by itself."""
    rng = np.random.default_rng(0)

    def shared(*shape: int) -> theano.SharedVariable:
        return theano.shared(rng.random(shape, dtype=np.float32) - np.float32(0.5))

    x = shared(layer.batch, layer.channels, layer.side, layer.side)
    w = shared(layer.filters, layer.channels, layer.size, layer.size)
    padding = (layer.padding, layer.padding)
    y = conv2d(x, w, border_mode=padding, filter_flip=False)
    if pooled:
        y = pool.pool_2d(y, ws=(2, 2), ignore_border=True)
    side = layer.places // 2 if pooled else layer.places
    g = shared(layer.batch, layer.filters, side, side)
    gradients = T.grad(T.sum(y * g), [x, w])
    results = [theano.shared(np.zeros_like(v.get_value())) for v in (g, x, w)]
    updates = list(zip(results, [y, *gradients], strict=True))
    f = theano.function([], [], updates=updates, name="layer")
    steps = steps_of(3 * layer.flops)

    def measure() -> dict[str, tuple[float, int]]:
        profile = f.profile(n_steps=steps, sweep=True, repeats=1)
        assert isinstance(profile, Profile)
        found: dict[str, tuple[float, int]] = {}
        for call in profile.calls:
            if call.kernel.startswith("conv2d"):
                seconds, flops = found.get(call.kernel, (0.0, 0))
                found[call.kernel] = (seconds + call.seconds, flops + call.call.flops)
        return found

    return measure


def step_of_w3(batch: int) -> Measure:
    """Times whole steps of W3, in sweeps."""
    job = Job("ours", "loop", 1, f"W3@{batch}")
    steps = Steps(job)
    rng = np.random.default_rng(0)
    steps.load(rng.random((batch, 784), dtype=np.float32), rng.integers(0, 10, batch))
    steps.quantum = steps_of(job.workload.flops)

    def measure() -> dict[str, tuple[float, int]]:
        steps.run(steps.quantum)
        return {STEP: (timed(lambda: steps.run(steps.quantum)) / steps.quantum, job.workload.flops)}

    return measure


def timed(run: Callable[[], object]) -> float:
    """Seconds of a call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def steps_of(flops: int) -> int:
    """How many steps of so many FLOPs are timed in a row."""
    return max(1, min(MOST_STEPS, int(SWEEP_FLOPS // flops)))


def measures(axis: str, value: int) -> list[Measure]:
    """What is measured at a value of an axis."""
    layer = AXES[axis].at(value)
    steps = [step_of_w3(value)] if axis == "batch" else []
    return [convolution(layer, pooled=False), convolution(layer, pooled=True), *steps]


def curves(axis: str, values: Sequence[int], threads: Sequence[int], rounds: int) -> list[Curve]:
    """The curves of an axis: one of each kernel for each number of threads."""
    points = [measures(axis, value) for value in values]
    seconds: dict[tuple[str, int], dict[int, list[float]]] = {}
    flops: dict[str, dict[int, int]] = {}
    for _ in range(rounds):
        for n, (value, point) in product(threads, zip(values, points, strict=True)):
            theano.config.threads = n
            for measure in point:
                for name, (took, count) in measure().items():
                    seconds.setdefault((name, n), {}).setdefault(value, []).append(took)
                    flops.setdefault(name, {})[value] = count
    return [
        Curve(
            axis,
            name,
            n,
            list(times),
            [flops[name][value] for value in times],
            [float(np.quantile(took, 0.25)) for took in times.values()],
        )
        for (name, n), times in seconds.items()
    ]


def scaling(
    threads: int, rounds: int, say: Callable[[str], None], quick: bool = False
) -> list[Curve]:
    """The curves of all axes, with one thread and with so many. quick: three small values each."""
    found: list[Curve] = []
    for name, axis in AXES.items():
        say(f"scaling: {name}")
        found += curves(name, axis.values[: 3 if quick else None], sorted({1, threads}), rounds)
    return found


def describe(curve: Curve) -> list[str]:
    """A line for each cliff of a curve."""
    costs = curve.costs
    return [
        f"{curve.name}, {curve.axis} {curve.values[i]}, {counted(curve.threads, 'thread')}: "
        f"{costs[i]:.1f} ps per FLOP, {costs[i] / costs[i - 1]:.2f} times the point before"
        for i in curve.cliffs
    ]
