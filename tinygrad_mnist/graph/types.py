"""Static types of variables, and Theano's rules for the dtype of a result.

A type has a dtype and says which dimensions broadcast. Its shape has a number for each dimension
whose length is known: all of them once a graph is specialised, few before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.sizes import fits
from tinygrad_mnist.errors import GraphTypeError, IntegerOverflowError, ShapeError
from tinygrad_mnist.graph.operators import lookup
from tinygrad_mnist.graph.values import check_name, flag, several

BOOL = "bool"
FLOATS = ("float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
DTYPES = (BOOL, *INTEGERS, *FLOATS)


_KINDS = {
    (): "scalar",
    (False,): "vector",
    (False, False): "matrix",
    (True, False): "row",
    (False, True): "col",
}


@dataclass(frozen=True, slots=True, repr=False)
class TensorType:
    """The type of a variable: `TensorType("float32", (False, True))`. Call it to make an input.

    dtype: a dtype's name, also 'floatX'. broadcastable: per dimension, whether it broadcasts.
    shape: per dimension its length, or None where it is not known yet; the engine gives it. A text
    in its place is the `name` of the type, as in Theano. Raises GraphTypeError for an unknown dtype
    or flags that are none.

    A dimension that broadcasts has length 1. The reverse does not hold: as in Theano, a dimension
    of length 1 does not broadcast unless its type says so. Types are equal if their dtypes and
    their broadcastable dimensions are, whatever is known of their lengths.
    """

    dtype: str
    broadcastable: tuple[bool, ...]
    shape: tuple[int | None, ...] = field(default=None, compare=False)  # type: ignore[arg-type]
    name: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if type(self.shape) is tuple:
            return
        flags = several(self.broadcastable, "broadcastable", "bools")
        pattern = tuple(flag(b, "a value in broadcastable") for b in flags)
        name = self.name if self.shape is None else self.shape
        check_name(name, "the name of a type")
        object.__setattr__(self, "dtype", check_dtype(self.dtype))
        object.__setattr__(self, "broadcastable", pattern)
        object.__setattr__(self, "shape", tuple(1 if b else None for b in pattern))
        object.__setattr__(self, "name", name)

    def __call__(self, name: str | None = None) -> Any:
        """A new input of this type."""
        return lookup("input")(self, name)

    def make_variable(self, name: str | None = None) -> Any:
        """A new input of this type, as `type(name)`."""
        return self(name)

    def clone(
        self, dtype: str | None = None, broadcastable: Sequence[bool] | None = None
    ) -> TensorType:
        """The type with another dtype, or with other dimensions."""
        return tensor_type(
            self.dtype if dtype is None else dtype,
            self.broadcastable if broadcastable is None else broadcastable,
        )

    def filter(
        self, data: Any, strict: bool = False, allow_downcast: bool | None = None
    ) -> np.ndarray[Any, Any]:
        """`data` as an array of this type; the options are those of `shared`. Raises GraphTypeError
        for what a variable of this type doesn't take."""
        array: Any = lookup("storable")(data, self, f"a {self}", strict, allow_downcast)
        return np.asarray(array, self.dtype)

    def is_valid_value(self, data: Any) -> bool:
        """Whether `data` is an array of this type already."""
        try:
            self.filter(data, strict=True)
        except GraphTypeError:
            return False
        return True

    @property
    def __name__(self) -> str:
        return self.name or str(self)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype as NumPy's object."""
        return np.dtype(self.dtype)

    @property
    def ndim(self) -> int:
        return len(self.broadcastable)

    @property
    def is_open(self) -> bool:
        """Whether no length is known but those of dimensions that broadcast."""
        pairs = zip(self.shape, self.broadcastable, strict=True)
        return all(n == (1 if b else None) for n, b in pairs)

    @property
    def is_static(self) -> bool:
        """Whether every dimension's length is known."""
        return None not in self.shape

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape of a static type; TypeError for any other."""
        shape = tuple(n for n in self.shape if n is not None)
        if len(shape) != self.ndim:
            raise TypeError(f"the shape of {self} is not known before a function is called")
        return shape

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    @property
    def is_discrete(self) -> bool:
        return self.dtype not in FLOATS

    def with_dtype(self, dtype: str) -> TensorType:
        return TensorType(dtype, self.broadcastable, self.shape)

    def __repr__(self) -> str:
        """As Theano has it: `TensorType(float32, matrix)`, of more dimensions `(float32, 3D)`."""
        kind = _KINDS.get(self.broadcastable)
        if kind is None:
            kind = str(self.broadcastable) if any(self.broadcastable) else f"{self.ndim}D"
        return f"TensorType({self.dtype}, {kind})"

    def __str__(self) -> str:
        if any(n is not None for n in self.shape):
            dims = ", ".join("?" if n is None else str(n) for n in self.shape)
            return f"{self.dtype}({dims})"
        return f"{self.dtype} {_KINDS.get(self.broadcastable, f'tensor{self.ndim}')}"


def tensor_type(dtype: str, broadcastable: Iterable[bool]) -> TensorType:
    """A type whose lengths are not known, except those of broadcastable dimensions."""
    pattern = tuple(bool(b) for b in broadcastable)
    return TensorType(check_dtype(dtype), pattern, tuple(1 if b else None for b in pattern))


def static_type(dtype: str, shape: Iterable[int], broadcastable: Iterable[bool]) -> TensorType:
    """A type whose shape is known."""
    return TensorType(dtype, tuple(broadcastable), tuple(int(n) for n in shape))


def check_size(type: TensorType) -> None:
    """Raises ShapeError for a type whose size in bytes, or whose strides, pass the limit."""
    if type.is_static and not fits(type.static_shape, np.dtype(type.dtype).itemsize):
        raise ShapeError(
            f"an array of shape {type.static_shape} of {type.dtype} has 2**63 bytes or more"
        )


def check_dtype(dtype: object) -> str:
    """The name of a dtype that the engine has, for 'floatX' the configured one; GraphTypeError
    otherwise."""
    if isinstance(dtype, str):
        if dtype in DTYPES:
            return dtype
        if dtype == "floatX":
            return config.floatX
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except (TypeError, ValueError):
        name = str(dtype)
    if name not in DTYPES:
        why = ": complex numbers are not supported" if name.startswith("complex") else ""
        raise GraphTypeError(f"there is no dtype {name!r} here{why}; there are {', '.join(DTYPES)}")
    return str(name)


@cache
def upcast(*dtypes: str) -> str:
    """The dtype that holds values of all these: NumPy's promotion between arrays, so that
    int32 with float32 is float64, as in Theano."""
    result = np.dtype(dtypes[0])
    for dtype in dtypes[1:]:
        result = np.promote_types(result, dtype)
    return check_dtype(result)


def smallest_integer(value: int) -> str:
    """The narrowest signed integer dtype that holds a Python int."""
    for dtype in ("int8", "int16", "int32", "int64"):
        info = np.iinfo(dtype)
        if info.min <= value <= info.max:
            return dtype
    raise IntegerOverflowError(f"{value} does not fit in int64")


def compute_dtype(dtype: str) -> str:
    """The dtype in which values of `dtype` are computed and accumulated: a float's own, int64 for
    integers and bool."""
    return dtype if dtype in FLOATS else "int64"
