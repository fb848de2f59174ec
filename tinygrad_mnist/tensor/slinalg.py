"""Theano's `tensor.slinalg`: triangular and symmetric matrices, by NumPy on the host.

See `nlinalg`. SciPy isn't needed: a triangular matrix is solved as a general one, and the
exponential is computed here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import upcast
from tinygrad_mnist.graph.values import choice, flag
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import cast
from tinygrad_mnist.ops.matrices import (
    CHOLESKY,
    EIGH,
    EXPM,
    GENERAL,
    LOWER,
    UPPER,
    as_matrix,
    as_matrix_or_vector,
    op_of,
    triangle,
)
from tinygrad_mnist.ops.matrices import solve as _solve
from tinygrad_mnist.ops.shape import dimshuffle, length, reshape, with_ndim

__all__ = [
    "Cholesky",
    "Eigvalsh",
    "Expm",
    "Kron",
    "Solve",
    "cholesky",
    "eigvalsh",
    "expm",
    "kron",
    "solve",
    "solve_lower_triangular",
    "solve_upper_triangular",
]


def cholesky(a: Any, lower: bool = True, on_error: str = "raise") -> Variable:
    """The lower triangular L with L L.T = a; with lower=False the upper triangular U, U.T U = a.

    Only that triangle of the symmetric matrix is read, and gets a gradient. A matrix that isn't
    positive definite is a LinAlgError; with on_error='nan' the result is NaN.
    """
    return CHOLESKY(
        as_matrix(a, "cholesky"),
        lower=flag(lower, "lower"),
        on_error=choice(on_error, ("raise", "nan"), "on_error"),
    )


def solve(a: Any, b: Any, structure: str = GENERAL) -> Variable:
    """x with a x = b, for a square matrix and a vector or a matrix b. structure: 'general', or
    'lower' or 'upper' for a triangular matrix, of which only that triangle is read."""
    chosen = choice(structure, (GENERAL, LOWER, UPPER), "structure")
    matrix, right = as_matrix(a, "solve"), as_matrix_or_vector(b, "solve")
    dtype = upcast(matrix.dtype, right.dtype)
    return _solve(cast(matrix, dtype), cast(right, dtype), chosen)


def solve_lower_triangular(a: Any, b: Any) -> Variable:
    """x with a x = b; only the lower triangle of `a` is read."""
    return solve(a, b, LOWER)


def solve_upper_triangular(a: Any, b: Any) -> Variable:
    """x with a x = b; only the upper triangle of `a` is read."""
    return solve(a, b, UPPER)


def Solve(  # noqa: N802
    A_structure: str = GENERAL,  # noqa: N803
    lower: bool = False,
    overwrite_A: bool = False,  # noqa: N803
    overwrite_b: bool = False,
) -> Callable[[Any, Any], Variable]:
    """`solve` as Theano's op: `Solve('upper_triangular')(a, b)`. 'symmetric' counts as 'general',
    so `lower` has no effect; neither have `overwrite_A` and `overwrite_b`."""
    flag(lower, "lower")
    structures = {
        GENERAL: GENERAL,
        "symmetric": GENERAL,
        "lower_triangular": LOWER,
        "upper_triangular": UPPER,
    }
    structure = structures[choice(A_structure, structures, "A_structure")]
    return lambda a, b: solve(a, b, structure)


def eigvalsh(a: Any, b: Any = None, lower: bool = True) -> Variable:
    """The eigenvalues, in ascending order, of a symmetric matrix; with `b`, a positive definite
    matrix, the w with a v = w b v. Only the lower triangles are read (lower=False: the upper)."""
    matrix, is_lower = as_matrix(a, "eigvalsh"), flag(lower, "lower")
    if b is not None:
        factor = cholesky(b, is_lower)
        factor = factor if is_lower else factor.T
        half = solve_lower_triangular(factor, _symmetric(matrix, is_lower))
        matrix, is_lower = solve_lower_triangular(factor, half.T), True
    return EIGH.node(matrix, lower=is_lower).outputs[0]


def _symmetric(x: Variable, lower: bool) -> Variable:
    """The symmetric matrix of which one triangle is given."""
    kept = triangle(x, lower)
    return kept + triangle(x, lower, 0.0).T


def kron(a: Any, b: Any) -> Variable:
    """The Kronecker product of two arrays that have three axes or more together."""
    left, right = as_variable(a), as_variable(b)
    if left.ndim + right.ndim <= 2:
        raise GraphTypeError(
            f"kron takes arrays with at least 3 axes together, not {left.type} and {right.type}"
            f"{at(user_source())}"
        )
    ndim = max(left.ndim, right.ndim)
    left, right = with_ndim(left, ndim), with_ndim(right, ndim)
    of_left = [p for axis in range(ndim) for p in (axis, "x")]
    of_right = [p for axis in range(ndim) for p in ("x", axis)]
    product = dimshuffle(left, *of_left) * dimshuffle(right, *of_right)
    lengths = [length(left, axis) * length(right, axis) for axis in range(ndim)]
    return reshape(product, lengths)


def expm(a: Any) -> Variable:
    """The exponential of a square matrix."""
    return EXPM(as_matrix(a, "expm"))


# As Theano's ops: `Cholesky(lower=False)(a)`.
Cholesky, Eigvalsh, Expm, Kron = op_of(cholesky), op_of(eigvalsh), op_of(expm), op_of(kron)
