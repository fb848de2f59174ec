"""`tf.data.Dataset`: a chain of steps over elements, which are computed when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import flag, integer, shown
from tinygrad_mnist.keras.tensors import DTYPES, Tensor, dtype_of, tensor
from tinygrad_mnist.tf.data import steps
from tinygrad_mnist.tf.data.block import Block, block_of
from tinygrad_mnist.tf.data.mapping import Mapped, filtered
from tinygrad_mnist.tf.data.structure import (
    TensorSpec,
    change,
    common,
    is_nest,
    leaves,
    pack,
    spec_of,
)
from tinygrad_mnist.tf.errors import OutOfRangeError

#: How much to compute ahead, or how many calls at once; there is nothing to tune here.
AUTOTUNE = -1
#: Cardinalities of data sets that don't end, or whose length only reading them tells.
INFINITE_CARDINALITY, UNKNOWN_CARDINALITY = -1, -2

Blocks = Iterator[Block]


class ElementIterator:
    """Reads a data set element by element."""

    def __init__(self, dataset: Dataset) -> None:
        self._elements = (e for block in dataset.blocks() for e in block.elements())

    def __iter__(self) -> ElementIterator:
        return self

    def __next__(self) -> Any:
        return next(self._elements)

    def get_next(self) -> Any:
        """The next element; OutOfRangeError behind the last."""
        try:
            return next(self._elements)
        except StopIteration:
            raise OutOfRangeError("End of sequence") from None


class Dataset:
    """Elements that are arrays, or tuples and dicts of arrays, read by `for element in dataset`.

    Each method gives a new data set, and nothing is computed before it is read. The leaves of
    elements are Tensors: arrays that can't be changed, with `.numpy()`.

    `len(dataset)` is the number of elements; TypeError where there is no end or it isn't known, as
    `cardinality()` says.
    """

    def __init__(
        self,
        blocks: Callable[[], Blocks],
        cardinality: int,
        element_spec: Callable[[], Any],
    ) -> None:
        """blocks: the elements, from the first on, at every call."""
        self.blocks = blocks
        self._cardinality = cardinality
        self._spec = element_spec

    # Reading

    def __iter__(self) -> ElementIterator:
        return ElementIterator(self)

    def make_one_shot_iterator(self) -> ElementIterator:
        """An iterator with TensorFlow 1's `get_next()`, which gives the next element at once."""
        return ElementIterator(self)

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements with NumPy arrays, copies, in place of Tensors."""
        return (change(element, Tensor.numpy) for element in self)

    def stacks(self) -> Iterator[Any]:
        """The elements, many at a time: in the same structure, arrays with an axis more in front.

        Of a data set of batches these are arrays (k, batch, …), as `Function.sweep` takes them.
        Elements whose shape differs from those before them begin a new stack.
        """
        for block in self.blocks():
            if block.is_ragged:
                for element in block.elements():
                    yield change(element, lambda leaf: np.asarray(leaf)[None])
            elif len(block):
                yield pack(block.form, block.arrays())

    def __len__(self) -> int:
        if self._cardinality == INFINITE_CARDINALITY:
            raise TypeError("the data set has no end, so it has no length")
        if self._cardinality == UNKNOWN_CARDINALITY:
            raise TypeError("the length of the data set isn't known before it is read")
        return self._cardinality

    def __bool__(self) -> bool:
        return True

    def cardinality(self) -> Tensor:
        """The number of elements, INFINITE_CARDINALITY (-1) or UNKNOWN_CARDINALITY (-2)."""
        return tensor(np.int64(self._cardinality))

    @property
    def element_spec(self) -> Any:
        """The shapes and dtypes of an element's parts, as `TensorSpec`s.

        Those of `map` are found by calling its function for the first element.
        """
        return self._spec()

    def __repr__(self) -> str:
        ends = {
            INFINITE_CARDINALITY: "no end",
            UNKNOWN_CARDINALITY: "an unknown number of elements",
        }
        count = ends.get(self._cardinality, f"{self._cardinality} elements")
        return f"<{type(self).__name__} of {count}>"

    # Sources

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """A row of each array as an element. Arrays are kept as they are, not copied."""
        nest = _arrays(tensors)
        columns = list(leaves(nest))
        if not columns or any(not c.ndim for c in columns):
            raise ArgumentError("from_tensor_slices needs arrays with rows, not scalars")
        if len({len(c) for c in columns}) > 1:
            lengths = ", ".join(str(len(c)) for c in columns)
            raise ArgumentError(
                f"from_tensor_slices needs as many rows of each array, not {lengths}"
            )
        return _of_columns(nest, columns)

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """One element: these arrays."""
        nest = _arrays(tensors)
        return _of_columns(nest, [leaf[None] for leaf in leaves(nest)])

    @staticmethod
    def range(*bounds: Any, output_type: Any = "int64", name: str | None = None) -> Dataset:
        """Numbers as Python's range gives them."""
        numbers = np.arange(*(int(b) for b in bounds), dtype=dtype_of(output_type))
        return _of_columns(0, [numbers])

    @staticmethod
    def from_generator(
        generator: Callable[..., Iterable[Any]],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """The elements that `generator(*args)` gives.

        output_signature: a `TensorSpec` for each part; or output_types (dtypes), and output_shapes.
        Raises TypeError and ValueError, when it is read, for an element that isn't so.
        """
        spec = output_signature
        if spec is None:
            if output_types is None:
                raise ArgumentError("from_generator needs output_signature or output_types")
            spec = change(output_types, lambda kind: TensorSpec(None, dtype_of(kind)))
            if output_shapes is not None:
                shapes = iter(_shapes(output_types, output_shapes))
                spec = change(spec, lambda leaf: leaf._replace(shape=next(shapes)))

        def blocks() -> Blocks:
            for element in generator(*args):
                yield _conforming(element, spec)

        return Dataset(blocks, UNKNOWN_CARDINALITY, lambda: spec)

    @staticmethod
    def zip(*datasets: Any, name: str | None = None) -> Dataset:
        """Elements whose parts are those of several data sets, `zip(a, b)` or `zip((a, b))`.

        There are as many as the shortest has.
        """
        form = datasets[0] if len(datasets) == 1 else tuple(datasets)
        parts: list[Dataset] = list(leaves(form))
        for part in parts:
            _check_dataset(part)
        ends = [p._cardinality for p in parts if p._cardinality != INFINITE_CARDINALITY]
        return Dataset(
            lambda: steps.zipped(form, [p.blocks() for p in parts]),
            min(ends, default=INFINITE_CARDINALITY),
            lambda: pack(form, [p.element_spec for p in parts]),
        )

    # Steps

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """`map_func` of each element; a tuple's parts are its arguments.

        It is called for whole arrays of elements at once where all that it does can be, and for
        each element otherwise; the results are the same. num_parallel_calls and deterministic are
        accepted; the order is always that of the elements.
        """
        mapped = Mapped(map_func)

        def spec() -> Any:
            first = steps.first_element(self.blocks())
            if first is None:
                raise ArgumentError("what map gives isn't known, since there is no element")
            return mapped.spec(next(first.elements()), self.element_spec)

        blocks = lambda: (made for _, made in mapped.blocks(self.blocks()))  # noqa: E731
        return Dataset(blocks, self._cardinality, spec)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements of which the predicate is true."""
        mapped = Mapped(predicate)
        has_end = self._cardinality != INFINITE_CARDINALITY
        return self._same_elements(
            lambda: filtered(self.blocks(), mapped),
            UNKNOWN_CARDINALITY if has_end else INFINITE_CARDINALITY,
        )

    def flat_map(self, map_func: Callable[..., Dataset], name: str | None = None) -> Dataset:
        """The elements of the data sets that `map_func` gives, one set after the other."""

        def sets() -> Iterator[Dataset]:
            for e in self:
                made = map_func(*e) if type(e) is tuple else map_func(e)
                _check_dataset(made)
                yield made

        def spec() -> Any:
            for made in sets():
                return made.element_spec
            raise ArgumentError("what flat_map gives isn't known, since there is no element")

        return Dataset(lambda: (b for s in sets() for b in s.blocks()), UNKNOWN_CARDINALITY, spec)

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """Keeps the elements in memory from the first complete pass on."""
        if filename:
            raise ArgumentError("cache keeps elements in memory; a file name isn't supported")
        return self._same_elements(steps.Cache(self.blocks), self._cardinality)

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
        name: str | None = None,
    ) -> Dataset:
        """Each element is drawn from the next `buffer_size`; all orders are equally likely where
        these are all elements.

        seed: the orders are the same in every run; without it they come from `numpy.random`.
        reshuffle_each_iteration: each pass has another order, also each of `repeat`.
        """
        size = integer(buffer_size, "buffer_size", 1)
        again = True if reshuffle_each_iteration is None else reshuffle_each_iteration
        seeds = _seeds(seed, flag(again, "reshuffle_each_iteration"))

        def blocks() -> Blocks:
            return steps.shuffled(self.blocks(), size, np.random.default_rng(next(seeds)))

        return self._same_elements(blocks, self._cardinality)

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """The elements `count` times; without end for None and -1."""
        times = -1 if count is None else integer(count, "count", -1)
        known = self._cardinality
        if times < 0:
            known = INFINITE_CARDINALITY if known else 0
        elif times == 0 or known >= 0:
            known = times * max(known, 0)
        return self._same_elements(lambda: steps.repeated(self.blocks, times), known)

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """Each `batch_size` elements as one, along a new first axis.

        drop_remainder: the last elements are left out if they are fewer.
        """
        size = integer(batch_size, "batch_size", 1)
        drop = flag(drop_remainder, "drop_remainder")
        known = self._cardinality
        if known >= 0:
            known = known // size if drop else -(-known // size)

        def spec() -> Any:
            length = size if drop else None
            return change(self.element_spec, lambda s: _with_length(s, length))

        return Dataset(lambda: steps.batched(self.blocks(), size, drop), known, spec)

    def unbatch(self, name: str | None = None) -> Dataset:
        """The rows of each element as elements."""

        def spec() -> Any:
            return change(self.element_spec, lambda s: s._replace(shape=s.shape and s.shape[1:]))

        known = self._cardinality
        return Dataset(
            lambda: steps.unbatched(self.blocks()),
            known if known in (0, INFINITE_CARDINALITY) else UNKNOWN_CARDINALITY,
            spec,
        )

    def take(self, count: int, name: str | None = None) -> Dataset:
        """The first `count` elements; all for -1."""
        first, known = integer(count, "count", -1), self._cardinality
        if first >= 0 and known != UNKNOWN_CARDINALITY:
            known = first if known == INFINITE_CARDINALITY else min(first, known)
        elif first == 0:
            known = 0
        return self._same_elements(lambda: steps.taken(self.blocks, first), known)

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """The elements behind the first `count`; none for -1."""
        first, known = integer(count, "count", -1), self._cardinality
        if first < 0:
            known = 0
        elif known >= 0:
            known = max(0, known - first)
        return self._same_elements(lambda: steps.skipped(self.blocks(), first), known)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Every `num_shards`-th element, from number `index` on."""
        step, first = integer(num_shards, "num_shards", 1), integer(index, "index", 0)
        if first >= step:
            raise ArgumentError(f"index is {first}; of {step} shards it can be 0..{step - 1}")
        known = self._cardinality
        known = known if known < 0 else max(0, -(-(known - first) // step))
        return self._same_elements(lambda: steps.every(self.blocks(), step, first), known)

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """The elements of this data set, then those of another."""
        _check_dataset(dataset)
        both = (self._cardinality, dataset._cardinality)
        known = sum(both) if min(both) >= 0 else UNKNOWN_CARDINALITY
        if INFINITE_CARDINALITY in both:
            known = INFINITE_CARDINALITY
        return Dataset(
            lambda: (block for part in (self, dataset) for block in part.blocks()),
            known,
            lambda: common(self.element_spec, dataset.element_spec),
        )

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Pairs (number, element), from `start` on."""
        first = integer(start, "start")
        return Dataset(
            lambda: steps.numbered(self.blocks(), first),
            self._cardinality,
            lambda: (TensorSpec((), DTYPES["int64"]), self.element_spec),
        )

    def prefetch(self, buffer_size: int = AUTOTUNE, name: str | None = None) -> Dataset:
        """The same. Nothing has to be computed ahead: elements are computed in large blocks."""
        integer(buffer_size, "buffer_size", AUTOTUNE)
        return self._same_elements(self.blocks, self._cardinality)

    def apply(self, transformation_func: Callable[[Dataset], Any]) -> Any:
        """`transformation_func(dataset)`."""
        return transformation_func(self)

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any]) -> Any:
        """`state = reduce_func(state, element)` for each element; the last state."""
        state = change(initial_state, tensor)
        for element in self:
            state = change(reduce_func(state, element), tensor)
        return state

    def _same_elements(self, blocks: Callable[[], Blocks], cardinality: int) -> Dataset:
        return Dataset(blocks, cardinality, self._spec)


def _arrays(nest: Any) -> Any:
    return change(nest, lambda leaf: np.asarray(tensor(leaf)))


def _of_columns(nest: Any, columns: list[Any]) -> Dataset:
    block = block_of(change(nest, lambda leaf: None), columns)
    specs = [spec_of(column)._replace(shape=column.shape[1:]) for column in columns]
    return Dataset(lambda: iter((block,)), len(block), lambda: pack(nest, specs))


def _with_length(spec: TensorSpec, length: int | None) -> TensorSpec:
    return spec if spec.shape is None else spec._replace(shape=(length, *spec.shape))


def _shapes(types: Any, shapes: Any) -> Iterator[Any]:
    """The shape of each leaf of `types`; a shape is a tuple or list of lengths, or None."""
    if not is_nest(types):
        yield None if shapes is None else tuple(shapes)
        return
    for key in types if isinstance(types, dict) else range(len(types)):
        yield from _shapes(types[key], shapes[key])


def _conforming(element: Any, spec: Any) -> Block:
    """An element as a block; TypeError or ValueError where it isn't as the spec says."""
    parts = element if not isinstance(element, list) or not is_nest(spec) else tuple(element)
    if is_nest(spec) and change(parts, lambda _: None) != change(spec, lambda _: None):
        raise GraphTypeError(f"the generator gave {shown(element)}; its elements are to be {spec}")
    values = [parts] if not is_nest(spec) else list(leaves(parts))
    columns = []
    for value, wanted in zip(values, leaves(spec), strict=True):
        dtype = None if wanted.dtype == DTYPES["string"] else wanted.dtype
        array = np.asarray(tensor(value, dtype))
        shape = wanted.shape
        if shape is not None and (
            len(shape) != array.ndim
            or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True))
        ):
            raise ArgumentError(f"the generator gave an array of shape {array.shape}, not {shape}")
        column = np.empty((1, *array.shape), array.dtype)
        column[0] = array
        columns.append(column)
    return block_of(change(spec, lambda _: None), columns)


def _check_dataset(value: Any) -> None:
    if not isinstance(value, Dataset):
        raise GraphTypeError(f"{shown(value)} is no Dataset")


def _seeds(seed: int | None, again: bool) -> Iterator[Any]:
    """The seed of each pass's order."""
    kept = None if seed is None else np.random.SeedSequence(integer(seed, "seed", 0))
    fixed: Any = None
    while True:
        if again or fixed is None:
            drawn = np.random.randint(2**31) if kept is None else kept.spawn(1)[0]  # noqa: NPY002
            fixed = drawn
        yield fixed
