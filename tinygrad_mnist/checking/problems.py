"""Calls of every kernel, made of the shapes and options that a user gives.

`BUILDERS` has a function per kernel that makes operands and parameters of a `Request`; what the
request leaves open is filled in by `DEFAULTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.conv2d.conv2d import conv_size
from tinygrad_mnist.contracts.core.base import Array, ArraySpec
from tinygrad_mnist.contracts.core.group import join_members
from tinygrad_mnist.contracts.core.tape import FLOATS, OPCODES, TRUTHS, Instruction, Tape
from tinygrad_mnist.contracts.core.windows import Pair, mask_bytes, max_pool
from tinygrad_mnist.contracts.reduce.softmax_layer import LIMITS, fits

Shape = tuple[int, ...]
REDUCTIONS: tuple[str, ...] = ("sum", "prod", "max", "min")  # in the order of the parameter `op`
COUNTS = ("sum", "padded", "inside")  # of average_pool2d: what a window's sum is divided by
WINNERS = ("all", "first")  # of a max-pool: which of a window's winners its mask has
OPERATIONS = dict.fromkeys(("reduce", "grouped_reduce"), REDUCTIONS)
OPERATIONS |= dict.fromkeys(("average_pool2d", "average_pool2d_grad"), COUNTS)
OPERATIONS |= dict.fromkeys(("pool2d", "conv2d_pool", "conv2d_bias_pool"), WINNERS)


@dataclass(frozen=True)
class Request:
    """A check that a user asks for; None: the kernel's default.

    shape: of the kernel's first operand; for a gradient, of the image or matrix whose gradient it
    is. filters: shape of the second operand: filters (O, C, KH, KW), or the right-hand matrix
    (k, n) of a product. dtype: "" is the first of `dtypes_of` the kernel. op: one of the kernel's
    OPERATIONS, or a tape instruction of `elementwise`. axis: of reductions; axes for `reduce`.
    whole: small integers as values, with which sums are exact and maxima tie.
    """

    kernel: str
    shape: Shape | None = None
    filters: Shape | None = None
    dtype: str = ""
    layout: str = "contiguous"
    stride: Pair | None = None
    padding: Pair = (0, 0)
    flip: bool = True
    pool: Pair = (2, 2)
    axis: Shape | None = None
    op: str | None = None
    whole: bool = False
    seed: int = 0


class Problem(NamedTuple):
    """Operands and parameters of a call. in_place: number of the input that output 0 overwrites."""

    inputs: list[Array]
    outputs: list[ArraySpec]
    params: Mapping[str, Any]
    in_place: int | None = None


class _Maker:
    """Random operands of a request, by a generator of its seed."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.rng = np.random.default_rng(request.seed)

    def shape(self, axes: str) -> Shape:
        """The first operand's shape, which has to have these axes, such as "N,C,H,W"."""
        return _with_axes(self.request.shape, axes, self.request.kernel, "shape")

    def filters(self, axes: str) -> Shape:
        """The second operand's shape."""
        return _with_axes(self.request.filters, axes, self.request.kernel, "filters")

    def values(self, shape: Shape, dtype: str | None = None) -> Array:
        """Normal numbers, or small integers where the request or the dtype wants these.

        float32 values also for float64, so that a request has the same values in both."""
        dtype = dtype or self.request.dtype
        if self.request.whole or np.dtype(dtype).kind != "f":
            low = 0 if np.dtype(dtype).kind in "ub" else -2
            return self.rng.integers(low, 3, shape).astype(dtype)
        return self.rng.standard_normal(shape).astype(dtype)

    def positive(self, shape: Shape) -> Array:
        """Numbers of at least 0.5."""
        return (np.abs(self.values(shape)) + 0.5).astype(self.request.dtype)

    def indices(self, n: int, below: int) -> Array:
        """Indices of an axis of length `below`; some count from the end."""
        return self.rng.integers(-below, below, n)

    @property
    def identity(self) -> Tape:
        """The tape that changes nothing."""
        return Tape.identity(_compute(self.request.dtype))


def _with_axes(shape: Shape | None, axes: str, kernel: str, name: str) -> Shape:
    if shape is None or len(shape) != axes.count(",") + 1:
        given = "nothing" if shape is None else ",".join(map(str, shape))
        raise ValueError(f"{kernel}: {name} is {axes}, not {given}")
    if min(shape) < 0:
        raise ValueError(f"{kernel}: {name} {','.join(map(str, shape))} has a negative length")
    return shape


def _compute(dtype: str) -> str:
    return dtype if dtype in FLOATS else "int64"


def dtypes_of(kernel: str) -> tuple[str, str]:
    """The dtypes that a kernel is checked in, where the user names none."""
    return ("int64", "int32") if kernel == "integer_gemm" else FLOATS


Builder = Callable[[_Maker], Problem]
BUILDERS: dict[str, Builder] = {}
# What a request leaves open: the shapes of the book's second network, mostly.
DEFAULTS: dict[str, Mapping[str, Any]] = {}


def _builds(*kernels: str, **defaults: Any) -> Callable[[Builder], Builder]:
    def add(builder: Builder) -> Builder:
        for kernel in kernels:
            BUILDERS[kernel], DEFAULTS[kernel] = builder, defaults
        return builder

    return add


def build(request: Request) -> Problem:
    """The call that `request` asks for.

    Raises ValueError for a kernel without a builder, and for shapes that it can't have.
    """
    if request.kernel not in BUILDERS:
        known = ", ".join(BUILDERS)
        raise ValueError(f"no kernel {request.kernel!r} can be checked; there are {known}")
    missing = {
        name: value
        for name, value in DEFAULTS[request.kernel].items()
        if getattr(request, name) is None
    }
    return BUILDERS[request.kernel](_Maker(replace(request, **missing)))


def variants(request: Request) -> Iterator[Request]:
    """The request for each operation that it leaves open; and for a fused max-pool both normal
    numbers and, with winners, small integers."""
    if request.kernel in ("conv2d_pool", "conv2d_bias_pool") and not request.whole:
        yield replace(request, whole=False)
        request = replace(request, whole=True)
    if request.op is None and request.kernel == "elementwise":
        ops = (n for n, o in OPCODES.items() if _compute(request.dtype) in o.dtypes and o.arity)
        yield from (replace(request, op=name) for name in ops if not OPCODES[name].draws)
    elif request.op is None and request.kernel in OPERATIONS:
        yield from (replace(request, op=name) for name in OPERATIONS[request.kernel])
    else:
        yield request


# --- products and convolutions ----------------------------------------------------------------


@_builds("gemm", shape=(10, 784), filters=(784, 100))
def _gemm(make: _Maker) -> Problem:
    (m, k), (rows, n) = make.shape("m,k"), make.filters("k,n")
    if k != rows:
        raise ValueError(
            f"{make.request.kernel}: {m},{k} times {rows},{n}: the inner lengths differ"
        )
    operands = [make.values((m, k)), make.values((k, n))]
    return Problem(operands, [_spec(make, (m, n))], {"epilogue": make.identity})


@_builds("integer_gemm", shape=(10, 784), filters=(784, 100))
def _integer_gemm(make: _Maker) -> Problem:
    if make.request.dtype in FLOATS:
        raise ValueError(f"integer_gemm: multiplies integers, not {make.request.dtype}")
    operands, outputs, _ = _gemm(make)[:3]
    return Problem(operands, outputs, {})


def _spec(make: _Maker, shape: Shape) -> ArraySpec:
    return ArraySpec(make.request.dtype, shape)


class _Convolution:
    """Shapes and parameters of a convolution, pooled where the kernel's name says so."""

    def __init__(self, make: _Maker) -> None:
        request = make.request
        self.x, self.w = make.shape("N,C,H,W"), make.filters("O,C,KH,KW")
        if self.x[1] != self.w[1]:
            raise ValueError(f"{request.kernel}: {self.x[1]} channels, filters for {self.w[1]}")
        self.pool = request.pool if "pool" in request.kernel else (1, 1)
        stride = request.stride or (1, 1)
        image, kernel = (self.x[2], self.x[3]), (self.w[2], self.w[3])
        self.size = conv_size(image, kernel, stride, request.padding)
        pooled = (self.size[0] // self.pool[0], self.size[1] // self.pool[1])
        self.y = (self.x[0], self.w[0], *pooled)
        self.params: dict[str, Any] = {
            "stride": stride,
            "padding": request.padding,
            "flip": int(request.flip),
            "epilogue": make.identity,
        }
        if "pool" in request.kernel:
            self.params["pool"] = self.pool

    def winners(self, make: _Maker) -> list[Array]:
        """Those of a pool over small integers, so that some tie; none without a pool."""
        if "pool" not in self.params:
            return []
        dense = make.rng.integers(-2, 3, (*self.y[:2], *self.size)).astype("float32")
        return [max_pool(dense, (self.y[2], self.y[3]), self.pool, self.pool, (0, 0))[1]]


_BOOK = {"shape": (10, 20, 12, 12), "filters": (40, 20, 5, 5)}


@_builds("conv2d", "conv2d_pool", "conv2d_bias_pool", op="all", **_BOOK)
def _conv2d(make: _Maker) -> Problem:
    conv = _Convolution(make)
    outputs = [_spec(make, conv.y)]
    if "pool" in conv.params:
        conv.params["first"] = _number(make.request)
        if make.request.whole:
            outputs.append(ArraySpec("uint8", (*conv.y, mask_bytes(conv.pool))))
    operands = [make.values(conv.x), make.values(conv.w)]
    if make.request.kernel == "conv2d_bias_pool":
        operands.append(make.values(conv.w[:1]))
    return Problem(operands, outputs, conv.params)


@_builds("conv2d_grad_input", "conv2d_pool_grad_input", **_BOOK)
def _conv2d_grad_input(make: _Maker) -> Problem:
    conv = _Convolution(make)
    operands = [make.values(conv.w), make.values(conv.y), *conv.winners(make)]
    return Problem(operands, [_spec(make, conv.x)], conv.params)


@_builds("conv2d_grad_filter", "conv2d_pool_grad_filter", **_BOOK)
def _conv2d_grad_filter(make: _Maker) -> Problem:
    conv = _Convolution(make)
    operands = [make.values(conv.x), make.values(conv.y), *conv.winners(make)]
    return Problem(operands, [_spec(make, conv.w)], conv.params)


# --- pooling ------------------------------------------------------------------------------------


class _Pooling:
    """Shapes and parameters of a pool of whole windows."""

    def __init__(self, make: _Maker) -> None:
        request = make.request
        self.x = make.shape("N,C,H,W")
        stride = request.stride or request.pool
        self.pooled = conv_size((self.x[2], self.x[3]), request.pool, stride, request.padding)
        self.y = (*self.x[:2], *self.pooled)
        geometry = {"window": request.pool, "stride": stride, "padding": request.padding}
        self.params: dict[str, Any] = geometry

    def winners(self, make: _Maker) -> Array:
        """Those of small integers, so that some tie."""
        values = make.rng.integers(-2, 3, self.x).astype("float32")
        geometry = (self.params["window"], self.params["stride"], self.params["padding"])
        return max_pool(values, self.pooled, *geometry)[1]


@_builds("pool2d", shape=(10, 20, 24, 24), op="all")
def _pool2d(make: _Maker) -> Problem:
    pool = _Pooling(make)
    outputs = [_spec(make, pool.y), ArraySpec("uint8", (*pool.y, mask_bytes(make.request.pool)))]
    pool.params["first"] = _number(make.request)
    return Problem([make.values(pool.x)], outputs, pool.params)


@_builds("pool2d_grad", shape=(10, 20, 24, 24))
def _pool2d_grad(make: _Maker) -> Problem:
    pool = _Pooling(make)
    operands = [make.values(pool.y), pool.winners(make)]
    return Problem(operands, [_spec(make, pool.x)], pool.params)


@_builds("pool2d_gather", shape=(10, 20, 24, 24))
def _pool2d_gather(make: _Maker) -> Problem:
    pool = _Pooling(make)
    operands = [make.values(pool.x), pool.winners(make)]
    return Problem(operands, [_spec(make, pool.y)], pool.params)


@_builds("average_pool2d", "average_pool2d_grad", shape=(10, 20, 24, 24), op="padded")
def _average_pool2d(make: _Maker) -> Problem:
    pool = _Pooling(make)
    given, made = pool.x, pool.y
    if make.request.kernel.endswith("_grad"):
        given, made = made, given
    params = pool.params | {"count": _number(make.request)}
    return Problem([make.values(given)], [_spec(make, made)], params)


def _number(request: Request) -> int:
    names = OPERATIONS[request.kernel]
    if request.op not in names:
        raise ValueError(f"{request.kernel}: op is one of {', '.join(names)}, not {request.op}")
    return names.index(request.op)


# --- reductions -----------------------------------------------------------------------------------


def _axes(request: Request) -> tuple[int, ...]:
    assert request.shape is not None
    n = len(request.shape)
    axes = tuple(range(n)) if request.axis is None else request.axis
    if any(not -n <= a < n for a in axes):
        raise ValueError(f"{request.kernel}: axis {axes} is out of range for {n} dimensions")
    return tuple(sorted({a % n for a in axes}))


def _axis(request: Request) -> int:
    (axis, *more) = _axes(replace(request, axis=request.axis or (-1,)))
    if more:
        raise ValueError(f"{request.kernel} works along one axis, not {request.axis}")
    return axis


def _kept(shape: Shape, axes: tuple[int, ...]) -> Shape:
    return tuple(1 if a in axes else n for a, n in enumerate(shape))


def _reduction(make: _Maker) -> dict[str, Any]:
    tape = make.identity
    return {
        "op": _number(make.request),
        "axes_mask": sum(1 << a for a in _axes(make.request)),
        "n_prologue": 1,
        "prologue": tape,
        "epilogue": tape,
    }


def _reduced(make: _Maker, shape: Shape) -> Array:
    """Values near 1 for a product, which else overflows."""
    if make.request.op != "prod" or make.request.dtype not in FLOATS:
        return make.values(shape)
    return (1 + make.values(shape) / 1024).astype(make.request.dtype)


@_builds("reduce", shape=(100, 100), op="sum")
def _reduce(make: _Maker) -> Problem:
    shape = make.request.shape
    assert shape is not None
    output = ArraySpec(_compute(make.request.dtype), _kept(shape, _axes(make.request)))
    return Problem([_reduced(make, shape)], [output], _reduction(make))


@_builds("grouped_reduce", shape=(100, 100), op="sum")
def _grouped_reduce(make: _Maker) -> Problem:
    one = _reduce(make)
    member = CONTRACTS["grouped_reduce"].member
    assert member is not None
    params = join_members(member, [(one.params, 1)] * 2)
    assert make.request.shape is not None
    return Problem([*one.inputs, _reduced(make, make.request.shape)], one.outputs * 2, params)


@_builds("argmax", "argmin", "argsort", shape=(100, 100))
def _arg(make: _Maker) -> Problem:
    shape, axis = make.request.shape, _axis(make.request)
    assert shape is not None
    found = shape if make.request.kernel == "argsort" else _kept(shape, (axis,))
    return Problem([make.values(shape)], [ArraySpec("int64", found)], {"axis": axis})


@_builds("recurrence", "cumsum", shape=(100, 100))
def _running(make: _Maker) -> Problem:
    shape = make.request.shape
    assert shape is not None
    n_operands = 2 if make.request.kernel == "recurrence" else 1
    params = {"axis": _axis(make.request), "reverse": 0}
    return Problem([make.values(shape) for _ in range(n_operands)], [_spec(make, shape)], params)


@_builds("softmax", "log_softmax", shape=(10, 100))
def _softmax(make: _Maker) -> Problem:
    shape = make.shape("n,c")
    return Problem([make.values(shape)], [_spec(make, shape)], {})


@_builds("softmax_xent", shape=(10, 10))
def _softmax_xent(make: _Maker) -> Problem:
    n, c = make.shape("n,c")
    operands = [make.values((n, c)), make.indices(n, c)]
    return Problem(operands, [_spec(make, (n,)), _spec(make, (n, c))], {})


@_builds("softmax_xent_grad", shape=(10, 10))
def _softmax_xent_grad(make: _Maker) -> Problem:
    n, c = make.shape("n,c")
    operands = [make.values((n, c)), make.indices(n, c), make.values((n,))]
    return Problem(operands, [_spec(make, (n, c))], {"epilogue": make.identity})


@_builds("softmax_layer", shape=(10, 100), filters=(100, 10))
def _softmax_layer(make: _Maker) -> Problem:
    x, w = _gemm(make).inputs
    (n, k), c = x.shape, w.shape[1]
    if not fits(n, k, c, x.itemsize):
        raise ValueError(f"softmax_layer takes no {n},{k} times {k},{c}: {LIMITS}")
    operands = [x, w, make.values((1, c)), make.indices(n, c), make.values((n,))]
    outputs = [_spec(make, shape) for shape in ((n, k), (n, c), (n,), (n, c))]
    return Problem(operands, outputs, {"epilogue": make.identity})


@_builds("batch_norm", shape=(64, 32, 196))
def _batch_norm(make: _Maker) -> Problem:
    a, c, b = make.shape("A,C,B")
    epsilon = np.asarray(1e-5, make.request.dtype)
    operands = [make.values((a, c, b)), make.values((c,)), make.values((c,)), epsilon]
    outputs = [_spec(make, (a, c, b)), *[_spec(make, (c,))] * 3]
    return Problem(operands, outputs, {"epilogue": make.identity})


@_builds("batch_norm_grad", shape=(64, 32, 196))
def _batch_norm_grad(make: _Maker) -> Problem:
    a, c, b = make.shape("A,C,B")
    operands = [make.values((a, c, b)), make.values((a, c, b))]
    operands += [make.values((c,)), make.values((c,)), make.positive((c,))]
    return Problem(operands, [_spec(make, (a, c, b)), *[_spec(make, (c,))] * 2], {})


@_builds("distort", shape=(10, 28, 28))
def _distort(make: _Maker) -> Problem:
    shape = make.shape("N,H,W")
    amounts = np.array([-0.3, 0.3, -2, 2, -0.2, 0.2, 0.8, 1.2, 20, 0])
    operands = [make.values(shape), amounts, np.array([0.4, 0.2, 0.1], np.float32)]
    return Problem(operands, [_spec(make, shape)], {"seed": make.request.seed, "first": 0})


# --- indices and elementwise work ---------------------------------------------------------------

_INDEXED = {"n_index": 1, "axis": 0}


@_builds("gather", shape=(1000, 100))
def _gather(make: _Maker) -> Problem:
    n, rest = make.shape("n,rest")
    index = make.indices(n, n)
    return Problem([make.values((n, rest)), index], [_spec(make, (n, rest))], _INDEXED)


@_builds("scatter_add", "scatter_set", shape=(1000, 100))
def _scatter(make: _Maker) -> Problem:
    n, rest = make.shape("n,rest")
    operands = [make.values((n, rest)), make.values((n, rest)), make.indices(n, n)]
    return Problem(operands, [_spec(make, (n, rest))], _INDEXED, in_place=0)


@_builds("check_range", shape=(1000,))
def _check_range(make: _Maker) -> Problem:
    shape = make.request.shape
    assert shape is not None
    return Problem([make.rng.integers(-5, 5, shape)], [], {"low": -5, "high": 5})


# Inputs for which a function is defined: of others it would be NaN.
_DOMAINS: dict[str, Callable[[Array], Array]] = {
    **dict.fromkeys(("log", "log2", "log10", "log1p", "sqrt", "pow"), np.abs),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), np.sin),
    "arccosh": lambda x: 1 + np.abs(x),
}


@_builds("elementwise", shape=(10, 1000), op="exp")
def _elementwise(make: _Maker) -> Problem:
    shape, name, dtype = make.request.shape, make.request.op, make.request.dtype
    assert shape is not None
    compute = _compute(dtype)
    if name not in OPCODES or OPCODES[name].draws or not OPCODES[name].arity:
        raise ValueError(f"elementwise: there is no instruction {name!r}")
    if compute not in OPCODES[name].dtypes:
        raise ValueError(f"elementwise: {name} is not defined for {dtype}")
    arity = OPCODES[name].arity
    operands = [make.values(shape) for _ in range(arity)]
    if name in _DOMAINS:
        operands[0] = np.asarray(_DOMAINS[name](operands[0]), dtype)
    tape = Tape(compute, arity, (Instruction(name, tuple(range(arity))),), (arity,))
    output = ArraySpec("bool" if name in TRUTHS else compute, shape)
    return Problem(operands, [output], {"tape": tape})
