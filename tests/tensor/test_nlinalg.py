"""Linear algebra on the host: values and gradients against NumPy, errors with the user's line."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.tensor import nlinalg, slinalg

RNG = np.random.default_rng(3)
A = RNG.normal(size=(4, 4)) + 3 * np.eye(4)
B = RNG.normal(size=(4, 3))
V = RNG.normal(size=4)
TALL = RNG.normal(size=(5, 3))
S = A @ A.T / 4 + np.eye(4)  # positive definite
RELATIVE = 2e-5  # of the matrices here in float32


def general_eigenvalues(a: NDArray[Any], b: NDArray[Any], lower: bool) -> NDArray[Any]:
    """The w with a v = w b v, for matrices of which one triangle is read."""
    a, b = (
        np.tril(x) + np.tril(x, -1).T if lower else np.triu(x) + np.triu(x, 1).T for x in (a, b)
    )
    return np.sort(np.linalg.eigvals(np.linalg.solve(b, a)).real)


def taylor(a: NDArray[Any]) -> NDArray[Any]:
    """The exponential of a matrix by its series."""
    total, power = np.eye(len(a)), np.eye(len(a))
    for n in range(1, 60):
        power = power @ a
        total = total + power / factorial(n)
    return total


def norm_case(name: str, ord: Any, x: NDArray[Any], expected: Any = None) -> Case:
    numbers = {"inf": np.inf, "-inf": -np.inf}
    wanted = numbers.get(ord, ord) if expected is None else expected
    return Case(
        f"norm of {name}, {ord}",
        lambda v: nlinalg.norm(v, ord),
        lambda v: np.linalg.norm(v, wanted),
        (x,),
        tolerance=RELATIVE,
    )


def case(name: str, expression: Any, expected: Any, *values: Any, **options: Any) -> Case:
    return Case(name, expression, expected, values, tolerance=RELATIVE, **options)


CASES = [
    case("det", nlinalg.det, np.linalg.det, A),
    case("inverse", nlinalg.matrix_inverse, np.linalg.inv, A),
    case(
        "inverse of a product",
        lambda a: nlinalg.matrix_inverse(a).dot(a.T),
        lambda a: np.linalg.inv(a) @ a.T,
        A,
    ),
    case(
        "log det",
        lambda a: T.log(nlinalg.det(T.dot(a, a.T))),
        lambda a: np.log(np.linalg.det(a @ a.T)),
        A,
    ),
    case("pinv", nlinalg.pinv, np.linalg.pinv, TALL),
    case("pinv of a wide one", nlinalg.pinv, np.linalg.pinv, TALL.T.copy()),
    case(
        "singular values",
        lambda a: nlinalg.svd(a, compute_uv=False),
        lambda a: np.linalg.svd(a, compute_uv=False),
        TALL,
    ),
    case("eigenvalues", lambda a: nlinalg.eigh(a)[0], lambda a: np.linalg.eigh(a)[0], S),
    case(
        "eigenvalues U", lambda a: nlinalg.eigh(a, "U")[0], lambda a: np.linalg.eigh(a, "U")[0], A
    ),
    case(
        "eigenvectors", lambda a: T.sqr(nlinalg.eigh(a)[1]), lambda a: np.linalg.eigh(a)[1] ** 2, S
    ),
    case(
        "eigenvectors U",
        lambda a: T.sqr(nlinalg.eigh(a, "U")[1]),
        lambda a: np.linalg.eigh(a, "U")[1] ** 2,
        A,
    ),
    case("trace", nlinalg.trace, np.trace, A),
    case("extract_diag", nlinalg.extract_diag, np.diag, A),
    case("alloc_diag", nlinalg.alloc_diag, np.diag, V),
    case("matrix_dot", nlinalg.matrix_dot, lambda a, b, c: a @ b @ c, A, B, TALL.T[:3, :2].copy()),
    *(
        case(
            f"matrix_power {n}",
            lambda a, n=n: nlinalg.matrix_power(a, n),
            lambda a, n=n: np.linalg.matrix_power(a, n),
            A / 3,
            gradient=n != 0,
        )
        for n in (-2, 0, 1, 2, 3, 7)
    ),
    *(norm_case("a vector", o, V) for o in (None, 1, 2, 3, "inf", "-inf")),
    *(norm_case("a matrix", o, B) for o in (None, "fro", 1, -1, "inf", "-inf")),
    case("tensorinv", nlinalg.tensorinv, np.linalg.tensorinv, RNG.normal(size=(4, 3, 2, 6))),
    case(
        "tensorinv 1",
        lambda a: nlinalg.tensorinv(a, 1),
        lambda a: np.linalg.tensorinv(a, 1),
        RNG.normal(size=(6, 2, 3)),
    ),
    case(
        "tensorsolve",
        nlinalg.tensorsolve,
        np.linalg.tensorsolve,
        RNG.normal(size=(2, 3, 6)),
        RNG.normal(size=(2, 3)),
    ),
    case(
        "tensorsolve axes",
        lambda a, b: nlinalg.tensorsolve(a, b, (0,)),
        lambda a, b: np.linalg.tensorsolve(a, b, (0,)),
        RNG.normal(size=(6, 2, 3)),
        RNG.normal(size=(2, 3)),
    ),
    case("cholesky", slinalg.cholesky, np.linalg.cholesky, S),
    case(
        "upper cholesky",
        lambda a: slinalg.cholesky(a, lower=False),
        lambda a: np.linalg.cholesky(a.T).T,
        S,
    ),
    case(
        "Cholesky",
        lambda a: slinalg.Cholesky(lower=False)(a),
        lambda a: np.linalg.cholesky(a.T).T,
        S,
    ),
    case("solve", slinalg.solve, np.linalg.solve, A, B),
    case("solve a vector", slinalg.solve, np.linalg.solve, A, V),
    case(
        "Solve",
        lambda a, b: slinalg.Solve("upper_triangular")(a, b),
        lambda a, b: np.linalg.solve(np.triu(a), b),
        A,
        B,
    ),
    case(
        "lower", slinalg.solve_lower_triangular, lambda a, b: np.linalg.solve(np.tril(a), b), A, B
    ),
    case(
        "upper", slinalg.solve_upper_triangular, lambda a, b: np.linalg.solve(np.triu(a), b), A, V
    ),
    case("eigvalsh", slinalg.eigvalsh, np.linalg.eigvalsh, S),
    case(
        "eigvalsh upper",
        lambda a: slinalg.eigvalsh(a, lower=False),
        lambda a: np.linalg.eigvalsh(a, "U"),
        A,
    ),
    case(
        "general eigvalsh",
        slinalg.eigvalsh,
        lambda a, b: general_eigenvalues(a, b, lower=True),
        A,
        S,
    ),
    case(
        "general eigvalsh upper",
        lambda a, b: slinalg.eigvalsh(a, b, lower=False),
        lambda a, b: general_eigenvalues(a, b, lower=False),
        A,
        S,
    ),
    case("kron", slinalg.kron, np.kron, B, TALL),
    case("kron of a matrix and a vector", slinalg.kron, np.kron, B, V),
    case("expm", slinalg.expm, taylor, A / 4),
    case("expm of a large matrix", slinalg.expm, taylor, 2 * B[:3]),
    case("expm of zeros", slinalg.expm, taylor, np.zeros((3, 3))),
]

test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_decompositions_give_back_the_matrix(device: str, dtype: str) -> None:
    a = T.matrix("a", dtype)
    x = TALL.astype(dtype)
    near = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-13}
    for full in (True, False):
        u, s, v = evaluate(device, [a], nlinalg.svd(a, full), x)
        np.testing.assert_allclose(u[:, :3] * s @ v[:3], x, **near)
        assert u.shape == (5, 5 if full else 3)
    q, r = evaluate(device, [a], nlinalg.qr(a), x)
    np.testing.assert_allclose(q @ r, x, **near)
    q, r = evaluate(device, [a], nlinalg.qr(a, "complete"), x)
    assert q.shape == (5, 5)
    np.testing.assert_allclose(q @ r, x, **near)
    (only,) = evaluate(device, [a], [nlinalg.qr(a, "r")], x)
    np.testing.assert_allclose(only, np.linalg.qr(x, "r"), **near)
    w, vectors = evaluate(device, [a], nlinalg.eig(a), S.astype(dtype))
    np.testing.assert_allclose(S @ vectors, vectors * w, rtol=1e-3, atol=1e-4)
    assert {v.dtype.name for v in (u, s, v, q, r, only, w, vectors)} == {dtype}


def test_lstsq(device: str) -> None:
    a, b, v = T.dmatrix("a"), T.dmatrix("b"), T.dvector("v")
    for right, value in ((b, RNG.normal(size=(5, 2))), (v, RNG.normal(size=5))):
        results = evaluate(device, [a, right], nlinalg.lstsq(a, right), TALL, value)
        for result, expected in zip(results, np.linalg.lstsq(TALL, value, -1), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (nlinalg.Det(), np.linalg.det),
        (nlinalg.MatrixInverse(), np.linalg.inv),
        (nlinalg.MatrixPinv(), np.linalg.pinv),
        (nlinalg.ExtractDiag(), np.diag),
        (nlinalg.SVD(compute_uv=False), lambda a: np.linalg.svd(a, compute_uv=False)),
        (nlinalg.Eigh("U"), lambda a: np.linalg.eigh(a, "U")),
        (nlinalg.QRFull("r"), lambda a: np.linalg.qr(a, "r")),
        (nlinalg.TensorInv(ind=1), np.linalg.inv),
        (slinalg.Eigvalsh(lower=False), lambda a: np.linalg.eigvalsh(a, "U")),
        (slinalg.Expm(), taylor),
    ],
)
def test_ops_of_theano(op: Any, expected: Any, device: str) -> None:
    a = T.dmatrix("a")
    results = evaluate(device, [a], op(a), A)
    wanted = expected(A)
    pairs = zip(results, wanted, strict=True) if isinstance(results, list) else [(results, wanted)]
    for result, right in pairs:
        np.testing.assert_allclose(result, right, rtol=1e-10, atol=1e-12)


def test_integers_become_floats(device: str) -> None:
    a = T.lmatrix("a")
    result = evaluate(device, [a], nlinalg.matrix_inverse(a), np.array([[2, 0], [0, 4]]))
    np.testing.assert_array_equal(result, [[0.5, 0], [0, 0.25]])


SINGULAR = np.zeros((3, 3))
FAILS: dict[str, tuple[Callable[[Any], Any], NDArray[Any], str]] = {
    "singular": (nlinalg.matrix_inverse, SINGULAR, "matrix_inverse: Singular matrix"),
    "singular system": (lambda a: slinalg.solve(a, a), SINGULAR, "Singular matrix"),
    "singular triangle": (lambda a: slinalg.solve_lower_triangular(a, a), SINGULAR, "Singular"),
    "not square": (nlinalg.det, TALL, "det: .*must be square"),
    "not definite": (slinalg.cholesky, -S, "cholesky: Matrix is not positive definite"),
    "complex": (lambda a: nlinalg.eig(a)[0], np.array([[0.0, 1], [-1, 0]]), "complex numbers"),
}


@pytest.mark.parametrize("name", FAILS)
def test_a_failure_names_the_line_and_changes_nothing(name: str, device: str) -> None:
    make, value, message = FAILS[name]
    a, w = T.dmatrix("a"), theano.shared(0.0)
    function = theano.function([a], make(a), updates=[(w, w + 1)])
    with pytest.raises(np.linalg.LinAlgError, match=rf"(?s){message}.*made at .*test_nlinalg.py"):
        function(value)
    assert w.get_value() == 0


def test_cholesky_may_give_nan(device: str) -> None:
    a = T.dmatrix("a")
    result = evaluate(device, [a], slinalg.cholesky(a, on_error="nan"), -S)
    assert np.isnan(result).all()


@pytest.mark.parametrize(
    "make",
    [lambda a: nlinalg.svd(a)[0], lambda a: nlinalg.eig(a)[0], lambda a: nlinalg.qr(a)[0],
     lambda a: nlinalg.lstsq(a, a)[0]],
    ids=["svd", "eig", "qr", "lstsq"],
)  # fmt: skip
def test_a_gradient_that_is_missing_is_refused_by_name(
    make: Callable[[Any], Any], request: pytest.FixtureRequest
) -> None:
    a = T.dmatrix("a")
    name = request.node.callspec.id
    with pytest.raises(GraphTypeError, match=rf"(?s)no gradient of .*{name}.*test_nlinalg.py"):
        T.grad(T.sum(make(a)), a)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nlinalg.det(T.vector("v")), "`v` is a float32 vector; det takes a matrix"),
        (lambda: slinalg.solve(T.matrix(), T.tensor3()), "takes a matrix or a vector"),
        (lambda: nlinalg.norm(T.tensor3(), 2), "norm takes a vector or a matrix"),
        (lambda: nlinalg.norm(T.matrix(), 2), "2 is no order"),
        (lambda: nlinalg.eigh(T.matrix(), "X"), "UPLO"),
        (lambda: nlinalg.qr(T.matrix(), "raw"), "mode is 'raw'"),
        (lambda: slinalg.kron(T.vector(), T.vector()), "at least 3 axes"),
        (lambda: slinalg.Solve("banded"), "A_structure is 'banded'"),
        (lambda: nlinalg.tensorinv(T.matrix(), 2), "ind is 2 for 2 axes"),
        (nlinalg.matrix_dot, "at least one matrix"),
    ],
)
def test_errors_when_an_expression_is_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(GraphTypeError, match=message):
        make()


def test_the_modules_are_loaded_when_they_are_used() -> None:
    assert T.nlinalg.det is nlinalg.det
    assert T.slinalg.cholesky is slinalg.cholesky
    with pytest.raises(AttributeError, match="no 'nothing' here"):
        T.nothing  # noqa: B018
