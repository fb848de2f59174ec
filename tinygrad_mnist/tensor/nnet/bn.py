"""Theano's `tensor.nnet.bn`: batch normalisation (Ioffe and Szegedy, 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.types import FLOATS, upcast
from tinygrad_mnist.graph.values import choice, number
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.batch_norm import BATCH_NORMALIZATION
from tinygrad_mnist.ops.elementwise import cast, maximum, settle_constants, sqrt
from tinygrad_mnist.ops.reduce import normalise_axes
from tinygrad_mnist.ops.shape import alloc, dimshuffle, length, reshape

Axes = tuple[int, ...]


def _normalised_axes(axes: Any, ndim: int) -> Axes:
    """The axes that the statistics are taken over, sorted."""
    if isinstance(axes, str):
        if axes not in ("per-activation", "spatial"):
            raise ArgumentError(
                f"axes is {axes!r}; it can be 'per-activation', 'spatial' or a tuple of ints"
            )
        axes = (0,) if axes == "per-activation" else (0, *range(2, ndim))
    if axes is None:
        raise GraphTypeError("axes is None; name the axes, or 'per-activation' or 'spatial'")
    chosen = normalise_axes(axes, ndim)
    if not chosen:
        raise GraphTypeError("batch normalisation needs at least one axis to normalise over")
    return chosen


class _Parameters:
    """gamma, beta and statistics: either with as many dimensions as the inputs, 1 long along the
    axes, or with the other axes only."""

    def __init__(self, inputs: Variable, axes: Axes, **given: Variable) -> None:
        self.inputs, self.axes = inputs, axes
        self.kept = [i for i in range(inputs.ndim) if i not in axes]
        wanted = (inputs.ndim, len(self.kept))
        ndims = {v.ndim for v in given.values()}
        if len(ndims) > 1 or not ndims <= set(wanted):
            found = ", ".join(f"{name} has {v.ndim}" for name, v in given.items())
            raise GraphTypeError(
                f"{found} dimensions; all need {wanted[0]}, as the inputs, or {wanted[1]}, one "
                f"for each axis that is not among {axes}"
            )
        self.full = ndims == {inputs.ndim}

    def expanded(self, v: Variable) -> Variable:
        """A parameter with as many dimensions as the inputs; those along the axes broadcast."""
        if not self.full:
            axes = iter(range(len(self.kept)))
            v = dimshuffle(v, *(next(axes) if i in self.kept else "x" for i in self.lengths))
        elif not all(v.broadcastable[a] for a in self.axes):
            v = reshape(v, [1 if i in self.axes else length(v, i) for i in self.lengths])
        stretched = (v.broadcastable[i] and not self.inputs.broadcastable[i] for i in self.kept)
        if any(stretched):
            v = alloc(v, *(1 if i in self.axes else length(self.inputs, i) for i in self.lengths))
        return v

    @property
    def lengths(self) -> range:
        return range(self.inputs.ndim)

    def reduced(self, v: Variable) -> Variable:
        """A statistic with the dimensions that the parameters have."""
        return v if self.full else dimshuffle(v, *self.kept)


def _floats(*values: Any) -> list[Variable]:
    """Variables in the float dtype that holds the values of all."""
    variables = settle_constants([as_variable(v) for v in values])
    dtype = upcast(*(v.dtype for v in variables))
    dtype = dtype if dtype in FLOATS else config.floatX
    return [cast(v, dtype) for v in variables]


def _check_epsilon(epsilon: Any) -> float:
    value = number(epsilon, "epsilon")
    if not value > 0:
        raise ArgumentError(f"epsilon is {epsilon}; it is a number above 0")
    return value


def batch_normalization_train(
    inputs: Any,
    gamma: Any,
    beta: Any,
    axes: str | Sequence[int] = "per-activation",
    epsilon: float = 1e-4,
    running_average_factor: Any = 0.1,
    running_mean: Any = None,
    running_var: Any = None,
) -> tuple[Variable, ...]:
    """Normalises the inputs by their own mean and variance, for training.

    axes: those that mean and variance are taken over: 'per-activation' is the first, 'spatial' all
    but the second (a mean for each channel), or a tuple. gamma, beta: scale and shift, with as many
    dimensions as the inputs and length 1 along `axes`, or without these. epsilon: is added to the
    variance. running_mean, running_var: both or none, of gamma's shape.

    Returns (out, mean, invstd): (inputs - mean) * gamma * invstd + beta, and the statistics in
    gamma's form, invstd = 1 / sqrt(variance + epsilon). If running values are given, also their
    updates:

        running_mean * (1 - factor) + mean * factor
        running_var * (1 - factor) + variance * m / (m - 1) * factor

    with m the number of values per mean. For m = 1, where Theano has NaN, the variance counts as 0.
    Gradients pass through mean and invstd. Raises GraphTypeError, and ShapeError where the shapes
    of the parameters don't fit.
    """
    x, scale, shift = _floats(inputs, gamma, beta)
    if (running_mean is None) != (running_var is None):
        raise GraphTypeError("running_mean and running_var go together: give both or none")
    given = {"gamma": scale, "beta": shift}
    if running_mean is not None:
        given["running_mean"] = as_variable(running_mean)
        given["running_var"] = as_variable(running_var)
    parameters = _Parameters(x, _normalised_axes(axes, x.ndim), **given)
    out, *statistics = BATCH_NORMALIZATION.node(
        x,
        parameters.expanded(scale),
        parameters.expanded(shift),
        axes=parameters.axes,
        epsilon=_check_epsilon(epsilon),
    ).outputs
    centre, invstd, variance = map(parameters.reduced, statistics)
    if running_mean is None:
        return out, centre, invstd
    m: Variable = as_variable(1)
    for a in parameters.axes:
        m = m * length(x, a)
    unbiased = variance * (cast(m, x.dtype) / cast(maximum(m - 1, 1), x.dtype))
    return (
        out,
        centre,
        invstd,
        _running(given["running_mean"], centre, running_average_factor),
        _running(given["running_var"], unbiased, running_average_factor),
    )


def _running(old: Variable, new: Variable, factor: Any) -> Variable:
    """A step of a running average, in its own dtype."""
    return cast(old * (1 - factor) + new * factor, old.dtype)


def batch_normalization_test(
    inputs: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    axes: str | Sequence[int] = "per-activation",
    epsilon: float = 1e-4,
) -> Variable:
    """Normalises the inputs by a given mean and variance, such as the running ones, for inference.

    (inputs - mean) * gamma / sqrt(var + epsilon) + beta; the arguments are those of
    `batch_normalization_train`. Raises GraphTypeError.
    """
    x, *given = _floats(inputs, gamma, beta, mean, var)
    names = ("gamma", "beta", "mean", "var")
    parameters = _Parameters(
        x, _normalised_axes(axes, x.ndim), **dict(zip(names, given, strict=True))
    )
    scale, shift, centre, variance = map(parameters.expanded, given)
    return (x - centre) * (scale / sqrt(variance + _check_epsilon(epsilon))) + shift


def batch_normalization(
    inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem"
) -> Variable:
    """(inputs - mean) * (gamma / std) + beta, with the usual broadcasting: Theano's older form.
    mode: 'low_mem' or 'high_mem', which makes no difference here."""
    choice(mode, ("low_mem", "high_mem"), "mode")
    x, scale, shift, centre, deviation = _floats(inputs, gamma, beta, mean, std)
    return (x - centre) * (scale / deviation) + shift


__all__ = ["batch_normalization", "batch_normalization_test", "batch_normalization_train"]
