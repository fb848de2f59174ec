"""Linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.theano_names.case import Call

_rng = np.random.default_rng(5)
A = _rng.normal(size=(4, 4)) + 4 * np.eye(4)
B = _rng.normal(size=(4, 3))
V = _rng.normal(size=4)
POSITIVE = A @ A.T
OTHER = B @ B.T + np.eye(4)
TALL = _rng.normal(size=(5, 3))
CUBE = _rng.normal(size=(6, 2, 3))
LOWER, UPPER = np.tril(A), np.triu(A)


def exponential(a: Any) -> Any:
    values, vectors = np.linalg.eig(a)
    return ((vectors * np.exp(values)) @ np.linalg.inv(vectors)).real


def general_eigenvalues(a: Any, b: Any) -> Any:
    half = np.linalg.inv(np.linalg.cholesky(b))
    return np.linalg.eigvalsh(half @ a @ half.T)


def reads_lower(a: Any) -> Any:
    return np.tril(a) + np.tril(a, -1).T


def least_squares(a: Any, b: Any) -> tuple[Any, ...]:
    x, residuals, rank, singular_values = np.linalg.lstsq(a, b, -1)
    return x, residuals, np.int64(rank), singular_values


_N, _S = "tensor.nlinalg", "tensor.slinalg"
NUMPYS = [
    Call(f"{_N}.det", np.linalg.det, (A,)),
    Call(f"{_N}.Det", np.linalg.det, (A,), lambda f, a: f()(a)),
    Call(f"{_N}.matrix_inverse", np.linalg.inv, (A,)),
    Call(f"{_N}.MatrixInverse", np.linalg.inv, (A,), lambda f, a: f()(a)),
    Call(f"{_N}.pinv", np.linalg.pinv, (TALL,)),
    Call(f"{_N}.MatrixPinv", np.linalg.pinv, (TALL,), lambda f, a: f()(a)),
    Call(f"{_N}.eig", lambda a: tuple(np.linalg.eig(a)), (POSITIVE,), gradient=False),
    Call(
        f"{_N}.Eig",
        lambda a: tuple(np.linalg.eig(a)),
        (POSITIVE,),
        lambda f, a: f()(a),
        gradient=False,
    ),
    Call(f"{_N}.eigh", lambda a: tuple(np.linalg.eigh(a)), (POSITIVE,)),
    Call(
        f"{_N}.eigh",
        lambda a: tuple(np.linalg.eigh(a, "U")),
        (POSITIVE,),
        lambda f, a: f(a, UPLO="U"),
    ),
    Call(
        f"{_N}.Eigh", lambda a: tuple(np.linalg.eigh(a, "U")), (POSITIVE,), lambda f, a: f("U")(a)
    ),
    Call(f"{_N}.svd", lambda a: tuple(np.linalg.svd(a)), (TALL,), gradient=False),
    Call(
        f"{_N}.svd",
        lambda a: np.linalg.svd(a, compute_uv=False),
        (TALL,),
        lambda f, a: f(a, full_matrices=1, compute_uv=0),
    ),
    Call(
        f"{_N}.SVD",
        lambda a: tuple(np.linalg.svd(a, False)),
        (TALL,),
        lambda f, a: f(full_matrices=False, compute_uv=True)(a),
        gradient=False,
    ),
    Call(f"{_N}.qr", lambda a: tuple(np.linalg.qr(a)), (TALL,), gradient=False),
    Call(
        f"{_N}.QRFull",
        lambda a: tuple(np.linalg.qr(a, "complete")),
        (TALL,),
        lambda f, a: f("complete")(a),
        gradient=False,
    ),
    Call(
        f"{_N}.lstsq",
        least_squares,
        (TALL, TALL[:, 0] + 1),
        lambda f, a, b: f()(a, b, -1),
        gradient=False,
    ),
    Call(f"{_N}.matrix_dot", lambda a, b, c: a @ b @ c, (A, B, TALL.T)),
    Call(f"{_N}.matrix_power", lambda a: a @ a @ a, (A,), lambda f, a: f(M=a, n=3)),
    Call(f"{_N}.norm", np.linalg.norm, (V,), lambda f, x: f(x, None)),
    Call(f"{_N}.norm", lambda x: np.abs(x).max(), (V,), lambda f, x: f(x, ord="inf")),
    Call(f"{_N}.norm", lambda x: np.linalg.norm(x, 3), (np.abs(V),), lambda f, x: f(x, 3)),
    Call(f"{_N}.norm", lambda x: np.linalg.norm(x, 1), (A,), lambda f, x: f(x, 1)),
    Call(f"{_N}.norm", np.linalg.norm, (A,), lambda f, x: f(x, "fro")),
    Call(f"{_N}.trace", np.trace, (A,), lambda f, x: f(X=x)),
    Call(f"{_N}.diag", np.diag, (V,)),
    Call(f"{_N}.alloc_diag", np.diag, (V,)),
    Call(f"{_N}.AllocDiag", np.diag, (V,), lambda f, x: f()(x)),
    Call(f"{_N}.extract_diag", np.diag, (A,)),
    Call(f"{_N}.tensorinv", lambda a: np.linalg.tensorinv(a, 1), (CUBE,), lambda f, a: f(a, ind=1)),
    Call(f"{_N}.TensorInv", np.linalg.tensorinv, (CUBE.reshape(2, 3, 3, 2),), lambda f, a: f()(a)),
    Call(f"{_N}.tensorsolve", np.linalg.tensorsolve, (CUBE, CUBE[:, 0, 0])),
    Call(
        f"{_N}.tensorsolve",
        lambda a, b: np.linalg.tensorsolve(a, b, (0,)),
        (CUBE.transpose(1, 0, 2), CUBE[:, 0, 0].reshape(6)),
        lambda f, a, b: f(a, b, axes=(0,)),
    ),
]

SCIPYS = [
    Call(f"{_S}.cholesky", lambda a: np.linalg.cholesky(reads_lower(a)), (POSITIVE,)),
    Call(
        f"{_S}.Cholesky",
        lambda a: np.linalg.cholesky(reads_lower(a.T)).T,
        (POSITIVE,),
        lambda f, a: f(lower=False, on_error="nan")(a),
    ),
    Call(
        f"{_S}.eigvalsh",
        lambda a, b: general_eigenvalues(reads_lower(a), reads_lower(b)),
        (POSITIVE, OTHER),
    ),
    Call(
        f"{_S}.eigvalsh",
        lambda a: np.linalg.eigvalsh(a, "U"),
        (POSITIVE,),
        lambda f, a: f(a, None, lower=False),
    ),
    Call(
        f"{_S}.Eigvalsh",
        lambda a: np.linalg.eigvalsh(a),
        (POSITIVE,),
        lambda f, a: f(lower=True)(a),
    ),
    Call(f"{_S}.expm", exponential, (A / 2,)),
    Call(f"{_S}.Expm", exponential, (A / 2,), lambda f, a: f()(a)),
    Call(f"{_S}.kron", np.kron, (A, B)),
    Call(f"{_S}.solve", np.linalg.solve, (A, B)),
    Call(
        f"{_S}.Solve",
        lambda a, b: np.linalg.solve(np.triu(a), b),
        (A, V),
        lambda f, a, b: f("upper_triangular", False, False, False)(a, b),
    ),
    Call(f"{_S}.solve_lower_triangular", lambda a, b: np.linalg.solve(np.tril(a), b), (A, B)),
    Call(f"{_S}.solve_upper_triangular", lambda a, b: np.linalg.solve(np.triu(a), b), (A, B)),
]

CALLS = [*NUMPYS, *SCIPYS]
