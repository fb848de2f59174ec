"""Gradients against finite differences: `verify_grad`, for tests of expressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.functions import Function, function
from tinygrad_mnist.graph.test_values import no_test_values
from tinygrad_mnist.graph.types import FLOATS, tensor_type
from tinygrad_mnist.graph.values import integer, several, shown
from tinygrad_mnist.graph.variables import Input, Variable
from tinygrad_mnist.ops.reduce import sum_

AnyArray = NDArray[Any]
TOLERANCES = {"float32": 1e-2, "float64": 1e-4}
STEPS = {"float32": 3e-4, "float64": 1e-7}


class GradientError(Exception):
    """A gradient differs from its finite difference.

    arg: number of the argument. err_pos: the worst element of it, flattened; shape: its shape.
    val1, val2: the symbolic and the numeric slope there. abs_err, rel_err, abs_tol, rel_tol: their
    distance, and what is allowed.
    """

    def __init__(
        self,
        arg: int,
        err_pos: int,
        shape: tuple[int, ...],
        val1: float,
        val2: float,
        abs_err: float,
        rel_err: float,
        abs_tol: float,
        rel_tol: float,
    ) -> None:
        super().__init__(arg, err_pos, shape, val1, val2, abs_err, rel_err, abs_tol, rel_tol)
        self.arg, self.err_pos, self.shape = arg, err_pos, shape
        self.val1, self.val2 = val1, val2
        self.abs_err, self.rel_err = abs_err, rel_err
        self.abs_tol, self.rel_tol = abs_tol, rel_tol

    def __str__(self) -> str:
        index = tuple(int(i) for i in np.unravel_index(self.err_pos, self.shape))
        return (
            f"the gradient of argument {self.arg} at {index} of shape {self.shape} is {self.val1}; "
            f"finite differences give {self.val2}. They differ by {self.abs_err} (allowed: "
            f"{self.abs_tol}), relative {self.rel_err} (allowed: {self.rel_tol})"
        )


class numeric_grad:  # noqa: N801
    """Forward differences of a function of arrays.

    f: takes the arrays `pt`, one or a list, and returns a number. eps: the step, by default 3e-4
    if one of the arrays, or `out_type`, is float32, else 1e-7.

    gf: the gradient, in the form of `pt`.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        pt: Any,
        eps: float | None = None,
        out_type: str | None = None,
    ) -> None:
        is_list = isinstance(pt, list | tuple)
        arrays = [np.array(p) for p in (pt if is_list else [pt])]
        dtypes = [a.dtype.name for a in arrays] + ([] if out_type is None else [str(out_type)])
        wide = max((d for d in dtypes if d in FLOATS), default="float64", key=FLOATS.index)
        step = max(STEPS.get(d, 0.0) for d in dtypes) if eps is None else eps
        moved = [a.astype(wide) for a in arrays]
        before = f(*moved)
        gradients = []
        for array in moved:
            slopes = np.empty(array.shape, wide)
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + step
                slopes[index] = (f(*moved) - before) / (array[index] - kept)
                array[index] = kept
            gradients.append(slopes)
        self.gf = gradients if is_list else gradients[0]

    @staticmethod
    def abs_rel_err(a: Any, b: Any) -> tuple[AnyArray, AnyArray]:
        """The distance of two arrays, and it relative to the sum of their sizes."""
        distance = np.abs(np.asarray(a) - b)
        return distance, distance / np.maximum(np.abs(a) + np.abs(b), 1e-8)

    def abs_rel_errors(self, g_pt: Any) -> list[tuple[AnyArray, AnyArray]]:
        """`abs_rel_err` of every gradient and that of `g_pt`."""
        ours = self.gf if isinstance(self.gf, list) else [self.gf]
        theirs = list(g_pt) if isinstance(g_pt, list | tuple) else [g_pt]
        if [np.shape(g) for g in ours] != [np.shape(g) for g in theirs]:
            shapes = [np.shape(g) for g in theirs]
            raise ArgumentError(f"gradients of shapes {[g.shape for g in ours]}, not {shapes}")
        return [self.abs_rel_err(a, b) for a, b in zip(ours, theirs, strict=True)]

    def max_err(self, g_pt: Any, abs_tol: float, rel_tol: float) -> tuple[int, int, float, float]:
        """Where `g_pt` is furthest off, relative to both tolerances: the number of the argument,
        the element of it, flattened, and its absolute and relative error."""
        worst = (0, 0, 0.0, 0.0)
        score = -1.0
        for number, (distance, relative) in enumerate(self.abs_rel_errors(g_pt)):
            if not distance.size:
                continue
            scores = np.minimum(distance / abs_tol, relative / rel_tol)
            scores = np.where(np.isfinite(scores), scores, np.inf)
            position = int(np.argmax(scores))
            if scores.flat[position] > score:
                score = float(scores.flat[position])
                errors = float(distance.flat[position]), float(relative.flat[position])
                worst = (number, position, *errors)
        return worst


@no_test_values()
def verify_grad(
    fun: Callable[..., Variable],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: Any = None,
    eps: float | None = None,
    out_type: str | None = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: Any = None,
    cast_to_output_type: bool = False,
    no_debug_ref: bool = True,
) -> None:
    """Compares the gradient of an expression with finite differences.

    fun: a function of as many variables as `pt` has arrays, which returns a variable. pt: float
    arrays, where to compare. n_tests: how many random projections of the result to try. rng: an
    `np.random.RandomState` or `Generator`. eps, out_type: see `numeric_grad`. abs_tol, rel_tol: an
    element is wrong if it misses both; by default 1e-4, or 1e-2 where float32 is among the arrays.
    mode: that of `function`. cast_to_output_type: projects a float32 result in float32.
    no_debug_ref: has no effect here.

    Raises GradientError where they differ, GraphTypeError for arguments of the wrong kind.
    """
    arrays = [np.array(p) for p in several(pt, "pt", "arrays")]
    for i, p in enumerate(arrays):
        if p.dtype.name not in FLOATS:
            raise GraphTypeError(f"verify_grad takes floats; input {i} has dtype {p.dtype}")
    if not callable(getattr(rng, "random", None)):
        raise GraphTypeError(f"rng is {shown(rng)}; it must be a numpy.random.RandomState")
    tolerance = max(TOLERANCES[p.dtype.name] for p in arrays)
    abs_tol = tolerance if abs_tol is None else abs_tol
    rel_tol = tolerance if rel_tol is None else rel_tol

    def made(inputs: list[Variable], outputs: Any) -> Function:
        return function(
            inputs, outputs, mode=mode, allow_input_downcast=True, on_unused_input="ignore"
        )

    inputs: list[Variable] = [
        Input(tensor_type(p.dtype.name, [n == 1 for n in p.shape]), f"input {i}")
        for i, p in enumerate(arrays)
    ]
    output = fun(*inputs)
    if not isinstance(output, Variable):
        raise NotImplementedError("verify_grad takes functions that return one variable")
    is_narrow = cast_to_output_type and output.dtype == "float32"
    shape = made(inputs, output)(*arrays).shape
    weights = Input(tensor_type("float32" if is_narrow else "float64", output.broadcastable))
    cost = sum_(weights * output)
    value = made([weights, *inputs], cost)
    slopes = made([weights, *inputs], grad(cost, inputs, disconnected_inputs="ignore"))
    for _ in range(integer(n_tests, "n_tests", 0)):
        # Not close to 0, where an element would have no say.
        projection = np.asarray(rng.random(shape) + 0.5, weights.dtype)
        numeric = numeric_grad(lambda *v, w=projection: value(w, *v), list(arrays), eps, out_type)
        symbolic = slopes(projection, *arrays)
        arg, position, abs_err, rel_err = numeric.max_err(symbolic, abs_tol, rel_tol)
        if not (abs_err <= abs_tol or rel_err <= rel_tol):
            raise GradientError(
                arg,
                position,
                symbolic[arg].shape,
                symbolic[arg].flat[position],
                numeric.gf[arg].flat[position],
                abs_err,
                rel_err,
                abs_tol,
                rel_tol,
            )


verify_grad.E_grad = GradientError  # type: ignore[attr-defined]
