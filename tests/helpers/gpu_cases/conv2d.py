"""Forward convolutions, with a pool and without; the shapes of the book's networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from helpers.convolutions import Case as Convolution
from helpers.epilogues import epilogue
from helpers.gpu_cases.case import AnyArray, Case, Problem
from helpers.layouts import relaid

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec

Values = Callable[[np.random.Generator, Convolution], tuple[AnyArray, AnyArray]]
VALUES = ("sim", "gpu")  # whose machine code is like that of another case
REAL = ("compile", "gpu")
ALL = ("sim", "compile", "gpu")


def whole(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    """Small integers: sums are exact, and many maxima tie."""
    return c.operand(rng, c.x, False, True), c.operand(rng, c.w, False, True)


def strided(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    return c.operand(rng, c.x, True, True), c.operand(rng, c.w, True, True)


def repeated(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    """All images are one, and so are all filters, by strides of 0."""
    x = c.operand(rng, replace(c, n=1).x, False, True)
    w = c.operand(rng, replace(c, o=1).w, False, True)
    return np.broadcast_to(x, c.x.shape), np.broadcast_to(w, c.w.shape)


def normal(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    return c.operand(rng, c.x, False), c.operand(rng, c.w, False)


def blank(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    """Arrays whose values don't matter."""
    return np.zeros(c.x.shape, c.dtype), np.zeros(c.w.shape, c.dtype)


def constant(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    """Every patch equals every other one, with fractions that round: all positions have to tie."""
    x = np.broadcast_to(rng.standard_normal((1, c.c, 1, 1)), c.x.shape).astype(c.dtype)
    return x, c.operand(rng, c.w, False)


def black_border(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    """Like digits: zeros around a few pixels of fractions."""
    x, w = normal(rng, c)
    inner = np.zeros_like(x)
    rows, columns = (slice(n // 3, -(n // 3)) for n in c.image)
    inner[:, :, rows, columns] = x[:, :, rows, columns]
    return inner, w


def special(rng: np.random.Generator, c: Convolution) -> tuple[AnyArray, AnyArray]:
    """NaN and infinities in the image and in a filter."""
    x, w = whole(rng, c)
    x[0, 0, 0, 0], x[-1, -1, -1, -1], x[0, 0, -1, 0] = np.nan, np.inf, -np.inf
    w[-1, 0, 0, 0] = np.inf
    return x, w


def made(
    c: Convolution,
    values: Values = whole,
    kind: str = "identity",
    winners: bool = True,
    spread: bool = False,
    biased: bool = False,
    first: bool = False,
) -> Callable[[np.random.Generator], Problem]:
    """A call. kind: of epilogue. spread: whether outputs have strides that no kernel expects.
    biased: whether a bias is added before the pool. first: whether the mask has the first winner of
    each window alone."""

    def make(rng: np.random.Generator) -> Problem:
        x, w = values(rng, c)
        tail = epilogue(kind, rng, c.y.shape, c.dtype, bias_axis=1, whole=values is not normal)
        specs = [c.y, c.winners] if c.pool and winners else [c.y]
        outputs: list[AnyArray] = [
            relaid(poisoned(s), rng) if spread else poisoned(s) for s in specs
        ]
        if tail.output is not None:
            outputs[0] = tail.output
        is_whole = values not in (normal, constant)
        bias = [c.operand(rng, ArraySpec(c.dtype, (c.o,)), spread, is_whole)] if biased else []
        params = c.params(tail.tape) | ({"first": 1} if first else {})
        return [x, w, *bias, *tail.extras], outputs, params

    return make


def case(name: str, c: Convolution, *args: object, **options: object) -> Case:
    """A small one, unless `modes` says otherwise."""
    settings = {key: options.pop(key) for key in ("modes", "wants", "registers") if key in options}
    settings.setdefault("modes", VALUES)
    kernel = "conv2d_pool" if c.pool else "conv2d"
    if options.get("biased"):
        kernel = "conv2d_bias_pool"
    make = made(c, *args, **options)  # type: ignore[arg-type]
    return Case(name, kernel, make, doubles=c.dtype == "float64", **settings)  # type: ignore[arg-type]


SMALL = Convolution(2, 2, (5, 5), 3, (3, 2))
POOLED = replace(SMALL, pool=(2, 2))
SHAPES = [
    # remainders of windows, tiles and filters; rows and columns that a pool drops
    ("padded", Convolution(1, 2, (4, 3), 3, (3, 2), padding=(2, 1))),
    ("steps", Convolution(2, 2, (7, 8), 3, (2, 3), stride=(2, 3), padding=(0, 2), flip=1)),
    ("1x1", Convolution(1, 5, (2, 3), 3, (1, 1))),
    ("one", Convolution(1, 1, (1, 1), 1, (1, 1))),
    ("whole-image", Convolution(3, 2, (5, 4), 3, (5, 4), flip=1)),
    ("long-filter", Convolution(1, 1, (3, 30), 2, (2, 23))),
    ("wide", Convolution(1, 1, (3, 70), 1, (1, 3), padding=(0, 1))),
    ("many-channels", Convolution(1, 23, (3, 3), 2, (2, 2))),
    ("empty-batch", replace(SMALL, n=0)),
    ("too-large-a-filter", Convolution(2, 1, (3, 3), 2, (4, 1))),
    ("pool1x1", Convolution(1, 2, (4, 3), 3, (2, 2), pool=(1, 1))),
    ("pool2x2", replace(POOLED, padding=(1, 2), flip=1)),
    ("pool3x3", Convolution(2, 2, (8, 12), 3, (2, 3), pool=(3, 3))),
    ("pool1x3", Convolution(1, 2, (5, 13), 4, (3, 3), pool=(1, 3))),
    ("pool4x1", Convolution(1, 1, (11, 4), 2, (2, 2), stride=(1, 2), padding=(1, 1), pool=(4, 1))),
    ("pool5x4", Convolution(1, 2, (8, 10), 2, (2, 2), pool=(5, 4), flip=1, padding=(1, 1))),
    ("pool-empty", Convolution(1, 1, (3, 3), 2, (2, 2), pool=(3, 3))),
]
FUSED_TOO = ("steps", "long-filter", "many-channels", "pool4x1", "pool5x4")
CONV1 = Convolution(10, 1, (28, 28), 20, (5, 5), flip=1, pool=(2, 2))
CONV2 = Convolution(10, 20, (12, 12), 40, (5, 5), flip=1, pool=(2, 2))

# Products fused with their additions, of what comes from shared memory.
CODE = ("FFMA", "LDS", "LDG")

CASES = [
    *(case(name, c) for name, c in SHAPES),
    *(case(f"{name}-strided", c, strided, spread=True) for name, c in SHAPES[1:12:5]),
    case("pool-strided", POOLED, strided, spread=True),
    case("repeated", POOLED, repeated),
    case("normal", SMALL, normal),
    case("float64", replace(SMALL, dtype="float64", flip=1), normal),
    case("float64-pool", replace(POOLED, dtype="float64"), normal),
    case("no-winners", replace(POOLED, flip=1), winners=False),
    case("ties", POOLED, constant, modes=ALL),
    case("ties-pool3x3", Convolution(1, 4, (8, 8), 2, (3, 3), pool=(3, 3)), constant, modes=ALL),
    case("ties-black-border", Convolution(2, 1, (15, 15), 3, (4, 4), pool=(2, 2)), black_border),
    # The loops over taps that other compiled cases don't have: long filters, many channels.
    *(case(f"fused-{n}", c, blank, modes=("compile",)) for n, c in SHAPES if n in FUSED_TOO),
    case(
        "fused-float64",
        replace(POOLED, dtype="float64", o=5),
        blank,
        modes=("compile",),
    ),
    case("special", POOLED, special),
    case("special-padded", SHAPES[0][1], special),
    case("special-pool5x4", SHAPES[-2][1], special),
    *(case(f"{kind}", SMALL, whole, kind) for kind in ("bias_relu", "update", "two_extras")),
    *(case(f"{kind}", POOLED, whole, kind) for kind in ("bias_relu", "update", "two_extras")),
    # Layouts of shared memory without conflicts of banks that would not fit.
    case(
        "staged-close",
        Convolution(20, 32, (12, 12), 64, (3, 3), stride=(2, 2), padding=(2, 2), pool=(2, 2)),
        blank,
        modes=("compile",),
    ),
    case(
        "staged-whole",
        Convolution(1, 128, (14, 14), 64, (1, 1), pool=(2, 2), dtype="float64"),
        blank,
        modes=("compile",),
    ),
    # A bias before the pool: in registers, with splits, one element a thread.
    *(case(f"bias-{n}", c, biased=True) for n, c in SHAPES if c.pool),
    case("bias-strided", POOLED, strided, spread=True, biased=True),
    case("bias-relu", replace(POOLED, o=5), whole, "bias_relu", biased=True),
    case("bias-no-winners", POOLED, winners=False, biased=True),
    case("bias-float64", replace(POOLED, dtype="float64"), normal, biased=True),
    case("bias-special", POOLED, special, biased=True),
    case("bias-ties", POOLED, constant, biased=True, modes=ALL),
    case("bias-layer2", CONV2, normal, biased=True, modes=REAL, registers=64, wants=CODE),
    # The first winner of each window alone: in registers, with splits, one element a thread.
    *(case(f"first-{n}", c, first=True) for n, c in SHAPES if c.pool),
    case("first-strided", POOLED, strided, spread=True, first=True),
    case("first-special", POOLED, special, first=True),
    case("first-special-pool5x4", SHAPES[-2][1], special, first=True),
    case("first-ties", POOLED, constant, first=True, modes=ALL),
    case("first-bias", POOLED, biased=True, first=True),
    case("first-layer2-many-channels", CONV2, normal, first=True, modes=("gpu",)),
    case("many-images", Convolution(5, 1, (4, 4), 2, (3, 3), pool=(2, 2))),
    # The book's layers: a mini-batch of ten, and many images at once.
    case("layer1", CONV1, normal, "bias_relu", modes=("gpu",)),
    case("layer2", CONV2, normal, "bias_relu", modes=REAL, registers=64, wants=CODE),
    case(
        "layer2-many",
        replace(CONV2, n=10_000),
        blank,
        "bias_relu",
        modes=("compile",),
        registers=136,
        wants=CODE,
    ),
    case("layer2-float64", replace(CONV2, dtype="float64"), normal, modes=REAL),
    case("layer2-dense", replace(CONV2, pool=None), normal, "bias_relu", modes=REAL, wants=CODE),
    case("layer1-500", replace(CONV1, n=500), normal, "bias_relu", modes=("gpu",)),
    case("layer2-500", replace(CONV2, n=500), normal, "bias_relu", modes=("gpu",)),
    case("direct", SHAPES[-2][1], modes=("compile",)),
    case("first-direct", SHAPES[-2][1], first=True, modes=("compile",)),
]
