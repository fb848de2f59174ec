"""An ONNX graph while it is made, as plain data: calls of operators, and arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.types import FLOATS

Attribute = int | float | str | Sequence[int]


class Value(NamedTuple):
    """A value in the graph: its name and dtype. array: its elements where they are constant."""

    name: str
    dtype: str
    array: Array | None = None


class Call(NamedTuple):
    """An operator applied to values, by their names."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass
class Graph:
    """Calls in order, and the constant arrays by name."""

    calls: list[Call] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _constants: dict[tuple[str, tuple[int, ...], bytes], Value] = field(default_factory=dict)

    def name(self, wanted: str) -> str:
        """`wanted`, or that with a number behind it where it is taken."""
        name, n = wanted, 1
        while name in self._names:
            n += 1
            name = f"{wanted}_{n}"
        self._names.add(name)
        return name

    def constant(self, array: Any, dtype: str, name: str | None = None) -> Value:
        """A constant; unless it has a name of its own, equal ones are one."""
        value = np.asarray(array, dtype)
        if name is not None:
            return self._store(value, name)
        key = (dtype, value.shape, value.tobytes())
        if key not in self._constants:
            self._constants[key] = self._store(value, "constant")
        return self._constants[key]

    def _store(self, array: Array, name: str) -> Value:
        value = Value(self.name(name), array.dtype.name, array)
        self.arrays[value.name] = array
        return value

    def call(
        self, operator: str, *inputs: Value, dtype: str | None = None, **attributes: Any
    ) -> Value:
        """Applies an operator with one result. dtype: of the result, by default that of the first
        input."""
        (result,) = self.calls_of(operator, inputs, 1, dtype, **attributes)
        return result

    def calls_of(
        self,
        operator: str,
        inputs: Iterable[Value],
        n_results: int,
        dtype: str | None = None,
        **attributes: Any,
    ) -> list[Value]:
        """Applies an operator with several results of one dtype."""
        given = tuple(inputs)
        results = [
            Value(self.name(operator.lower()), dtype or given[0].dtype) for _ in range(n_results)
        ]
        names = tuple(v.name for v in given), tuple(v.name for v in results)
        self.calls.append(Call(operator, *names, attributes))
        return results

    # --- what many rules need ---------------------------------------------------------------------

    def cast(self, x: Value, dtype: str) -> Value:
        """`x` in another dtype, as the engine converts: a float becomes an integer by way of int64,
        which wraps around in a narrower one."""
        if x.dtype == dtype:
            return x
        if x.dtype in FLOATS and dtype not in (*FLOATS, "bool", "int64"):
            x = self.cast(x, "int64")
        if x.array is not None:
            return self.constant(x.array.astype(dtype), dtype)
        return self.call("Cast", x, dtype=dtype, to=dtype)

    def number(self, number: float, like: Value) -> Value:
        """A number in the dtype of `like`."""
        return self.constant(number, like.dtype)

    def integers(self, numbers: Sequence[int]) -> Value:
        """A constant vector of int64, such as a list of axes."""
        return self.constant(list(numbers), "int64")

    def shape(self, x: Value) -> Value:
        return self.call("Shape", x, dtype="int64")

    def reshape(self, x: Value, lengths: Sequence[int]) -> Value:
        return self.call("Reshape", x, self.integers(lengths))

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """`x` with its axes in another order."""
        if list(order) == list(range(len(order))):
            return x
        return self.call("Transpose", x, perm=tuple(order))

    def unsqueeze(self, x: Value, axes: Sequence[int]) -> Value:
        """`x` with axes of length 1, whose positions in the result are `axes`."""
        return self.call("Unsqueeze", x, self.integers(axes)) if axes else x

    def squeeze(self, x: Value, axes: Sequence[int]) -> Value:
        """`x` without some axes, which have length 1."""
        return self.call("Squeeze", x, self.integers(axes)) if axes else x

    def used(self, outputs: Iterable[str]) -> Graph:
        """The part of the graph that the values `outputs` depend on."""
        wanted = set(outputs)
        calls = []
        for call in reversed(self.calls):
            if not wanted.isdisjoint(call.outputs):
                wanted.update(call.inputs)
                calls.append(call)
        arrays = {name: array for name, array in self.arrays.items() if name in wanted}
        return Graph(calls[::-1], arrays, self._names)
