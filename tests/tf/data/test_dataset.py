"""Steps of data sets: orders, lengths, what is kept, what is read when, and errors."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist import tf
from tinygrad_mnist.tf.data import block as blocks
from tinygrad_mnist.tf.data.steps import draws

Dataset = tf.data.Dataset


def numbers(dataset: Any) -> list[int]:
    return [int(x) for x in dataset]


def single(n: int) -> Any:
    """Numbers that come as blocks of one element each."""

    def generator() -> Any:
        yield from range(n)

    return Dataset.from_generator(generator, output_signature=tf.TensorSpec((), tf.int64))


class Python:
    """The same steps on Python's lists."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def batch(self, n: int, drop_remainder: bool) -> Python:
        cut = [self.items[i : i + n] for i in range(0, len(self.items), n)]
        return Python([c for c in cut if len(c) == n or not drop_remainder])

    def unbatch(self) -> Python:
        return Python([x for item in self.items for x in item])

    def take(self, n: int) -> Python:
        return Python(self.items[:n])

    def skip(self, n: int) -> Python:
        return Python(self.items[n:])

    def repeat(self, n: int) -> Python:
        return Python(self.items * n)

    def shard(self, n: int, i: int) -> Python:
        return Python(self.items[i % n :: n])


STEPS = st.one_of(
    st.tuples(st.just("batch"), st.integers(1, 5), st.booleans()),
    st.tuples(st.just("take"), st.integers(0, 12)),
    st.tuples(st.just("skip"), st.integers(0, 5)),
    st.tuples(st.just("repeat"), st.integers(0, 3)),
    st.tuples(st.just("cache")),
    st.tuples(st.just("prefetch"), st.integers(-1, 3)),
    st.tuples(st.just("shard"), st.integers(1, 3), st.integers(0, 2)),
    st.tuples(st.just("unbatch")),
)


@settings(max_examples=300, deadline=None)
@given(n=st.integers(0, 20), steps=st.lists(STEPS, max_size=5), one_by_one=st.booleans())
def test_chains_of_steps_are_those_of_lists(n: int, steps: Any, one_by_one: bool) -> None:
    dataset, expected, depth = (single(n) if one_by_one else Dataset.range(n)), list(range(n)), 0
    model = Python(expected)
    for name, *arguments in steps:
        if name == "unbatch" and not depth:
            continue
        if name == "batch" and not _even(model.items):
            continue
        if name == "shard":
            arguments[1] %= arguments[0]
        depth += {"batch": 1, "unbatch": -1}.get(name, 0)
        dataset = getattr(dataset, name)(*arguments)
        if name not in ("cache", "prefetch"):
            model = getattr(model, name)(*arguments)
    for _ in range(2):
        assert [x.tolist() for x in dataset.as_numpy_iterator()] == model.items
    known = int(dataset.cardinality())
    assert known in (len(model.items), tf.data.UNKNOWN_CARDINALITY)
    if known >= 0:
        assert len(dataset) == known
    joined = [row.tolist() for stack in dataset.stacks() for row in stack]
    assert joined == model.items


def _even(items: list[Any]) -> bool:
    """Whether batches of them have one shape."""
    return len({np.shape(item) if _regular(item) else None for item in items}) <= 1


def _regular(item: Any) -> bool:
    try:
        np.array(item)
    except ValueError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 60),
    size=st.integers(1, 80),
    seed=st.integers(0, 5),
    one_by_one=st.booleans(),
)
def test_shuffle_draws_from_a_buffer(n: int, size: int, seed: int, one_by_one: bool) -> None:
    """The k-th element is one of the first size + k, and each comes once."""
    source = single(n) if one_by_one else Dataset.range(n)
    order = numbers(source.shuffle(size, seed=seed))
    assert sorted(order) == list(range(n))
    assert all(x < size + k for k, x in enumerate(order))


def test_draws_are_those_of_a_buffer() -> None:
    """Against the buffer as one writes it down."""
    for size, count in [(1, 5), (3, 10), (50, 7), (20, 300)]:
        drawn, kept = draws(np.random.default_rng(3), size, count)
        slots = np.random.default_rng(3).integers(0, size, count)
        buffer, expected = list(range(size)), []
        for k, slot in enumerate(slots):
            expected.append(buffer[slot])
            buffer[slot] = size + k
        assert drawn.tolist() == expected
        assert kept.tolist() == buffer


def test_a_full_buffer_makes_each_order_equally_likely() -> None:
    dataset = Dataset.range(3).shuffle(3, seed=0)
    counts = Counter(tuple(numbers(dataset)) for _ in range(1200))
    assert len(counts) == 6
    assert all(abs(count - 200) < 60 for count in counts.values())


def test_each_pass_has_another_order() -> None:
    dataset = Dataset.range(50).shuffle(50)
    assert numbers(dataset) != numbers(dataset)
    fixed = Dataset.range(50).shuffle(50, reshuffle_each_iteration=False)
    assert numbers(fixed) == numbers(fixed)
    twice = numbers(Dataset.range(50).shuffle(50).repeat(2))
    assert sorted(twice[:50]) == sorted(twice[50:]) == list(range(50))
    assert twice[:50] != twice[50:]
    twice = numbers(fixed.repeat(2))
    assert twice[:50] == twice[50:]


def test_seeds() -> None:
    def passes(**options: Any) -> list[list[int]]:
        dataset = Dataset.range(30).shuffle(10, **options)
        return [numbers(dataset), numbers(dataset)]

    first, second = passes(seed=7)
    assert first != second
    assert passes(seed=7) == [first, second]
    assert passes(seed=8)[0] != first
    tf.random.set_seed(3)
    drawn = passes()
    tf.random.set_seed(3)
    assert passes() == drawn


def test_shuffle_keeps_parts_together() -> None:
    x = np.arange(1000)
    for dataset in (
        Dataset.from_tensor_slices((x, 2 * x)).cache().shuffle(100).repeat(2),
        Dataset.zip((single(1000), single(1000).map(lambda v: 2 * v))).shuffle(100).repeat(2),
        Dataset.from_tensor_slices((x, 2 * x)).repeat(2).shuffle(300).cache(),
    ):
        pairs = [(int(a), int(b)) for a, b in dataset]
        assert sorted(pairs) == sorted((i, 2 * i) for i in [*range(1000), *range(1000)])


def test_shuffled_elements_may_differ_in_shape() -> None:
    ragged = Dataset.range(20).map(lambda i: tf.range(int(i)))
    for shape in [x.shape for x in ragged.shuffle(5).cache()]:
        assert len(shape) == 1
    assert sorted(len(x) for x in ragged.shuffle(20)) == list(range(20))
    assert [len(x) for x in ragged.repeat(2).skip(15).take(10)] == [*range(15, 20), *range(5)]
    assert [int(n) for n, x in ragged.enumerate()] == list(range(20))
    assert sum(len(x) for x, _ in Dataset.zip((ragged.shuffle(9), ragged))) == 190
    with pytest.raises(ValueError, match=r"different shapes, \[0\] and \[1\], can't be in one"):
        list(ragged.batch(3))
    halves = Dataset.range(8).map(lambda i: tf.range(int(i) // 2))
    for dataset in (halves, halves.cache(), halves.repeat(2)):
        list(dataset)
        assert [x.shape for x in dataset.batch(2)][:4] == [(2, i) for i in range(4)]
    whole = list(ragged.batch(1))
    assert [x.shape for x in whole] == [(1, i) for i in range(20)]


def test_cache_computes_once_and_only_whole_passes_count() -> None:
    calls = 0

    def generator() -> Any:
        nonlocal calls
        calls += 1
        yield from range(10)

    cached = Dataset.from_generator(generator, tf.int64).cache()
    assert numbers(cached.take(3)) == [0, 1, 2]
    assert numbers(cached) == numbers(cached) == list(range(10))
    assert calls == 2
    assert numbers(cached.repeat(3)) == 3 * list(range(10))
    assert calls == 2
    with pytest.raises(ValueError, match="file name"):
        cached.cache("here")


def test_only_what_is_needed_is_computed() -> None:
    seen = []

    def generator() -> Any:
        for i in range(1000):
            seen.append(i)
            yield i

    dataset = Dataset.from_generator(generator, tf.int64).map(lambda x: int(x) + 1).batch(4)
    assert next(iter(dataset)).tolist() == [1, 2, 3, 4]
    assert len(seen) <= 5


def test_blocks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function gets a part of a large array at a time, and gathers are as small."""
    monkeypatch.setattr(blocks, "NBYTES", 4000)
    lengths = []

    def function(x: Any) -> Any:
        lengths.append(getattr(x, "rows", np.zeros(0)).shape[0])
        return x * 2

    x = np.arange(5000.0).reshape(500, 10)
    dataset = Dataset.from_tensor_slices(x).map(function).shuffle(100).batch(7)
    assert sorted(v for batch in dataset for v in batch.ravel()) == list(range(0, 10000, 2))
    assert max(lengths) == 50


def test_lengths() -> None:
    with pytest.raises(TypeError, match="no end"):
        len(Dataset.range(3).repeat())
    with pytest.raises(TypeError, match="isn't known"):
        len(Dataset.range(3).filter(lambda x: x > 1))
    assert tf.data.experimental.cardinality(Dataset.range(3).repeat()) == -1
    assert len(Dataset.range(10).batch(3)) == 4
    assert len(Dataset.range(10).batch(3, drop_remainder=True)) == 3
    assert bool(Dataset.range(0))


def test_iterators() -> None:
    dataset = Dataset.range(2)
    for iterator in (iter(dataset), dataset.make_one_shot_iterator()):
        assert [int(iterator.get_next()), int(iterator.get_next())] == [0, 1]
        with pytest.raises(tf.errors.OutOfRangeError, match="End of sequence"):
            iterator.get_next()
    images, labels = next(
        iter(Dataset.from_tensor_slices((np.ones((4, 2)), [1, 2, 3, 4])).batch(3))
    )
    assert type(images.numpy()) is np.ndarray
    assert images.shape == (3, 2)
    assert images.dtype == tf.float64
    assert np.argmax(images, axis=1).tolist() == [0, 0, 0]
    assert labels.dtype == tf.int32
    for element in Dataset.from_tensor_slices({"a": [1.5]}).as_numpy_iterator():
        assert element == {"a": 1.5}
        assert isinstance(element["a"], np.float32)


def test_generators() -> None:
    def rows() -> Any:
        yield [1, 2], 0
        yield [3], 1

    dataset = Dataset.from_generator(rows, (tf.float32, tf.int64), ([None], []))
    assert [(x.tolist(), int(y)) for x, y in dataset] == [([1.0, 2.0], 0), ([3.0], 1)]
    assert dataset.element_spec[0] == tf.TensorSpec((None,), tf.float32)
    with pytest.raises(ValueError, match=r"shape \(1,\), not \(2,\)"):
        list(Dataset.from_generator(rows, (tf.float32, tf.int64), ([2], [])))
    with pytest.raises(TypeError, match="its elements are to be"):
        list(Dataset.from_generator(lambda: [1], (tf.int32, tf.int32)))
    with pytest.raises(ValueError, match="output_signature"):
        Dataset.from_generator(rows)
    counted = Dataset.from_generator(range, tf.int64, args=(4,))
    assert numbers(counted) == [0, 1, 2, 3]


def test_files(tmp_path: Path) -> None:
    body = bytes(range(12))
    plain = tmp_path / "plain"
    plain.write_bytes(b"head" + body + b"foot")
    for packing, data in {
        "GZIP": gzip.compress(plain.read_bytes()),
        "ZLIB": zlib.compress(plain.read_bytes()),
    }.items():
        path = tmp_path / packing
        path.write_bytes(data)
        dataset = tf.data.FixedLengthRecordDataset(str(path), 4, 4, 4, compression_type=packing)
        assert b"".join(dataset.as_numpy_iterator()) == body
    several = tf.data.FixedLengthRecordDataset([plain, str(plain)], 6, 4, 4)
    assert [r.numpy() for r in several] == 2 * [body[:6], body[6:]]
    assert [b.numpy().tolist() for b in several.batch(4)] == [2 * [body[:6], body[6:]]]
    with pytest.raises(ValueError, match=r"plain: 20 bytes are not 4 of a header, records of 5"):
        list(tf.data.FixedLengthRecordDataset(plain, 5, 4))
    with pytest.raises(ValueError, match="gzipped: give compression_type='GZIP'"):
        list(tf.data.FixedLengthRecordDataset(tmp_path / "GZIP", 1000))
    with pytest.raises(ValueError, match="plain: no whole GZIP file"):
        list(tf.data.FixedLengthRecordDataset(plain, 4, compression_type="GZIP"))
    with pytest.raises(FileNotFoundError):
        list(tf.data.FixedLengthRecordDataset(tmp_path / "none", 4))
    with pytest.raises(ValueError, match="only files of this machine"):
        list(tf.data.FixedLengthRecordDataset("gs://elsewhere/file", 4))
    assert tf.io.read_file(str(plain)).numpy() == plain.read_bytes()


def test_the_codelabs_files_are_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gs://mnist-public/train-images-idx3-ubyte is that file of MNIST, wherever MNIST is."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (60, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 60).astype(np.uint8),
        "x_test": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_test": rng.integers(0, 10, 20).astype(np.uint8),
    }
    np.savez(tmp_path / "mnist.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    for part, name in (("train", "train"), ("t10k", "test")):
        bucket = f"gs://mnist-public/{part}"
        images = tf.data.FixedLengthRecordDataset(f"{bucket}-images-idx3-ubyte", 784, 16)
        labels = tf.data.FixedLengthRecordDataset(f"{bucket}-labels-idx1-ubyte", 1, 8)
        found = np.frombuffer(b"".join(images.as_numpy_iterator()), np.uint8)
        assert np.array_equal(found, arrays[f"x_{name}"].ravel())
        assert b"".join(labels.as_numpy_iterator()) == arrays[f"y_{name}"].tobytes()
    assert tf.io.read_file("gs://mnist-public/train-images-idx3-ubyte").numpy()[:16] == bytes(
        [0, 0, 8, 3, 0, 0, 0, 60, 0, 0, 0, 28, 0, 0, 0, 28]
    )


def test_specs_of_functions() -> None:
    """A length that differs between elements is None; one that a function makes isn't."""
    batches = Dataset.from_tensor_slices(np.zeros((10, 4), np.float32)).batch(3)

    def spec(function: Any) -> Any:
        return batches.map(function).element_spec

    assert spec(lambda x: tf.reduce_sum(x, axis=1)).shape == (None,)
    assert spec(lambda x: tf.reduce_sum(x, axis=0)).shape == (4,)
    assert spec(lambda x: tf.reshape(x, [3, 4])).shape is None
    assert spec(lambda x: (x, 1))[1] == tf.TensorSpec((), tf.int32)
    assert batches.map(lambda x: tf.cast(x, tf.uint8)).batch(2).element_spec == tf.TensorSpec(
        (None, None, 4), tf.uint8
    )
    with pytest.raises(ValueError, match="no element"):
        assert Dataset.range(0).map(lambda x: x).element_spec


WRONG = [
    (lambda: Dataset.range(3).batch(0), "batch_size"),
    (lambda: Dataset.range(3).shuffle(0), "buffer_size"),
    (lambda: Dataset.range(3).take("two"), "count"),
    (lambda: Dataset.range(3).shard(2, 2), "index is 2"),
    (lambda: Dataset.zip((Dataset.range(3), [1, 2])), "is no Dataset"),
    (lambda: Dataset.range(3).concatenate(3), "is no Dataset"),
    (lambda: Dataset.from_tensor_slices(([1, 2], [1])), "as many rows"),
    (lambda: Dataset.from_tensor_slices(3), "not scalars"),
    (lambda: Dataset.from_tensor_slices([[1], [1, 2]]), "inhomogeneous|differ in length"),
    (lambda: list(Dataset.range(3).unbatch()), "can't be taken apart"),
    (lambda: list(Dataset.range(3).filter(lambda x: x)), "one truth value"),
    (lambda: tf.data.FixedLengthRecordDataset("a", 1, compression_type="zip"), "compression_type"),
    (lambda: Dataset.range(2).concatenate(Dataset.from_tensors(1.5)).element_spec, "one data set"),
]


@pytest.mark.parametrize("case", range(len(WRONG)))
def test_errors(case: int) -> None:
    make, message = WRONG[case]
    with pytest.raises((TypeError, ValueError), match=message):
        make()
