"""Linear algebra that NumPy computes on the host: determinants, inverses, decompositions.

Each op cuts the plan (`compile/cuts.py`). Gradients are closed forms, made of the same ops and of
products. Matrices are float32 or float64; all results have the dtype of the matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, Params
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable, register_op
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.types import TensorType, tensor_type
from tinygrad_mnist.graph.variables import MultiVjp, Node, Op, Variable, Vjp, described
from tinygrad_mnist.ops.creation import arange, identity_like
from tinygrad_mnist.ops.elementwise import cast, eq, switch
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.linalg import dot, outer
from tinygrad_mnist.ops.shape import dimshuffle, length, without_broadcasting

Gradients = Sequence[Variable | None]


def as_matrix(x: Any, what: str) -> Variable:
    """A float matrix; integers become float64. Raises GraphTypeError for another number of axes."""
    matrix = as_variable(x)
    if matrix.ndim != 2:
        raise GraphTypeError(f"{described(matrix)}; {what} takes a matrix{at(matrix.source)}")
    return _floats(matrix)


def as_matrix_or_vector(x: Any, what: str) -> Variable:
    """The same for a matrix or a vector."""
    array = as_variable(x)
    if array.ndim not in (1, 2):
        raise GraphTypeError(
            f"{described(array)}; {what} takes a matrix or a vector{at(array.source)}"
        )
    return _floats(array)


def op_of(function: Callable[..., Any]) -> Callable[..., Callable[..., Any]]:
    """A function as Theano's op: what makes it takes the options, and its result the arrays."""

    def make(*options: Any, **keywords: Any) -> Callable[..., Any]:
        return lambda *arrays: function(*arrays, *options, **keywords)

    make.__doc__ = f"`{function.__name__}` as Theano's op: the options come first, then the arrays."
    return make


def _floats(x: Variable) -> Variable:
    x = without_broadcasting(x, (False,) * x.ndim)
    return x if x.type.is_float else cast(x, "float64")


def _define(
    name: str,
    ndims: Sequence[int],
    host: Callable[..., Any],
    vjp: Vjp | None = None,
    multi_vjp: MultiVjp | None = None,
) -> Op:
    """An op whose results have so many axes. host: the results, a tuple of them if they are
    several, for arrays and parameters."""

    def infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
        return [tensor_type(types[0].dtype, (False,) * n) for n in ndims]

    def results(params: Params, arrays: Sequence[Array]) -> Sequence[Array]:
        given = host(*arrays, **params)
        return given if isinstance(given, tuple) else [given]

    return register_op(Op(name, infer, None, vjp=vjp, multi_vjp=multi_vjp, host=results))


def _no_gradient(of: str) -> MultiVjp:
    """A gradient that is refused by name, since zeros would be wrong."""

    def refuse(node: Node, gradients: Gradients) -> Gradients:
        raise GraphTypeError(f"there is no gradient of {of}{at(*node.origins)}")

    return refuse


# --- inverses -----------------------------------------------------------------------------------


def _det_vjp(node: Node, g: Variable) -> Gradients:
    return [g * node.outputs[0] * MATRIX_INVERSE(node.inputs[0]).T]


def _inverse_vjp(node: Node, g: Variable) -> Gradients:
    inverse = node.outputs[0].T
    return [-dot(dot(inverse, g), inverse)]


def _pinv_vjp(node: Node, g: Variable) -> Gradients:
    """Golub and Pereyra 1973."""
    (a,), p = node.inputs, node.outputs[0]
    left, right = dot(a, p), dot(p, a)
    return [
        dot(dot(identity_like(left) - left, g.T), dot(p, p.T))
        + dot(dot(p.T, p), dot(g.T, identity_like(right) - right))
        - dot(dot(p.T, g), p.T)
    ]


DET = _define("det", (0,), np.linalg.det, _det_vjp)
MATRIX_INVERSE = _define("matrix_inverse", (2,), np.linalg.inv, _inverse_vjp)
PINV = _define("pinv", (2,), np.linalg.pinv, _pinv_vjp)

# --- decompositions -----------------------------------------------------------------------------


def _svd(a: Array, full_matrices: bool) -> tuple[Array, ...]:
    return tuple(np.linalg.svd(a, full_matrices=full_matrices))


def _singular_values_vjp(node: Node, g: Variable) -> Gradients:
    left, _, right = SVD.node(node.inputs[0], full_matrices=False).outputs
    return [dot(left * dimshuffle(g, "x", 0), right)]


def _eig(a: Array) -> tuple[Array, Array]:
    values, vectors = np.linalg.eig(a)
    if np.iscomplexobj(values):
        raise np.linalg.LinAlgError("the eigenvalues are complex numbers, which have no dtype here")
    return values, vectors


def _eigh(a: Array, lower: bool) -> tuple[Array, ...]:
    return tuple(np.linalg.eigh(a, "L" if lower else "U"))


def _eigh_vjp(node: Node, gradients: Gradients) -> Gradients:
    """The elements of the triangle that is read count for both triangles."""
    values, vectors = node.outputs
    of_values, of_vectors = gradients
    one = identity_like(vectors)
    inner = one * dimshuffle(of_values, "x", 0) if of_values is not None else 0 * one
    if of_vectors is not None:
        gaps = dimshuffle(values, "x", 0) - dimshuffle(values, 0, "x")
        slopes = switch(one, 0, 1 / (gaps + one))
        inner = inner + dot(vectors.T, of_vectors) * slopes
    whole = dot(dot(vectors, inner), vectors.T)
    return [_of_triangle(whole, node.params["lower"])]


def _qr(a: Array, mode: str) -> tuple[Array, ...]:
    return tuple(np.linalg.qr(a, mode=mode))  # type: ignore[call-overload]


SVD = _define("svd", (2, 1, 2), _svd, multi_vjp=_no_gradient("the vectors of svd"))
SINGULAR_VALUES = _define(
    "singular_values", (1,), lambda a: np.linalg.svd(a, compute_uv=False), _singular_values_vjp
)
EIG = _define("eig", (1, 2), _eig, multi_vjp=_no_gradient("eig"))
EIGH = _define("eigh", (1, 2), _eigh, multi_vjp=_eigh_vjp)
QR = _define("qr", (2, 2), _qr, multi_vjp=_no_gradient("qr"))

# --- systems ------------------------------------------------------------------------------------

GENERAL, LOWER, UPPER = "general", "lower", "upper"
_TRIANGLES: dict[str, Callable[[Array], Array]] = {
    GENERAL: lambda a: a,
    LOWER: np.tril,
    UPPER: np.triu,
}
_TRANSPOSED = {GENERAL: GENERAL, LOWER: UPPER, UPPER: LOWER}


def _solve(a: Array, b: Array, structure: str) -> Array:
    return np.linalg.solve(_TRIANGLES[structure](a), b)


def _solve_vjp(node: Node, g: Variable) -> Gradients:
    (a, _), x, structure = node.inputs, node.outputs[0], node.params["structure"]
    of_b = solve(a.T, g, _TRANSPOSED[structure])
    of_a = -(outer(of_b, x) if x.ndim == 1 else dot(of_b, x.T))
    return [of_a if structure == GENERAL else triangle(of_a, structure == LOWER), of_b]


# a matrix, of which `structure` says what is read, and a vector or a matrix -> x with a x = b
_SOLVE_VECTOR = _define("solve_vector", (1,), _solve, _solve_vjp)
_SOLVE_MATRIX = _define("solve_matrix", (2,), _solve, _solve_vjp)


def solve(a: Variable, b: Variable, structure: str) -> Variable:
    """x with a x = b, for operands of one dtype."""
    return (_SOLVE_VECTOR if b.ndim == 1 else _SOLVE_MATRIX)(a, b, structure=structure)


def _lstsq(a: Array, b: Array, rcond: float) -> tuple[Array, Array, Array, Array]:
    x, residuals, rank, values = np.linalg.lstsq(a, b, rcond)
    return x, residuals, np.asarray(rank), values


def _lstsq_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    dtype, b = types[0].dtype, types[1]
    vector = tensor_type(dtype, (False,))
    return [
        tensor_type(dtype, (False,) * b.ndim),
        vector,
        tensor_type("int64", ()),
        vector,
    ]


# a, b -> the x with the least |a x - b|, its residuals, the rank of a, its singular values
LSTSQ = register_op(
    Op(
        "lstsq",
        _lstsq_infer,
        None,
        multi_vjp=_no_gradient("lstsq"),
        host=lambda params, arrays: _lstsq(arrays[0], arrays[1], params["rcond"]),
    )
)

# --- triangles ----------------------------------------------------------------------------------


def triangle(x: Variable, lower: bool, diagonal: float = 1.0) -> Variable:
    """A square matrix with zeros above its diagonal (or below it), and the diagonal scaled."""
    numbers = arange(length(x, 0))
    rows, columns = dimshuffle(numbers, 0, "x"), dimshuffle(numbers, "x", 0)
    is_kept = rows > columns if lower else rows < columns
    return switch(is_kept, x, switch(eq(rows, columns), x * diagonal, 0))


def _of_triangle(g: Variable, lower: bool) -> Variable:
    """The gradient of what reads one triangle of a symmetric matrix."""
    return triangle(g, lower) + triangle(g.T, lower, 0.0)


def _cholesky(a: Array, lower: bool, on_error: str) -> Array:
    try:
        return np.linalg.cholesky(a) if lower else np.linalg.cholesky(a.T).T
    except np.linalg.LinAlgError:
        if on_error == "raise":
            raise
        return np.full_like(a, np.nan)


def _cholesky_vjp(node: Node, g: Variable) -> Gradients:
    """Smith 1995, with triangular systems (Murray 2016)."""
    factor, lower = node.outputs[0], node.params["lower"]
    if not lower:
        factor, g = factor.T, g.T
    inner = triangle(dot(factor.T, g), lower=True, diagonal=0.5)
    half = solve(factor.T, inner.T, UPPER).T
    whole = solve(factor.T, half, UPPER)
    back = triangle(whole + whole.T, lower=True, diagonal=0.5)
    return [back if lower else back.T]


CHOLESKY = _define("cholesky", (2,), _cholesky, _cholesky_vjp)

# --- the exponential ----------------------------------------------------------------------------

# The coefficients of the Pade approximant of degree 13, and the norm up to which it is accurate
# (Higham 2005).
_PADE = (
    *(64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000),
    *(10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1),
)
_LARGEST = 5.371920351148152


def _expm(a: Array) -> Array:
    """The Pade approximant of a scaled matrix, squared as often as it was halved."""
    b, one = a.astype(np.float64), np.eye(len(a))
    if not np.isfinite(b).all():
        return np.full_like(a, np.nan)
    norm = np.abs(b).sum(axis=0).max(initial=0.0)
    halvings = max(0, int(np.ceil(np.log2(norm / _LARGEST)))) if norm else 0
    b = b / 2.0**halvings
    powers = [one]
    for _ in range(6):
        powers.append(powers[-1] @ (b @ b))
    even = sum(c * p for c, p in zip(_PADE[::2], powers, strict=True))
    odd = b @ sum(c * p for c, p in zip(_PADE[1::2], powers, strict=True))
    result = np.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        result = result @ result
    return result.astype(a.dtype)


def _expm_vjp(node: Node, g: Variable) -> Gradients:
    """The block of expm([[a, g], [0, a]]) beside the diagonal, for the transposed matrix."""
    a = node.inputs[0].T
    n = length(a, 0)
    upper, lower = concatenate([a, g], axis=1), concatenate([0 * a, a], axis=1)
    return [EXPM(concatenate([upper, lower], axis=0))[:n, n:]]


EXPM = _define("expm", (2,), _expm, _expm_vjp)
