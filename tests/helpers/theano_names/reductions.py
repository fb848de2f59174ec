"""Reductions, sorting, and what is ordered along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.theano_names.case import Call

_rng = np.random.default_rng(1)
X = _rng.normal(size=(2, 3, 4))
ROWS = _rng.normal(size=(3, 5))
SQUARE = _rng.normal(size=(4, 4))
INTEGERS = _rng.integers(-50, 50, (3, 5)).astype("int32")
SMALL = _rng.integers(0, 6, 9).astype("int32")
TRUTHS = _rng.integers(0, 2, (2, 3, 4)).astype(bool)
SORTED = np.sort(_rng.normal(size=7))
QUERIES = np.concatenate([SORTED[2:4], _rng.normal(size=4)])


def largest_first(x: Any, k: int, axis: int) -> Any:
    return np.flip(np.sort(x, axis), axis).take(range(k), axis)


def of_largest_first(x: Any, k: int, axis: int) -> Any:
    return np.argsort(-x, axis, kind="stable").take(range(k), axis)


CALLS = [
    Call("tensor.sum", np.sum, (X,)),
    Call("tensor.sum", lambda x: x.sum((0, 2)), (X,), lambda f, x: f(input=x, axis=(0, 2))),
    Call(
        "tensor.sum",
        lambda x: x.sum(1, "float64", keepdims=True),
        (INTEGERS,),
        lambda f, x: f(x, 1, "float64", True, "float64"),
        dtype="float64",
    ),
    Call("tensor.sum", lambda x: x.sum(-1), (INTEGERS.astype("int8"),), lambda f, x: f(x, [-1])),
    Call("tensor.prod", lambda x: x.prod(1), (X,), lambda f, x: f(x, axis=1)),
    Call(
        "tensor.prod",
        lambda x: x.prod(0, keepdims=True),
        (X,),
        lambda f, x: f(x, 0, None, True, None, True),
    ),
    Call("tensor.mean", np.mean, (X,)),
    Call(
        "tensor.mean",
        lambda x: x.mean(1, keepdims=True),
        (X,),
        lambda f, x: f(x, 1, None, False, True, None),
    ),
    Call("tensor.mean", lambda x: x.mean(0), (INTEGERS,), lambda f, x: f(x, 0), dtype="float64"),
    Call("tensor.var", np.var, (X,)),
    Call(
        "tensor.var",
        lambda x: x.var((0, 1), ddof=1, keepdims=True),
        (X,),
        lambda f, x: f(x, (0, 1), 1, True, False),
    ),
    Call("tensor.std", lambda x: x.std(2), (X,), lambda f, x: f(x, axis=2)),
    Call("tensor.std", lambda x: x.std(ddof=1), (X,), lambda f, x: f(x, ddof=1, corrected=False)),
    Call("tensor.max", lambda x: x.max(), (X,)),
    Call(
        "tensor.max", lambda x: x.max((0, 2), keepdims=True), (X,), lambda f, x: f(x, [0, 2], True)
    ),
    Call("tensor.min", lambda x: x.min(1), (X,), lambda f, x: f(x, axis=np.array(1))),
    Call("tensor.argmax", lambda x: x.argmax(), (X,)),
    Call("tensor.argmax", lambda x: x.argmax(1, keepdims=True), (X,), lambda f, x: f(x, 1, True)),
    Call("tensor.argmin", lambda x: x.argmin(2), (X,), lambda f, x: f(x, axis=2, keepdims=False)),
    Call("tensor.max_and_argmax", lambda x: (x.max(), x.argmax()), (X,)),
    Call(
        "tensor.max_and_argmax",
        lambda a: (a.max(1, keepdims=True), a.argmax(1, keepdims=True)),
        (X,),
        lambda f, x: f(a=x, axis=1, keepdims=True),
    ),
    Call("tensor.all", np.all, (TRUTHS,)),
    Call(
        "tensor.all",
        lambda x: x.all((0, 1), keepdims=True),
        (TRUTHS,),
        lambda f, x: f(x, (0, 1), True),
    ),
    Call("tensor.any", lambda x: x.any(1), (TRUTHS,), lambda f, x: f(x, axis=1)),
    Call("tensor.ptp", np.ptp, (X,)),
    Call("tensor.ptp", lambda a: np.ptp(a, 1), (X,), lambda f, a: f(a, axis=1)),
    Call("tensor.cumsum", lambda x: x.cumsum(), (X,)),
    Call("tensor.cumsum", lambda x: x.cumsum(1), (X,), lambda f, x: f(x, axis=1)),
    Call("tensor.cumsum", lambda x: x.cumsum(0), (INTEGERS,), lambda f, x: f(x, 0), dtype="int64"),
    Call("tensor.cumprod", lambda x: x.cumprod(), (ROWS,)),
    Call("tensor.cumprod", lambda x: x.cumprod(-1), (X,), lambda f, x: f(x, -1)),
    Call("tensor.cov", np.cov, (ROWS,)),
    Call(
        "tensor.cov",
        lambda m: np.cov(m, rowvar=False, bias=True),
        (ROWS,),
        lambda f, m: f(m, None, False, True),
    ),
    Call(
        "tensor.cov",
        lambda m, y: np.cov(m, y, ddof=0),
        (ROWS, ROWS**2),
        lambda f, m, y: f(m, y, ddof=0),
    ),
    Call("tensor.sort", np.sort, (ROWS,)),
    Call(
        "tensor.sort",
        lambda a: np.sort(a, None),
        (ROWS,),
        lambda f, a: f(a, None, "mergesort", None),
    ),
    Call("tensor.argsort", lambda a: np.argsort(a, kind="stable"), (INTEGERS,)),
    Call(
        "tensor.argsort",
        lambda a: np.argsort(a, 0, kind="stable"),
        (ROWS,),
        lambda f, a: f(a, 0, kind="heapsort"),
    ),
    Call("tensor.topk", lambda x: largest_first(x, 2, -1), (ROWS,), lambda f, x: f(x, 2)),
    Call(
        "tensor.topk",
        lambda x: np.sort(x, 0)[:2],
        (ROWS,),
        lambda f, x: f(x, -2, axis=0, sorted=True)[::-1],
    ),
    Call(
        "tensor.argtopk",
        lambda x: of_largest_first(x, 3, 1).astype("int32"),
        (ROWS,),
        lambda f, x: f(x, 3, 1, True, "int32"),
    ),
    Call(
        "tensor.topk_and_argtopk",
        lambda x: (largest_first(x, 2, 0), of_largest_first(x, 2, 0)),
        (ROWS,),
        lambda f, x: f(x, kth=2, axis=0, sorted=True, idx_dtype="int64"),
    ),
    Call("tensor.bincount", np.bincount, (SMALL,), dtype="int64"),
    Call(
        "tensor.bincount",
        lambda x, w: np.bincount(x, w, 8),
        (SMALL, _rng.normal(size=9)),
        lambda f, x, w: f(x, w, 8, False),
    ),
    Call("tensor.diff", np.diff, (ROWS,)),
    Call("tensor.diff", lambda x: np.diff(x, 2, 0), (ROWS,), lambda f, x: f(x, n=2, axis=0)),
    Call("tensor.extra_ops.searchsorted", np.searchsorted, (SORTED, QUERIES)),
    Call(
        "tensor.extra_ops.searchsorted",
        lambda x, v: np.searchsorted(np.sort(x), v, "right"),
        (SORTED[::-1].copy(), QUERIES),
        lambda f, x, v: f(x, v, "right", np.argsort(SORTED[::-1])),
    ),
    Call("tensor.extra_ops.Unique", np.unique, (SMALL,), lambda f, x: f()(x)),
    Call(
        "tensor.extra_ops.Unique",
        lambda x: tuple(np.unique(x, True, True, True)),
        (SMALL,),
        lambda f, x: f(True, True, True)(x),
    ),
    Call("tensor.inverse_permutation", np.argsort, (np.array([3, 0, 2, 1]),)),
]
