"""How far each CPU kernel's results may be from the exact ones, on every instruction set.

`BOUNDS` has an entry per kernel. u is the rounding of the dtype, half its eps: 2**-24 or 2**-53.
The bounds are to the first order in u; in all of them each rounding counts for its worst case, and
every denormal product for half the smallest number. They hold for kernels whose tapes change
nothing, for `elementwise` with one instruction, and for products of `reduce` none of whose partial
products underflows.

Sums are bounded by |error| <= c(k) u * (the sum of the magnitudes of the k terms), where c(k)
counts the roundings on a term's longest way into the sum: it follows from the order of the
summation alone (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array, ArraySpec
from tinygrad_mnist.contracts.core.group import members_of
from tinygrad_mnist.contracts.core.tape import FLOATS, TRUTHS
from tinygrad_mnist.contracts.pool2d.average_pool2d import SUM
from tinygrad_mnist.contracts.reduce.reduce import PROD
from tinygrad_mnist.contracts.reduce.reduce import SUM as REDUCE_SUM

#: The machine's long double. It may be no wider than float64.
LONG = np.dtype(np.longdouble)
_DOUBLE = 2.0**-53  # the rounding of what kernels compute in double

# The most that the functions of tapes err, in units of the last place; docs/accuracy.md has what
# was measured. Half a unit is a correct rounding.
ULP: dict[str, float] = dict.fromkeys(("add", "sub", "mul", "div", "sqrt", "sqr", "mod"), 0.5)
_NAMES = "exp exp2 log log1p log2 log10 sinh cosh sin cos tan arcsin arccos arctan arcsinh arccosh"
ULP |= dict.fromkeys((*_NAMES.split(), "arctanh", "arctan2", "pow", "erf"), 1.0)
ULP |= {"expm1": 1.25, "sigmoid": 1.5, "tanh": 1.5, "erfc": 1.5, "softplus": 1.75}
# The others choose, compare or round to integers: no error.
EXACT = TRUTHS | {"neg", "abs", "sign", "floor", "ceil", "round", "round_away", "trunc"}
EXACT |= {"bit_count", "maximum", "minimum", "switch"}


@dataclass(frozen=True)
class ExactCall:
    """A call, computed by its contract in a wider dtype.

    inputs, exact: operands and results, floats in the wider dtype. outputs: specs of these results.
    dtype: the kernel's float dtype.
    """

    kernel: str
    params: Mapping[str, Any]
    inputs: list[Array]
    outputs: list[ArraySpec]
    exact: list[Array]
    dtype: str

    @property
    def u(self) -> np.longdouble:
        """The rounding; in a dtype that has its product with `tiny`."""
        return np.longdouble(np.finfo(self.dtype).eps) / 2

    @property
    def tiny(self) -> np.longdouble:
        """What a rounding may cost where numbers are denormal, divided by u."""
        return np.longdouble(np.finfo(self.dtype).tiny)

    def changed(self, change: Callable[[Array], Array], **params: Any) -> list[Array]:
        """The results where every float input is changed."""
        inputs = [change(x) if x.dtype.kind == "f" else x for x in self.inputs]
        contract = CONTRACTS[self.kernel]
        with np.errstate(all="ignore"):
            return contract.reference({**self.params, **params}, inputs, self.outputs)


def exact_call(
    kernel: str, params: Mapping[str, Any], inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> ExactCall:
    """A call, computed by its contract in float64, or with an operand of float64 in long double
    where that is wider."""
    dtype = LONG if any(x.dtype == np.float64 for x in inputs) else np.dtype(np.float64)
    wide = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
    specs = [ArraySpec(dtype.name, o.shape) if o.dtype in FLOATS else o for o in outputs]
    with np.errstate(all="ignore"):  # inf - inf and 0 * inf are NaN on every backend
        exact = CONTRACTS[kernel].reference(params, wide, specs)
    own = next((o.dtype for o in outputs if o.dtype in FLOATS), "float32")
    return ExactCall(kernel, params, wide, specs, exact, own)


def largest_errors(call: ExactCall) -> list[Array | None]:
    """What the elements of each output may err; None for outputs of integers, and where a kernel
    isn't in the table or nothing wider than its dtype has the exact results."""
    none: list[Array | None] = [None] * len(call.exact)
    op = call.params["tape"].instructions[0].op if call.kernel == "elementwise" else ""
    is_narrow = call.dtype == "float64" and (np.float64 == LONG or op in ("erf", "erfc"))
    if call.kernel not in BOUNDS or is_narrow:
        return none
    with np.errstate(all="ignore"):
        errors = BOUNDS[call.kernel].errors(call)
    return [e if x.dtype.kind == "f" else None for e, x in zip_longest(errors, call.exact)]


Errors = Callable[[ExactCall], list[Array]]


class Bound(NamedTuple):
    """errors: the largest errors allowed, of each float output; zeros for one that is exact.
    form, source: the bound and why it holds, as docs/accuracy.md has them."""

    errors: Errors
    form: str
    source: str


# --- sums of products -----------------------------------------------------------------------------


def in_order(k: float) -> float:
    """k terms, each a product, added one after the other: a product and k - 1 sums."""
    return k


def in_tree(k: float) -> float:
    """Those of gemm: runs of 256, and above them a tree of two and four levels of 16: enough for k
    of up to 2**25."""
    return k if k < 1024 else 256 + 4 * 16 + 1


def in_runs(k: float) -> float:
    """Those of convolutions: runs of r, and the sums of the runs one after the other."""
    run = max(1024, math.isqrt(int(k)))
    return k if k <= 1024 else min(k, run + 2 * k / run)


def pairwise(k: float) -> float:
    """Those of pools: runs of 256, added pairwise, and a quotient."""
    return k if k <= 256 else 256 + math.ceil(math.log2(k))


def in_blocks(k: float) -> float:
    """Those of `reduce`: blocks of 512 in 4 vectors of at least 2 lanes, or of 16 rows; then wider
    sums, rounded once."""
    return min(k, 512 // 8 + 3 + 2 + 1 + 1)


def of_exponentials(k: float) -> float:
    """Those of the softmax family: blocks of 256, as in `in_blocks`."""
    return min(k, 256 // 8 + 3 + 2 + 1 + 1)


def in_norm_blocks(k: float) -> float:
    """Those of `batch_norm`: blocks of 4096 values; in rows of two, a vector adds 2048."""
    return min(k, 2048 + 3 + 4)


def _linear(roundings: Callable[[float], float], **ones_params: Any) -> Errors:
    """Of a kernel whose results are sums of products. ones_params: parameters with which the kernel
    of ones counts the terms."""

    def errors(call: ExactCall) -> list[Array]:
        terms = call.changed(np.ones_like, **ones_params)[0]
        bound = np.vectorize(roundings, otypes=[float])(terms) if terms.size else terms
        return [call.u * (bound * call.changed(np.abs)[0] + np.maximum(terms, 1) * call.tiny)]

    return errors


def _recurrence(call: ExactCall) -> list[Array]:
    """What a denormal product lost is multiplied by the factors behind it, as the terms are."""
    x, a = call.inputs
    contract = CONTRACTS["recurrence"]
    size, lost = (
        contract.reference(call.params, [y, np.abs(a)], call.outputs)[0]
        for y in (np.abs(x), np.ones_like(x))
    )
    return [call.u * (2 * call.changed(np.ones_like)[0] * size + lost * call.tiny)]


def _reduce(call: ExactCall) -> list[Array]:
    op, mask = call.params["op"], call.params["axes_mask"]
    (x, *_), exact = call.inputs, call.exact[0]
    axes = tuple(d for d in range(x.ndim) if mask >> d & 1)
    k = math.prod(x.shape[d] for d in axes)
    if op == REDUCE_SUM:
        return [call.u * in_blocks(k) * np.abs(x).sum(axes, keepdims=True)]
    lost = np.abs(exact) + call.tiny
    return [call.u * k * lost if op == PROD else np.zeros_like(exact)]


def _grouped_reduce(call: ExactCall) -> list[Array]:
    errors = []
    members = members_of(CONTRACTS["grouped_reduce"], call.params)
    for (params, operands), spec, exact in zip(members, call.outputs, call.exact, strict=True):
        inputs = [call.inputs[k] for k in operands]
        errors += _reduce(ExactCall("reduce", params, inputs, [spec], [exact], call.dtype))
    return errors


# --- softmax --------------------------------------------------------------------------------------


class _Rows(NamedTuple):
    """Of the rows of logits: less their maximum; their softmax; the logarithm of the sum of
    exponentials; and the error of this sum, relative and in roundings: each exponential has that of
    its argument, whose error is d u, and its own."""

    d: Array
    p: Array
    log: Array
    sum: Array


def _rows(call: ExactCall) -> _Rows:
    x = call.inputs[0]
    d = x - x.max(axis=1, keepdims=True, initial=-np.inf)
    power = np.exp(d)
    total = power.sum(axis=1, keepdims=True)
    p = power / total
    own = 2 * ULP["exp"] + of_exponentials(x.shape[1])
    return _Rows(d, p, np.log(total), (p * np.abs(d)).sum(axis=1, keepdims=True) + own)


def _softmax(call: ExactCall) -> Array:
    rows = _rows(call)
    roundings = np.abs(rows.d) + 2 * ULP["exp"] + rows.sum + 1
    return np.asarray(call.u * (roundings * rows.p + 4 * call.tiny))


def _log_softmax(call: ExactCall) -> Array:
    rows = _rows(call)
    log = 2 * ULP["log"] * rows.log
    roundings = np.abs(rows.d) + rows.sum + log + np.abs(rows.d - rows.log)
    return np.asarray(call.u * (roundings + call.tiny))


def _xent(call: ExactCall) -> list[Array]:
    labels = call.inputs[1].astype(np.int64)
    return [_log_softmax(call)[np.arange(len(labels)), labels], _softmax(call)]


def _relative(roundings: float) -> Errors:
    return lambda call: [call.u * roundings * (np.abs(call.exact[0]) + call.tiny)]


# --- batch normalisation --------------------------------------------------------------------------


def _per_channel(v: Array) -> Array:
    return v[:, None]


def _statistics(call: ExactCall) -> tuple[Array, Array, Array]:
    """The errors of mean, variance and invstd. A block subtracts its own mean, as rounded, and
    keeps the sum of what is left, so the mean errs by what its deviations do. Blocks of at least
    64 values are combined in double: k / 64 roundings, which count in float64. The error of the
    mean is in the variance too: of the first order, as a block's differences don't add up to 0."""
    x, epsilon = call.inputs[0], call.inputs[3]
    _, mean, invstd, variance = call.exact
    k = x.shape[0] * x.shape[2]
    c = call.u * in_norm_blocks(k)
    size = np.abs(x).mean((0, 2))
    spread = np.abs(x - _per_channel(mean)).mean((0, 2))
    centre = 2 * c * spread + ((k / 64 + 4) * _DOUBLE + 4 * c * c) * size
    squares = (4 * c + 8 * call.u) * variance + 2 * np.sqrt(variance) * centre
    squares += centre**2 + (2 * c * size) ** 2 + call.u * call.tiny
    least = np.maximum(variance - squares, 0) + epsilon
    return centre, squares, 1 / np.sqrt(least) - invstd + 2 * call.u * invstd


def _batch_norm(call: ExactCall) -> list[Array]:
    x, gamma, beta, _ = call.inputs
    y, mean, invstd, _ = call.exact
    centre, squares, inverse = _statistics(call)
    scale, relative = np.abs(gamma * invstd), inverse / invstd
    distance = np.abs(x - _per_channel(mean))
    lost = _per_channel(scale * (centre + 4 * call.u**2 * np.abs(mean)))
    of_y = distance * _per_channel(scale * (4 * call.u + relative)) + lost
    of_y += call.u * (np.abs(y) + _per_channel(np.abs(beta)) + 2 * call.tiny)
    return [of_y, centre + call.u * np.abs(mean), inverse, squares]


def _batch_norm_grad(call: ExactCall) -> list[Array]:
    x, g, gamma, mean, invstd = call.inputs
    k = max(1, x.shape[0] * x.shape[2])
    c = in_norm_blocks(k) + k / 64 * _DOUBLE / call.u  # the blocks are combined in double
    inverse, scale = np.abs(invstd), np.abs(gamma * invstd)
    distance = np.abs(x - _per_channel(mean))
    sums, products = np.abs(g).sum((0, 2)), (np.abs(g) * distance).sum((0, 2))
    slope = scale * inverse**2 * products / k
    terms = 3 * np.abs(g) * _per_channel(scale) + (c + 7) * distance * _per_channel(slope)
    terms += (c + 3) * _per_channel(scale * sums / k)
    # What is lost where scale, slope, the products or a term of dx are denormal.
    of_slope = 2 + scale * inverse**2 + (1 + inverse) ** 2 * products / k
    lost = 4 + np.abs(g) + _per_channel(sums / k) + distance * _per_channel(of_slope)
    of_sums = [(c + 3) * products * inverse, (c + 1) * sums]
    lost_of_sums = [1 + k * inverse, np.ones_like(sums)]
    return [
        call.u * (e + of * call.tiny)
        for e, of in zip((terms, *of_sums), (lost, *lost_of_sums), strict=True)
    ]


def _distort(call: ExactCall) -> list[Array]:
    images, amounts, weights = call.inputs
    fill = np.where(np.arange(10) == 9, np.abs(amounts), amounts)
    size = CONTRACTS["distort"].reference(
        call.params, [np.abs(images), fill, weights], call.outputs
    )[0]
    return [call.u * 6 * (size + call.tiny)]


# --- elementwise ----------------------------------------------------------------------------------


def _elementwise(call: ExactCall) -> list[Array]:
    (instruction,) = call.params["tape"].instructions
    name, exact = instruction.op, call.exact[0]
    if name in EXACT or exact.dtype.kind != "f":
        return [np.zeros(exact.shape)]
    if name == "int_div":  # (x - remainder) / y, less 1 where signs differ
        return [call.u * 3 * np.abs(exact)]
    info = np.finfo(call.dtype)
    size = np.clip(np.abs(exact), info.tiny, info.max)
    last_place = np.ldexp(2 * call.u, np.frexp(size)[1] - 1)
    return [ULP[name] * last_place]


def _exact(call: ExactCall) -> list[Array]:
    return [np.zeros(e.shape) for e in call.exact]


# --- the table ------------------------------------------------------------------------------------

_SUMS = "u c(k) Σ\\|terms\\|"
_CHOSEN = Bound(_exact, "0", "elements are compared, counted or moved")
_INTEGERS = Bound(_exact, "0", "integers alone")
_PRODUCTS = Bound(
    _linear(in_tree), f"{_SUMS}, c = k; 321 from k = 1024 to 2²⁵", "runs of 256, added as a tree"
)
_TAPS = Bound(
    _linear(in_runs),
    f"{_SUMS}, c = k; r + 2 k/r with r = max(1024, √k) from k = 1025 on",
    "runs of r terms, added in order; of a maximum, the larger bound",
)
_WINDOWS = Bound(
    _linear(pairwise, count=SUM),
    f"{_SUMS}, c = k; 256 + log₂ k from k = 257 on",
    "runs of 256, added pairwise",
)
_IN_ORDER = Bound(_linear(in_order), f"{_SUMS}, c = k", "terms are added in order")
_REDUCED = "u c Σ\\|terms\\|, c = min(k, 71); products: u k \\|result\\|; extremes: 0"
_BLOCKS = "blocks of 512 elements in 8 sums or more, or 16 rows; then wider sums"
_SOFTMAX = "u p (\\|d\\| + Σp\\|d\\| + min(k, 39) + 5), where d is x less the row's maximum"
_EXP = "exp errs by 1 ulp, and by d u for its argument; the sum as in `reduce`"

BOUNDS: dict[str, Bound] = {
    "gemm": _PRODUCTS,
    **dict.fromkeys(("conv2d", "conv2d_pool", "conv2d_bias_pool"), _TAPS),
    **dict.fromkeys(("conv2d_grad_input", "conv2d_grad_filter", "conv2d_pool_grad_filter"), _TAPS),
    "conv2d_pool_grad_input": Bound(
        _linear(in_order), f"{_SUMS}, c = k", "in order, or in runs above 2048: never more than k"
    ),
    **dict.fromkeys(("average_pool2d", "pool2d_gather", "pool2d_grad"), _WINDOWS),
    "average_pool2d_grad": _WINDOWS,
    **dict.fromkeys(("cumsum", "scatter_add"), _IN_ORDER),
    "recurrence": Bound(
        _recurrence,
        "2 u k y', where y' is the recurrence of \\|x\\| and \\|a\\|",
        "a product and a sum per step, in order",
    ),
    "reduce": Bound(_reduce, _REDUCED, _BLOCKS),
    "grouped_reduce": Bound(_grouped_reduce, _REDUCED, _BLOCKS),
    "softmax": Bound(lambda call: [_softmax(call)], _SOFTMAX, _EXP),
    "log_softmax": Bound(
        lambda call: [_log_softmax(call)],
        "u (\\|d\\| + Σp\\|d\\| + min(k, 39) + 2 + 2 \\|log Σexp d\\| + \\|result\\|)",
        "as softmax; log errs by 1 ulp",
    ),
    "softmax_xent": Bound(_xent, "as log_softmax and softmax", "the same sums"),
    "softmax_xent_grad": Bound(_relative(2), "2 u \\|result\\|", "a difference and a product"),
    "batch_norm": Bound(
        _batch_norm,
        "mean: e + u \\|mean\\|, e = 2 u c avg\\|x - mean\\| + 2⁻⁵³ (k/64 + 4) avg\\|x\\|;"
        " variance: u (4 c + 8) variance + 2 e √variance: up to u (8 c + 8) variance and the 2⁻⁵³"
        " of e; c = min(k, 2055); invstd and y: what follows of these, and 4 u of each product",
        "blocks of 4096 that subtract their own mean, in rows of 2 a vector adds 2048 times; blocks"
        " of 64 or more are combined in double: its roundings count in float64",
    ),
    "batch_norm_grad": Bound(
        _batch_norm_grad,
        "sums: u (c + 3) Σ\\|terms\\|; dx: u (3, c + 7, c + 3) times its three terms; c as in"
        " `batch_norm`, and k/64 more in float64",
        "the same blocks; one rounding per operation",
    ),
    "distort": Bound(
        _distort,
        "6 u times the image of \\|x\\|",
        "two interpolations: a difference, a product and a sum each",
    ),
    "elementwise": Bound(
        _elementwise, "0 to 1.75 ulp: see above", "correctly rounded, or measured (see above)"
    ),
    **dict.fromkeys(("argmax", "argmin", "argsort", "gather", "scatter_set", "pool2d"), _CHOSEN),
    **dict.fromkeys(("integer_gemm", "check_range"), _INTEGERS),
}
