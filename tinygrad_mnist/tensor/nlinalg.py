"""Theano's `tensor.nlinalg`: linear algebra by NumPy, on the host.

A function that uses it runs in segments: see docs/architecture.md. Matrices are float32 or float64;
integers become float64. A singular matrix, or one that isn't square, is an error with the user's
line: `numpy.linalg.LinAlgError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import upcast
from tinygrad_mnist.graph.values import axis_numbers, choice, flag, integer, number
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.creation import identity_like
from tinygrad_mnist.ops.diagonal import diag
from tinygrad_mnist.ops.elementwise import abs_, cast, neq, sqr, sqrt
from tinygrad_mnist.ops.linalg import dot
from tinygrad_mnist.ops.matrices import (
    DET,
    EIG,
    EIGH,
    GENERAL,
    LSTSQ,
    MATRIX_INVERSE,
    PINV,
    QR,
    SINGULAR_VALUES,
    as_matrix,
    as_matrix_or_vector,
    op_of,
)
from tinygrad_mnist.ops.matrices import SVD as _SVD
from tinygrad_mnist.ops.matrices import solve as _solve
from tinygrad_mnist.ops.reduce import max_, min_, sum_
from tinygrad_mnist.ops.shape import dimshuffle, flatten, length, reshape

__all__ = [
    "SVD",
    "AllocDiag",
    "Det",
    "Eig",
    "Eigh",
    "ExtractDiag",
    "Lstsq",
    "MatrixInverse",
    "MatrixPinv",
    "QRFull",
    "TensorInv",
    "alloc_diag",
    "det",
    "diag",
    "eig",
    "eigh",
    "extract_diag",
    "lstsq",
    "matrix_dot",
    "matrix_inverse",
    "matrix_power",
    "norm",
    "pinv",
    "qr",
    "svd",
    "tensorinv",
    "tensorsolve",
    "trace",
]


def det(a: Any) -> Variable:
    """The determinant of a square matrix."""
    return DET(as_matrix(a, "det"))


def matrix_inverse(a: Any) -> Variable:
    """The inverse of a square matrix."""
    return MATRIX_INVERSE(as_matrix(a, "matrix_inverse"))


def pinv(a: Any) -> Variable:
    """The Moore-Penrose inverse of a matrix; its gradient holds where the rank stays."""
    return PINV(as_matrix(a, "pinv"))


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Variable | list[Variable]:
    """The singular value decomposition of a matrix (m, n): [U, s, V], a = U diag(s) V.

    U is (m, m) and V (n, n); without `full_matrices` (m, k) and (k, n), k the smaller of m and n.
    With compute_uv=False s alone, through which gradients pass; there is none of U and V.
    """
    matrix = as_matrix(a, "svd")
    full = flag(full_matrices, "full_matrices")
    if not flag(compute_uv, "compute_uv"):
        return SINGULAR_VALUES(matrix)
    return list(_SVD.node(matrix, full_matrices=full).outputs)


def eig(a: Any) -> list[Variable]:
    """The eigenvalues and (in columns) eigenvectors of a square matrix. No gradient passes; complex
    eigenvalues are a LinAlgError."""
    return list(EIG.node(as_matrix(a, "eig")).outputs)


def eigh(a: Any, UPLO: str = "L") -> list[Variable]:  # noqa: N803
    """The eigenvalues in ascending order and (in columns) the eigenvectors of a symmetric matrix.
    Only its lower triangle is read, or with UPLO='U' the upper one, which alone gets a gradient."""
    lower = choice(UPLO, ("L", "U"), "UPLO") == "L"
    return list(EIGH.node(as_matrix(a, "eigh"), lower=lower).outputs)


def qr(a: Any, mode: str = "reduced") -> Variable | list[Variable]:
    """[Q, R] with a = Q R: Q (m, k) and R (k, n) for mode='reduced', (m, m) and (m, n) for
    'complete'; R alone for 'r'. No gradient passes."""
    chosen = choice(mode, ("reduced", "complete", "r"), "mode")
    q, r = QR.node(as_matrix(a, "qr"), mode="reduced" if chosen == "r" else chosen).outputs
    return r if chosen == "r" else [q, r]


def lstsq(a: Any = None, b: Any = None, rcond: float = -1.0) -> Any:
    """The least-squares solution of a x = b: [x, residuals, rank of a, singular values of a], as
    `numpy.linalg.lstsq` has them. rcond: singular values below this part of the largest one count
    as 0. No gradient passes. Without operands it is the function itself: `lstsq()(a, b, rcond)`, as
    Theano has it."""
    if a is None and b is None:
        return lstsq
    matrix, right = _of_one_dtype(as_matrix(a, "lstsq"), as_matrix_or_vector(b, "lstsq"))
    return list(LSTSQ.node(matrix, right, rcond=number(rcond, "rcond")).outputs)


# --- made of other functions --------------------------------------------------------------------


def extract_diag(x: Any) -> Variable:
    """The diagonal of a matrix."""
    return diag(as_matrix(x, "extract_diag") if as_variable(x).ndim != 2 else x)


def alloc_diag(x: Any) -> Variable:
    """The square matrix that has a vector as its diagonal."""
    vector = as_variable(x)
    if vector.ndim != 1:
        raise ArgumentError(f"alloc_diag takes a vector, not {vector.type}{at(user_source())}")
    return diag(vector)


def trace(X: Any) -> Variable:  # noqa: N803
    """The sum of the diagonal of a matrix."""
    return sum_(extract_diag(X))


def matrix_dot(*args: Any) -> Variable:
    """The product of matrices, from left to right."""
    if not args:
        raise ArgumentError(f"matrix_dot takes at least one matrix{at(user_source())}")
    product = as_variable(args[0])
    for other in args[1:]:
        product = dot(product, other)
    return product


def matrix_power(M: Any, n: int) -> Variable:  # noqa: N803
    """A square matrix multiplied by itself, n factors in all; for a negative n, its inverse."""
    matrix, power = as_variable(M), integer(n, "n")
    if power < 0:
        matrix, power = matrix_inverse(matrix), -power
    result: Variable | None = None
    while power:
        if power % 2:
            result = matrix if result is None else dot(result, matrix)
        power //= 2
        if power:
            matrix = dot(matrix, matrix)
    return identity_like(matrix) if result is None else result


def norm(x: Any, ord: Any = None) -> Variable:
    """The norm of a vector or matrix. ord: of a vector None (2), a number, 'inf' or '-inf', also as
    floats, or 0, the number of elements that aren't 0; of a matrix None or 'fro', 1, -1, 'inf' or
    '-inf'. Raises ArgumentError for other values."""
    array = as_variable(x)
    given = ord if ord is None or isinstance(ord, str) else number(ord, "ord")
    if isinstance(given, float) and not np.isfinite(given):
        given = str(given)
    size = abs_(array)
    if array.ndim == 1:
        if given is None:
            return sqrt(sum_(sqr(array)))
        if given in ("inf", "-inf"):
            return max_(size) if given == "inf" else min_(size)
        if given == 0:
            return sum_(neq(array, 0))
        power = number(given, "ord")
        return sum_(size**power) ** (1.0 / power)
    if array.ndim == 2:
        if given in (None, "fro"):
            return sqrt(sum_(sqr(array)))
        for value, axis in ((1, 0), ("inf", 1)):
            if given == value:
                return max_(sum_(size, axis=axis))
            if given == (f"-{value}" if value == "inf" else -1):
                return min_(sum_(size, axis=axis))
        raise ArgumentError(f"{ord!r} is no order of a norm of matrices{at(user_source())}")
    raise ArgumentError(f"norm takes a vector or a matrix, not {array.type}{at(user_source())}")


def tensorinv(a: Any, ind: int = 2) -> Variable:
    """The inverse of `a` for products over axes: tensordot(tensorinv(a, ind), a, ind) is an
    identity. The lengths before axis `ind` have the same product as those from there on."""
    array, first = as_variable(a), integer(ind, "ind", 1)
    lengths = [length(array, i) for i in range(array.ndim)]
    if first >= array.ndim:
        raise ArgumentError(f"ind is {first} for {array.ndim} axes{at(user_source())}")
    rest = _product(lengths[first:])
    inverse = matrix_inverse(reshape(array, (rest, -1)))
    return reshape(inverse, (*lengths[first:], *lengths[:first]))


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Variable:
    """x with tensordot(a, x, x.ndim) = b. axes: of `a`, moved to its end first."""
    array, right = as_variable(a), as_variable(b)
    if axes is not None:
        moved = axis_numbers(axes, array.ndim)
        order = [axis for axis in range(array.ndim) if axis not in moved]
        array = dimshuffle(array, *order, *moved)
    lengths = [length(array, i) for i in range(right.ndim, array.ndim)]
    matrix = as_matrix(reshape(array, (-1, _product(lengths))), "tensorsolve")
    matrix, vector = _of_one_dtype(matrix, as_matrix_or_vector(flatten(right), "tensorsolve"))
    return reshape(_solve(matrix, vector, GENERAL), lengths)


# As Theano's ops: `SVD(full_matrices=False)(a)`.
AllocDiag, ExtractDiag = op_of(alloc_diag), op_of(extract_diag)
Det, MatrixInverse, MatrixPinv = op_of(det), op_of(matrix_inverse), op_of(pinv)
Eig, Eigh, SVD, QRFull = op_of(eig), op_of(eigh), op_of(svd), op_of(qr)
Lstsq, TensorInv = op_of(lstsq), op_of(tensorinv)


def _product(lengths: Sequence[Variable]) -> Variable:
    product = as_variable(1)
    for n in lengths:
        product = product * n
    return product


def _of_one_dtype(a: Variable, b: Variable) -> tuple[Variable, Variable]:
    dtype = upcast(a.dtype, b.dtype)
    return cast(a, dtype), cast(b, dtype)
