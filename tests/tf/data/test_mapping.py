"""`map` gives for whole arrays what it gives element by element: same structures, dtypes, bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_mnist import tf
from tinygrad_mnist.keras.tensors import Tensor, tensor
from tinygrad_mnist.tf.data.structure import leaves

Function = Callable[..., Any]


def by_element(function: Function, *columns: Any) -> list[Any]:
    """What the function gives, called for each element."""
    results = []
    for row in zip(*columns, strict=True):
        result = function(*(tensor(x) for x in row))
        result = tuple(result) if isinstance(result, list) else result
        results.append([np.asarray(tensor(x)) for x in leaves(result)])
    return results


def by_map(function: Function, *columns: Any) -> list[Any]:
    source = columns if len(columns) > 1 else columns[0]
    dataset = tf.data.Dataset.from_tensor_slices(source).map(function)
    return [[np.asarray(x) for x in leaves(element)] for element in dataset]


def same(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert [(x.shape, x.dtype) for x in ours] == [(x.shape, x.dtype) for x in theirs]
        for x, y in zip(ours, theirs, strict=True):
            if x.dtype.kind == "f":
                assert np.array_equal(x, y, equal_nan=True)
                real = ~np.isnan(x)
                assert np.array_equal(np.signbit(x[real]), np.signbit(y[real]))
            else:
                assert np.array_equal(x, y)


def check(function: Function, *columns: Any) -> None:
    try:
        expected = by_element(function, *columns)
    except Exception as error:
        with pytest.raises(type(error)):
            by_map(function, *columns)
    else:
        same(by_map(function, *columns), expected)


# Each takes and gives an element of any shape.
UNARY: dict[str, Function] = {
    "half": lambda x: x / 2,
    "third": lambda x: x / 3.0,
    "inverse": lambda x: 1 / (x + 1),
    "minus": lambda x: 1 - x,
    "in place": lambda x: _in_place(x),
    "floor": lambda x: x // 3,
    "mod": lambda x: x % 5,
    "power": lambda x: x**2,
    "absolute": lambda x: abs(-x),
    "float": lambda x: tf.cast(x, tf.float32),
    "bytes": lambda x: tf.cast(tf.cast(x, tf.int64) % 200, tf.uint8),
    "astype": lambda x: x.astype("float64"),
    "flat": lambda x: tf.reshape(x, [-1]),
    "method": lambda x: x.reshape(-1, 1),
    "hot": lambda x: tf.one_hot(tf.cast(x, tf.int32), 3),
    "hot first": lambda x: tf.one_hot(tf.cast(x, tf.int64), 2, axis=0, on_value=3),
    "exp": lambda x: tf.exp(tf.cast(x, tf.float32) / 100),
    "tanh": lambda x: tf.nn.tanh(tf.cast(x, tf.float32)),
    "relu": lambda x: np.maximum(x, 0),
    "sqrt": lambda x: np.sqrt(abs(x)),
    "mean": lambda x: tf.reduce_mean(tf.cast(x, tf.float32)),
    "sum": lambda x: tf.reduce_sum(x),
    "row sums": lambda x: x.sum(axis=-1),
    "numpy mean": lambda x: np.mean(x, keepdims=True),
    "last": lambda x: x[..., -1],
    "reversed": lambda x: x[::-1],
    "first two": lambda x: x[:2],
    "new axis": lambda x: x[None],
    "transposed": lambda x: x.T,
    "expanded": lambda x: tf.expand_dims(x, 0),
    "sorted": lambda x: np.sort(x, axis=-1),
    "maximal": lambda x: tf.argmax(x),
    "where": lambda x: tf.where(x > 2, x, tf.zeros_like(x)),
    "clipped": lambda x: tf.clip_by_value(x, 1, 3),
    "repeated": lambda x: tf.concat([x, x], 0),
    "constant": lambda x: x * np.array([1, 2, 3], np.float32)[:1],
    "own shape": lambda x: x * len(x) + x.shape[0] + x.ndim,
    "rows": lambda x: sum(row for row in x),
    "compared": lambda x: tf.equal(x, 3),
    "matrix": lambda x: tf.matmul(tf.reshape(x, [-1, 1]), tf.reshape(x, [1, -1])),
    "negative": lambda x: ~(x > 1),
}


def _in_place(x: Any) -> Any:
    y = x
    y += 1
    y *= 2
    return y + x


DTYPES = ["float32", "float64", "uint8", "int32", "int64", "int16", "float16"]
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    shape = (draw(st.integers(1, 5)), *draw(SHAPES))
    dtype = draw(st.sampled_from(DTYPES))
    if dtype.startswith("float"):
        elements = st.floats(-1e3, 1e3, width=16, allow_subnormal=False) | st.sampled_from(
            [0.0, -0.0, np.inf, np.nan]
        )
    else:
        elements = st.integers(0, 100)
    return draw(hnp.arrays(dtype, shape, elements=elements))


@settings(max_examples=150, deadline=None)
@given(x=arrays(), names=st.lists(st.sampled_from(sorted(UNARY)), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_chains(x: Any, names: list[str]) -> None:
    def function(e: Any) -> Any:
        for name in names:
            e = UNARY[name](e)
        return e

    check(function, x)


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    operator=st.sampled_from(["add", "subtract", "multiply", "divide", "maximum", "less", "pow"]),
    method=st.booleans(),
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_two_parts(data: st.DataObject, operator: str, method: bool) -> None:
    """Operands of different shapes and dtypes are broadcast as those of an element are."""
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
    n = data.draw(st.integers(1, 4))
    columns = [
        data.draw(
            hnp.arrays(data.draw(st.sampled_from(DTYPES)), (n, *s), elements=st.integers(0, 9))
        )
        for s in shapes.input_shapes
    ]
    numpy = {"divide": np.true_divide, "pow": np.power}
    function = numpy.get(operator, getattr(np, operator, None)) if method else getattr(tf, operator)
    check(lambda a, b: function(a, b), *columns)
    check(lambda a, b: (a + b, b - a, a / b, a == b, [1, 2]), *columns)
    check(lambda a, b: {"b": a * columns[1][0], "a": columns[0][0] - b}, *columns)


calls = 0


def counted(function: Function) -> Function:
    def wrapper(*parts: Any) -> Any:
        global calls
        calls += 1
        return function(*parts)

    return wrapper


AT_ONCE: dict[str, Function] = {
    "codelab": lambda x: tf.reshape(tf.cast(x, tf.float32) / 256.0, [28 * 28]),
    "image": lambda x: tf.cast(tf.reshape(x, (28, 28, 1)), "float32") / 255,
    "division": lambda x: x / 255,
    "scaled": lambda x: (tf.cast(x, tf.float32) - 127.5) / 127.5,
    "numpy": lambda x: np.multiply(x.astype(np.float32), 1 / 255),
    "corner": lambda x: x.reshape(28, 28)[4:24, 4:24],
    "threshold": lambda x: tf.cast(x > 100, tf.uint8),
    "constant": lambda x: (x, 1.0),
    "flipped": lambda x: tf.reshape(x, [28, 28])[:, ::-1],
}


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_function_is_called_for_all_at_once(name: str) -> None:
    """And for the first and the last element, to compare."""
    global calls
    x = np.random.default_rng(0).integers(0, 256, (500, 784), np.uint8)
    calls = 0
    found = by_map(counted(AT_ONCE[name]), x)
    assert calls == 3
    same(found, by_element(AT_ONCE[name], x))


def branch(x: Any) -> Any:
    return x + 1 if x.sum() > 3 else x - 1


def changed(x: Any) -> Any:
    y = np.array(x)
    y[0] = 7
    return y


def caught(x: Any) -> Any:
    try:
        return x * float(x[0])
    except Exception:
        return x


def caught_all(x: Any) -> Any:
    try:
        return x * 0 + int(x[0] == 3)
    except:  # noqa: E722
        return x * 0


ONE_BY_ONE: dict[str, Function] = {
    "numpy()": lambda x: x.numpy() * 2,
    "asarray": lambda x: np.asarray(x) / 2,
    "array of": lambda x: np.array([x, x]),
    "float": lambda x: float(x[0]) + x,
    "int as index": lambda x: x[int(x[0]) % 2],
    "tensor as index": lambda x: x[x[0] % 2],
    "branch": branch,
    "bool": lambda x: x if bool(x[0] > 2) else -x,
    "and": lambda x: x[0] > 1 and x[1] > 1,
    "min of Python": lambda x: min(x[0], x[1]),
    "in": lambda x: x + 1 if 3 in x else x,
    "class": lambda x: x + 1 if isinstance(x, np.ndarray) else x,
    "type": lambda x: x + 1 if type(x) is Tensor else x,
    "tolist": lambda x: tuple(x.tolist()),
    "item": lambda x: x[0].item() + x,
    "copy": changed,
    "except": caught,
    "bare except": caught_all,
    "bytes": lambda x: tf.io.decode_raw(x.tobytes(), tf.uint8),
    "own length": lambda x: x[: int(x[0]) % 2 + 1],
    "other dtype": lambda x: x / 2 if x[0] > 2 else x,
    "format": lambda x: int(f"{x[0]:d}") + x,
    "data": lambda x: np.frombuffer(x.data, x.dtype) + x,
    "nonzero": lambda x: np.nonzero(x)[0],
    "where": lambda x: tf.where(x > 3),
    "shift": lambda x: x << 1,
    "divmod": lambda x: divmod(x, 2),
    "round": lambda x: round(x[0]) + x if hasattr(x, "__round__") else x,
    "file": lambda x: tf.constant(str(int(x[0])).encode()),
}


@pytest.mark.parametrize("name", ONE_BY_ONE)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_function_that_needs_elements_has_them(name: str) -> None:
    x = np.random.default_rng(1).integers(0, 7, (20, 3))
    check(ONE_BY_ONE[name], x)
    check(ONE_BY_ONE[name], x.astype(np.float32))


def test_what_a_function_does_besides_is_done_for_each_element() -> None:
    x = np.zeros((50, 3), np.float32)
    for drawn in (
        by_map(lambda e: e + np.random.rand(), x),  # noqa: NPY002
        by_map(lambda e: e + tf.random.uniform([3]), x),
        by_map(lambda e: e + tf.random.normal([]), x),
    ):
        assert len({row[0].tobytes() for row in drawn}) == 50
    count = iter(range(1000))
    counts = [int(row[0]) for row in by_map(lambda e: next(count), x)]
    assert np.array_equal(np.diff(counts), np.ones(49))


def test_an_error_comes_with_its_element() -> None:
    """Those before it are delivered."""
    dataset = tf.data.Dataset.range(10).map(lambda i: tf.gather([1, 2, 3], i))
    elements = iter(dataset)
    assert [int(next(elements)) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="indices"):
        next(elements)


def test_elements_cannot_be_changed() -> None:
    x = np.zeros((4, 3))
    with pytest.raises(ValueError, match="read-only"):
        by_map(lambda e: e.fill(3), x)
    assert not x.any()
    for (images,) in tf.data.Dataset.from_tensor_slices((x,)).batch(2):
        copied = images.numpy()
        copied += 1
        images += 1
        assert images.max() == 1
    assert not x.any()
