"""Ops whose windows, steps, axes and lengths are extreme integers, against NumPy.

`python -m helpers.edges GROUP DEVICE` runs one group in a process of its own, whose memory is
limited. It exits with an error unless every case has the right result, or an error with the user's
line.
"""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.signal.pool import pool_2d

N = 5
EDGES: tuple[Any, ...] = (
    *(0, 1, -1, N, N + 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**62, 2**63 - 1),
    *(2**63, 2**64, 10**30, -(2**31), -(2**63), -(10**30), True, np.int8(2), np.uint8(2)),
    *(np.uint32(3), np.uint64(2**63), np.int64(2**62)),
)
SECONDS = 60  # that a case may take
MEMORY = 4 << 30  # bytes
MODES = ("max", "sum", "average_inc_pad", "average_exc_pad")
Pair = tuple[Any, Any]
Form = Callable[[Any, Any], Any]  # (array, number) -> part of the array

rng = np.random.default_rng(0)
X, M, V = rng.random((2, 2, N, N)), rng.random((N, N)), rng.random(N)
FILTERS = rng.random((2, 2, 2, 2))


def _windows(window: int, stride: int, padding: int, whole: bool) -> list[tuple[int, int, int]]:
    """First and last pixel of each window, and its positions inside the padded image."""
    if whole:
        count = (N + 2 * padding - window) // stride + 1
    elif stride >= window:
        count = (N - 1) // stride + 1
    else:
        count = max(0, (N - 1 - window + stride) // stride) + 1
    starts = [k * stride - padding for k in range(count)]
    return [
        (max(a, 0), max(min(a + window, N), max(a, 0)), min(a + window, N + padding) - a)
        for a in starts
    ]


def _pooled(mode: str, window: Pair, stride: Pair, padding: Pair, whole: bool) -> list[Any]:
    """The pooled images, and the gradient of their sum."""
    rows, columns = (
        _windows(int(w), int(s), int(p), whole)
        for w, s, p in zip(window, stride, padding, strict=True)
    )
    y = np.empty((*X.shape[:2], len(rows), len(columns)))
    dx = np.zeros(X.shape)
    for i, (top, bottom, height) in enumerate(rows):
        for j, (left, right, width) in enumerate(columns):
            part = X[:, :, top:bottom, left:right]
            inside = (bottom - top) * (right - left)
            counts = {"average_inc_pad": height * width, "average_exc_pad": inside}
            if mode == "max":
                y[:, :, i, j] = part.max(axis=(2, 3))
                share = part == y[:, :, i, j, None, None]
            else:
                y[:, :, i, j] = part.sum(axis=(2, 3)) / counts.get(mode, 1)
                share = 1 / counts.get(mode, 1)
            dx[:, :, top:bottom, left:right] += share
    return [y, dx]


class Cases:
    """Runs cases, and counts those that were right and those that were refused."""

    def __init__(self) -> None:
        self.right = self.refused = 0

    def __call__(self, what: str, make: Callable[[], Any], expected: Callable[[], Any]) -> None:
        signal.alarm(SECONDS)
        is_made = False
        try:
            made = make()
            is_made = True
            outputs = made if isinstance(made, list) else [made]
            got = theano.function([_X, _M, _V], outputs, on_unused_input="ignore")(X, M, V)
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            text = str(error)
            # An error that the expression's own line raises has that line in its traceback.
            assert "made at" in text or not is_made, (what, text)
            assert "std::" not in text, (what, text)
            self.refused += 1
            return
        finally:
            signal.alarm(0)
        for ours, theirs in zip(got, expected(), strict=True):
            assert ours.shape == np.shape(theirs), what
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, err_msg=what)
        self.right += 1


_X, _M, _V = T.dtensor4("x"), T.dmatrix("m"), T.dvector("v")


def _with_gradient(y: Any, x: Any) -> list[Any]:
    return [y, T.grad(y.sum(), x)]


def _pool_2d(window: Pair, **options: Any) -> list[Any]:
    return _with_gradient(pool_2d(_X, window, **options), _X)


def pools(case: Cases, edge: Any) -> None:
    """Windows and strides, all modes, with and without partial windows."""
    for whole in (True, False):
        for mode in MODES:
            for w, s in (((edge, 1), (1, 1)), ((2, 2), (edge, 1)), ((edge, edge), (edge, 2))):
                options = {"ignore_border": whole, "stride": s, "mode": mode}
                case(
                    f"pool_2d {w} {options}",
                    partial(_pool_2d, w, **options),
                    partial(_pooled, mode, w, s, (0, 0), whole),
                )


def paddings(case: Cases, edge: Any) -> None:
    """Paddings one less than the window; where the windows are many, small ones."""
    n = int(edge)
    for mode in MODES:
        for stride in (2 * abs(n) + N, 1):
            if stride == 1 and abs(n) > 100:
                continue
            w, s, p = (n + 1, 2), (stride, 1), (edge, 0)
            options = {"ignore_border": True, "stride": s, "pad": p, "mode": mode}
            case(
                f"pool_2d {w} {options}",
                partial(_pool_2d, w, **options),
                partial(_pooled, mode, w, s, p, True),
            )


def convolutions(case: Cases, edge: Any) -> None:
    """Strides and paddings; a stride past the image leaves one row."""

    def strided(stride: Any) -> Any:
        return T.nnet.conv2d(_X, theano.shared(FILTERS), subsample=(stride, 1))

    def expected() -> list[Any]:
        y = theano.function([_X], strided(1))(X)
        dx = theano.function([_X], T.grad(strided(1)[:, :, :: min(int(edge), N)].sum(), _X))(X)
        return [y[:, :, :: int(edge)], dx]

    case(f"subsample {edge!r}", lambda: _with_gradient(strided(edge), _X), expected)
    if int(edge) in (2**15, 2**16):
        return  # gigabytes, and rightly so

    def padded(border: Any) -> Any:
        return T.nnet.conv2d(_X, theano.shared(FILTERS), border_mode=border)

    case(
        f"border_mode {edge!r}",
        lambda: padded(edge),
        lambda: (
            [theano.function([_X], padded("full"))(np.pad(X, _around(int(edge) - 1)))]
            if int(edge)
            else [theano.function([_X], padded("valid"))(X)]
        ),
    )


def _around(n: int) -> list[tuple[int, int]]:
    return [(0, 0), (0, 0), (n, n), (n, n)]


def keys(case: Cases, edge: Any) -> None:
    """Bounds and steps of slices, indices and index arrays."""
    forms: Sequence[Form] = (
        lambda a, n: a[:n],
        lambda a, n: a[n:],
        lambda a, n: a[::n],
        lambda a, n: a[n],
        lambda a, n: a[n:n:n],
        lambda a, n: a[-1:n:n],
        lambda a, n: a[[0, n]],
    )
    for number, form in enumerate(forms):
        if number == 6 and int(edge) in (0, -N):
            continue  # twice the same element
        case(f"key {number} of {edge!r}", partial(_taken, form, edge), partial(_picked, form, edge))


def _taken(form: Form, edge: Any) -> list[Any]:
    return _with_gradient(form(_V, edge), _V)


def _picked(form: Form, edge: Any) -> list[Any]:
    dx = np.zeros(N)
    dx[form(np.arange(N), int(edge))] = 1
    return [form(V, int(edge)), dx]


def _reduced(name: str, edge: Any) -> list[Any]:
    return [getattr(np, name)(M, axis=int(edge))]


def axes(case: Cases, edge: Any) -> None:
    """Axes of reductions and joins."""
    for name in ("sum", "max", "argmax", "cumsum"):
        case(
            f"{name} {edge!r}",
            partial(getattr(T, name), _M, axis=edge),
            partial(_reduced, name, edge),
        )
    case(
        f"concatenate {edge!r}",
        lambda: T.concatenate([_M, _M], axis=edge),
        lambda: [np.concatenate([M, M], axis=int(edge))],
    )


def lengths(case: Cases, edge: Any) -> None:
    """Lengths and diagonals."""
    n = int(edge)
    case("reshape", lambda: _M.reshape((edge, -1)), lambda: [M.reshape(n, -1)])
    case("eye", lambda: T.eye(3, 3, edge), lambda: [np.eye(3, 3, n)])


GROUPS = {f.__name__: f for f in (pools, paddings, convolutions, keys, axes, lengths)}


def _too_long(*_: object) -> None:
    raise AssertionError(f"a case takes more than {SECONDS} s")


def main() -> None:
    """Runs the group and device that the command line names."""
    group, theano.config.device = sys.argv[1:3]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    cases = Cases()
    for edge in EDGES:
        GROUPS[group](cases, edge)
    assert cases.right >= 4, "nearly all is refused"
    assert cases.refused >= 4, "nothing is refused"


if __name__ == "__main__":
    main()
