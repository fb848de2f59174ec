"""Shapes, joins, indexing, creation and products of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.theano_names.case import Call

import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(2)
X = _rng.normal(size=(2, 3, 4))
A = _rng.normal(size=(3, 4))
B = _rng.normal(size=(3, 4))
SQUARE = _rng.normal(size=(4, 4))
V = _rng.normal(size=4)
SCALAR = _rng.normal(size=())
BATCH = _rng.normal(size=(2, 4, 5))
PLACES = np.array([2, 0, 2], "int32")
ROWS = np.array([[1, 0, 2], [0, 1, 2]])
TRUTHS = A > 0


def filled(a: Any, value: Any, offset: int = 0) -> Any:
    result = a.copy()
    rows = np.arange(min(a.shape))
    rows = rows[(rows + offset >= 0) & (rows + offset < a.shape[1])]
    result[rows, rows + offset] = value
    return result


def with_rows(x: Any, y: Any, adds: bool) -> Any:
    result = x.copy()
    result[1:] = result[1:] + y if adds else y
    return result


def hot(y: Any, n: int) -> Any:
    return np.eye(n)[y]


SHAPES = [
    Call("tensor.reshape", lambda x: x.reshape(6, 4), (X,), lambda f, x: f(x, (6, 4))),
    Call(
        "tensor.reshape",
        lambda x: x.reshape(4, -1),
        (X,),
        lambda f, x: f(x, newshape=T.stack([4, -1]), ndim=2),
    ),
    Call("tensor.flatten", np.ravel, (X,)),
    Call("tensor.flatten", lambda x: x.reshape(2, 12), (X,), lambda f, x: f(x, ndim=2)),
    Call("tensor.flatten", lambda x: x.reshape(2, 12), (X,), lambda f, x: f(x, outdim=2)),
    Call("tensor.transpose", np.transpose, (X,)),
    Call("tensor.transpose", lambda x: x.transpose(1, 0, 2), (X,), lambda f, x: f(x, [1, 0, 2])),
    Call("tensor.swapaxes", lambda y: y.swapaxes(0, 2), (X,), lambda f, y: f(y, axis1=0, axis2=2)),
    Call("tensor.shape", lambda x: np.array(x.shape), (X,)),
    Call("tensor.shape_padleft", lambda t: t[None, None], (A,), lambda f, t: f(t, n_ones=2)),
    Call("tensor.shape_padright", lambda t: t[..., None], (A,)),
    Call("tensor.shape_padaxis", lambda t: t[:, None], (A,), lambda f, t: f(t, axis=1)),
    Call("tensor.squeeze", lambda x: x, (A,), lambda f, x: f(x.dimshuffle("x", 0, "x", 1))),
    Call(
        "tensor.patternbroadcast",
        lambda x, a: x + a,
        (A[:1], A),
        lambda f, x, a: f(x, (True, False)) + a,
    ),
    Call("tensor.addbroadcast", np.add, (A[:1], A), lambda f, x, a: f(x, 0) + a),
    Call("tensor.unbroadcast", lambda x: x, (A,), lambda f, x: f(x, 0, 1)),
    Call(
        "tensor.Rebroadcast",
        np.add,
        (A[:1], A),
        lambda f, x, a: f((0, True), (1, False))(x) + a,
    ),
    Call("tensor.specify_shape", lambda x: x, (A,), lambda f, x: f(x, (3, 4))),
    Call("tensor.roll", lambda x: np.roll(x, 3), (A,), lambda f, x: f(x, 3)),
    Call("tensor.roll", lambda x: np.roll(x, -1, 1), (A,), lambda f, x: f(x, shift=-1, axis=1)),
    Call("tensor.stack", lambda a, b: np.stack([a, b]), (A, B), lambda f, a, b: f([a, b])),
    Call(
        "tensor.stack", lambda a, b: np.stack([a, b], 1), (A, B), lambda f, a, b: f([a, b], axis=1)
    ),
    Call("tensor.stack", lambda a, b: np.stack([a, b]), (A, B)),
    Call(
        "tensor.stacklists",
        lambda a, b: np.array([[a, b], [b, a]]),
        (V, V * 2),
        lambda f, a, b: f([[a, b], [b, a]]),
    ),
    Call("tensor.join", lambda a, b: np.concatenate([a, b], 1), (A, B), lambda f, a, b: f(1, a, b)),
    Call(
        "tensor.concatenate", lambda a, b: np.concatenate([a, b]), (A, B), lambda f, a, b: f([a, b])
    ),
    Call(
        "tensor.concatenate",
        lambda a, b: np.concatenate([a, b], -1),
        (A, B),
        lambda f, a, b: f(tensor_list=[a, b], axis=-1),
    ),
    Call("tensor.horizontal_stack", lambda a, b: np.hstack([a, b]), (A, B)),
    Call("tensor.vertical_stack", lambda a, b: np.vstack([a, b]), (A, B)),
    Call(
        "tensor.split",
        lambda x: tuple(np.split(x, [1], 1)),
        (A,),
        lambda f, x: f(x, [1, 3], 2, axis=1),
    ),
    Call(
        "tensor.split",
        lambda x: tuple(np.split(x, [2])),
        (A,),
        lambda f, x: f(x, splits_size=[2, 1], n_splits=2),
    ),
    Call("tensor.tile", lambda x: np.tile(x, (2, 1, 2)), (A,), lambda f, x: f(x, (2, 1, 2))),
    Call("tensor.tile", lambda x: np.tile(x, (1, 1, 2)), (V,), lambda f, x: f(x, reps=2, ndim=3)),
    Call("tensor.tile", lambda x: np.tile(x, (1, 1, 1, 3, 2)), (A,), lambda f, x: f(x, (3, 2), 5)),
    Call("tensor.tile", np.tile, (A, np.array([2, 3])), lambda f, x, reps: f(x, reps, ndim=2)),
    Call("tensor.stack", lambda a: a, (A,), lambda f, a: f([a]).squeeze()),
    Call("tensor.repeat", lambda x: np.repeat(x, 2), (A,), lambda f, x: f(x, 2)),
    Call(
        "tensor.repeat",
        lambda x: np.repeat(x, [1, 0, 2], 0),
        (A,),
        lambda f, x: f(x, repeats=[1, 0, 2], axis=0),
    ),
    Call("tensor.extra_ops.cpu_contiguous", lambda x: x.T, (A,), lambda f, x: f(x.T)),
]

DIAGONALS = [
    Call("tensor.diag", np.diag, (V,)),
    Call("tensor.diag", lambda v: np.diag(v, 1), (A,), lambda f, v: f(v, k=1)),
    Call("tensor.diagonal", np.diagonal, (A,)),
    Call(
        "tensor.diagonal",
        lambda a: a.diagonal(1, 1, 2),
        (X,),
        lambda f, a: f(a, offset=1, axis1=1, axis2=2),
    ),
    Call("tensor.AllocDiag", np.diag, (V,), lambda f, v: f()(v)),
    Call(
        "tensor.AllocDiag",
        lambda v: np.diag(v, -2),
        (V,),
        lambda f, v: f(offset=-2, axis1=0, axis2=1)(v),
    ),
    Call("tensor.tril", lambda m: np.tril(m, -1), (A,), lambda f, m: f(m, k=-1)),
    Call("tensor.triu", np.triu, (A,)),
    Call("tensor.fill_diagonal", filled, (A, SCALAR)),
    Call("tensor.fill_diagonal", lambda a: filled(a, 2.0), (A,), lambda f, a: f(a, val=2)),
    Call(
        "tensor.fill_diagonal_offset",
        lambda a, v: filled(a, v, 2),
        (A, SCALAR),
        lambda f, a, v: f(a, val=v, offset=2),
    ),
    Call("tensor.identity_like", lambda x: np.eye(3, 4), (A,)),
]

INDEXING = [
    Call("tensor.take", lambda a: a.take(PLACES), (A,), lambda f, a: f(a, PLACES)),
    Call(
        "tensor.take",
        lambda a, i: a.take(i, 1),
        (A, PLACES),
        lambda f, a, i: f(a, indices=i, axis=1),
    ),
    Call(
        "tensor.take",
        lambda a, i: a.take(i, 0, mode="wrap"),
        (A, PLACES + 3),
        lambda f, a, i: f(a, i, 0, "wrap"),
    ),
    Call(
        "tensor.choose",
        lambda a, c: a.choose(c),
        (ROWS[0] % 2, A[:2, :3]),
        lambda f, a, c: f(a, choices=c),
    ),
    Call(
        "tensor.choose",
        lambda a: a.choose(A[:2, :3], mode="clip"),
        (ROWS[0],),
        lambda f, a: f(a, list(A[:2, :3]), None, "clip"),
        dtype="float64",
    ),
    Call(
        "tensor.extra_ops.compress",
        lambda x: x.compress([True, False, True], 0),
        (A,),
        lambda f, x: f([1, 0, 1], x, axis=0),
    ),
    Call("tensor.extra_ops.compress", lambda c, x: x.compress(c), (TRUTHS[0], A)),
    Call("tensor.nonzero", np.nonzero, (TRUTHS,)),
    Call(
        "tensor.nonzero",
        lambda a: np.array(np.nonzero(a)),
        (TRUTHS,),
        lambda f, a: f(a, return_matrix=True),
    ),
    Call("tensor.flatnonzero", np.flatnonzero, (TRUTHS,)),
    Call("tensor.nonzero_values", lambda a: a[a != 0], (np.where(TRUTHS, A, 0.0),), gradient=False),
    Call(
        "tensor.permute_row_elements",
        lambda x: np.stack([x[0][ROWS[0]], x[1][ROWS[1]]]),
        (A[:2, :3],),
        lambda f, x: f(x, ROWS),
    ),
    Call(
        "tensor.permute_row_elements",
        lambda x: x[ROWS[1][ROWS[1]]][np.argsort(ROWS[1])],
        (V[:3],),
        lambda f, x: f(x, ROWS[1], inverse=1),
    ),
    Call(
        "tensor.set_subtensor",
        lambda x, y: with_rows(x, y, False),
        (A, V),
        lambda f, x, y: f(x[1:], y),
    ),
    Call(
        "tensor.inc_subtensor",
        lambda x, y: with_rows(x, y, True),
        (A, B[1:]),
        lambda f, x, y: f(x[1:], y),
    ),
    Call(
        "tensor.extra_ops.to_one_hot", lambda y: hot(y, 4), (PLACES,), lambda f, y: f(y, nb_class=4)
    ),
    Call(
        "tensor.extra_ops.to_one_hot",
        lambda y: hot(y, 3).astype("int8"),
        (PLACES,),
        lambda f, y: f(y, 3, "int8"),
    ),
    Call(
        "tensor.unravel_index",
        lambda i: np.unravel_index(i, (2, 3)),
        (np.array([5, 0, 3]),),
        lambda f, i: f(i, dims=(2, 3), order="C", ndim=2),
    ),
    Call(
        "tensor.unravel_index",
        lambda i: np.unravel_index(i, (2, 3), "F"),
        (np.array([5, 0, 3]),),
        lambda f, i: f(i, (2, 3), "F"),
    ),
    Call(
        "tensor.ravel_multi_index",
        lambda i, j: np.ravel_multi_index((i, j), (3, 4)),
        (PLACES.astype("int64"), PLACES + 1),
        lambda f, i, j: f((i, j), (3, 4)),
        dtype="int64",
    ),
    Call(
        "tensor.ravel_multi_index",
        lambda i, j: np.ravel_multi_index((i, j), (3, 4), "clip", "F"),
        (PLACES + 2, PLACES),
        lambda f, i, j: f((i, j), dims=(3, 4), mode="clip", order="F"),
    ),
]

CREATION = [
    Call("tensor.zeros", lambda: np.zeros((2, 3)), (), lambda f: f((2, 3))),
    Call(
        "tensor.ones",
        lambda n: np.ones((n, 2), "int32"),
        (np.int64(3),),
        lambda f, n: f((n, 2), dtype="int32"),
    ),
    Call("tensor.zeros_like", np.zeros_like, (A,)),
    Call(
        "tensor.zeros_like",
        lambda x: np.zeros((3, 4), "int8"),
        (A,),
        lambda f, x: f(x, dtype="int8", opt=False),
    ),
    Call("tensor.ones_like", np.ones_like, (A,), lambda f, x: f(model=x)),
    Call("tensor.alloc", lambda v: np.full((2, 4), v), (V,), lambda f, v: f(v, 2, 4)),
    Call("tensor.eye", lambda: np.eye(3, 4, 1), (), lambda f: f(3, 4, 1)),
    Call("tensor.eye", lambda: np.eye(3, dtype="int32"), (), lambda f: f(n=3, dtype="int32")),
    Call("tensor.tri", lambda: np.tri(3, 4, 1), (), lambda f: f(3, M=4, k=1)),
    Call("tensor.arange", lambda: np.arange(7, dtype="int64"), (), lambda f: f(7)),
    Call(
        "tensor.arange",
        lambda: np.array([2.0, 5.0, 8.0]),
        (),
        lambda f: f(2, 9, 3, "float64"),
        dtype="float64",
    ),
    Call(
        "tensor.arange", lambda n: np.arange(1, n), (np.int64(5),), lambda f, n: f(start=1, stop=n)
    ),
    Call("tensor.mgrid", lambda: tuple(np.mgrid[0:3, 1:9:4]), (), lambda f: f[0:3, 1:9:4]),
    Call("tensor.ogrid", lambda: tuple(np.ogrid[0:3, 1:9:4]), (), lambda f: f[0:3, 1:9:4]),
    Call("tensor.bartlett", np.bartlett, (np.int64(6),), dtype="float64"),
    Call("tensor.constant", lambda: A, (), lambda f: f(A, name="a", ndim=2), dtype="float64"),
    Call(
        "tensor.as_tensor_variable", lambda v: v[None], (V,), lambda f, v: f(v, name=None, ndim=2)
    ),
    Call("tensor.as_tensor", lambda a, b: np.stack([a, b]), (V, V * 2), lambda f, a, b: f([a, b])),
]

PRODUCTS = [
    Call("dot", np.dot, (A, SQUARE)),
    Call("tensor.dot", np.dot, (V, SQUARE), lambda f, a, b: f(a=a, b=b)),
    Call("tensor.outer", np.outer, (V, A[:, 0])),
    Call(
        "tensor.tensordot",
        lambda a, b: np.tensordot(a, b, ([2], [0])),
        (X, SQUARE),
        lambda f, a, b: f(a, b, axes=[[2], [0]]),
    ),
    Call("tensor.tensordot", lambda a, b: np.tensordot(a, b), (X, A)),
    Call("tensor.batched_dot", np.matmul, (X, BATCH)),
    Call(
        "tensor.batched_tensordot",
        lambda x, y: np.einsum("bij,bjk->bik", x, y),
        (X, BATCH),
        lambda f, x, y: f(x, y, axes=[[2], [1]]),
    ),
    Call("tensor.batched_tensordot", lambda x, y: np.einsum("bij,bij->b", x, y), (X, X * 2)),
]

CALLS = [*SHAPES, *DIAGONALS, *INDEXING, *CREATION, *PRODUCTS]
