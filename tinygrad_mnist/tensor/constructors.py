"""Constructors of inputs: `matrix('x')` in floatX, `ivector('y')` in int32, `matrices('x', 'y')`.

Prefixes give the dtype: b int8, w int16, i int32, l int64, f float32, d float64; uint8 and bool
have none: `matrix('x', dtype='uint8')`. With a prefix a constructor is the type itself:
`fmatrix == fmatrix('x').type`. Plurals take names, also as one text with a letter each, or a number
for inputs without names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.values import is_integer, several
from tinygrad_mnist.graph.variables import Input, new_input

_F = TypeVar("_F", bound=Any)
_PREFIXES = {
    "b": "int8",
    "w": "int16",
    "i": "int32",
    "l": "int64",
    "f": "float32",
    "d": "float64",
}
_KINDS: dict[str, tuple[bool, ...]] = {
    "scalar": (),
    "vector": (False,),
    "matrix": (False,) * 2,
    "row": (True, False),
    "col": (False, True),
    "tensor3": (False,) * 3,
    "tensor4": (False,) * 4,
    "tensor5": (False,) * 5,
    "tensor6": (False,) * 6,
    "tensor7": (False,) * 7,
}


class Constructor(Protocol):
    """Makes an input of a kind, such as matrix; a `dtype` of None is floatX."""

    __name__: str

    def __call__(self, name: str | None = None, dtype: str | None = None) -> Input: ...


class Plural(Protocol):
    """Makes inputs of a kind: one for each name, or as many as the given number."""

    __name__: str

    def __call__(self, *names: Any, dtype: str | None = None) -> list[Input]: ...


class TypedPlural(Protocol):
    """Makes inputs of a kind and a dtype: one for each name, or as many as the given number."""

    __name__: str

    def __call__(self, *names: Any) -> list[Input]: ...


def tensor(dtype: str, broadcastable: Sequence[bool], name: str | None = None) -> Input:
    """An input with the given dtype; `broadcastable` has a flag per dimension."""
    pattern = tuple(several(broadcastable, "broadcastable", "bools"))
    return new_input(TensorType(dtype, pattern), name)


def _named(function: _F, name: str, doc: str | None) -> _F:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _kind(name: str, doc: str) -> Constructor:
    broadcastable = _KINDS[name]

    def make(name: str | None = None, dtype: str | None = None) -> Input:
        return tensor("floatX" if dtype is None else dtype, broadcastable, name)

    return _named(make, name, doc)


def _plural(one: Constructor, name: str) -> Plural:
    def make(*names: Any, dtype: str | None = None) -> list[Input]:
        return [one(each, dtype) for each in _wanted(name, names)]

    return _named(make, name, f"`{one.__name__}` for each name, or as many as the given number.")


def _typed(one: Constructor) -> tuple[TensorType, ...]:
    kind = one.__name__
    return tuple(
        TensorType(dtype, _KINDS[kind], name=prefix + kind) for prefix, dtype in _PREFIXES.items()
    )


def _typed_plurals(many: Plural) -> tuple[TypedPlural, ...]:
    def of(dtype: str) -> TypedPlural:
        return lambda *names: many(*names, dtype=dtype)

    return tuple(
        _named(of(dtype), prefix + many.__name__, f"`{many.__name__}` of {dtype}.")
        for prefix, dtype in _PREFIXES.items()
    )


def _wanted(plural: str, given: tuple[Any, ...]) -> Sequence[str | None]:
    """The names of the inputs to make; None for those without."""
    names: Sequence[Any] = given
    if len(given) == 1:
        (only,) = given
        if is_integer(only) and only > 0:
            return [None] * int(only)
        if isinstance(only, str | list | tuple):
            names = only
    if not names or not all(isinstance(name, str) for name in names):
        raise GraphTypeError(f"{plural} takes names, or one positive number; not {given}")
    return list(names)


scalar = _kind("scalar", "An input without dimensions.")
vector = _kind("vector", "An input with one dimension.")
matrix = _kind("matrix", "An input with two dimensions.")
row = _kind("row", "A matrix input with one row, which broadcasts.")
col = _kind("col", "A matrix input with one column, which broadcasts.")
tensor3 = _kind("tensor3", "An input with three dimensions.")
tensor4 = _kind("tensor4", "An input with four dimensions.")
tensor5 = _kind("tensor5", "An input with five dimensions.")
tensor6 = _kind("tensor6", "An input with six dimensions.")
tensor7 = _kind("tensor7", "An input with seven dimensions.")

scalars = _plural(scalar, "scalars")
vectors = _plural(vector, "vectors")
matrices = _plural(matrix, "matrices")
rows = _plural(row, "rows")
cols = _plural(col, "cols")
tensor3s = _plural(tensor3, "tensor3s")
tensor4s = _plural(tensor4, "tensor4s")
tensor5s = _plural(tensor5, "tensor5s")
tensor6s = _plural(tensor6, "tensor6s")
tensor7s = _plural(tensor7, "tensor7s")

bscalar, wscalar, iscalar, lscalar, fscalar, dscalar = _typed(scalar)
bvector, wvector, ivector, lvector, fvector, dvector = _typed(vector)
bmatrix, wmatrix, imatrix, lmatrix, fmatrix, dmatrix = _typed(matrix)
brow, wrow, irow, lrow, frow, drow = _typed(row)
bcol, wcol, icol, lcol, fcol, dcol = _typed(col)
btensor3, wtensor3, itensor3, ltensor3, ftensor3, dtensor3 = _typed(tensor3)
btensor4, wtensor4, itensor4, ltensor4, ftensor4, dtensor4 = _typed(tensor4)
btensor5, wtensor5, itensor5, ltensor5, ftensor5, dtensor5 = _typed(tensor5)
btensor6, wtensor6, itensor6, ltensor6, ftensor6, dtensor6 = _typed(tensor6)
btensor7, wtensor7, itensor7, ltensor7, ftensor7, dtensor7 = _typed(tensor7)

bscalars, wscalars, iscalars, lscalars, fscalars, dscalars = _typed_plurals(scalars)
bvectors, wvectors, ivectors, lvectors, fvectors, dvectors = _typed_plurals(vectors)
bmatrices, wmatrices, imatrices, lmatrices, fmatrices, dmatrices = _typed_plurals(matrices)
brows, wrows, irows, lrows, frows, drows = _typed_plurals(rows)
bcols, wcols, icols, lcols, fcols, dcols = _typed_plurals(cols)
btensor3s, wtensor3s, itensor3s, ltensor3s, ftensor3s, dtensor3s = _typed_plurals(tensor3s)
btensor4s, wtensor4s, itensor4s, ltensor4s, ftensor4s, dtensor4s = _typed_plurals(tensor4s)
btensor5s, wtensor5s, itensor5s, ltensor5s, ftensor5s, dtensor5s = _typed_plurals(tensor5s)
btensor6s, wtensor6s, itensor6s, ltensor6s, ftensor6s, dtensor6s = _typed_plurals(tensor6s)
btensor7s, wtensor7s, itensor7s, ltensor7s, ftensor7s, dtensor7s = _typed_plurals(tensor7s)

# fmt: off
__all__ = [  # noqa: RUF022 - a row per kind
    "tensor",
    "scalar", "bscalar", "wscalar", "iscalar", "lscalar", "fscalar", "dscalar",
    "scalars", "bscalars", "wscalars", "iscalars", "lscalars", "fscalars", "dscalars",
    "vector", "bvector", "wvector", "ivector", "lvector", "fvector", "dvector",
    "vectors", "bvectors", "wvectors", "ivectors", "lvectors", "fvectors", "dvectors",
    "matrix", "bmatrix", "wmatrix", "imatrix", "lmatrix", "fmatrix", "dmatrix",
    "matrices", "bmatrices", "wmatrices", "imatrices", "lmatrices", "fmatrices", "dmatrices",
    "row", "brow", "wrow", "irow", "lrow", "frow", "drow",
    "rows", "brows", "wrows", "irows", "lrows", "frows", "drows",
    "col", "bcol", "wcol", "icol", "lcol", "fcol", "dcol",
    "cols", "bcols", "wcols", "icols", "lcols", "fcols", "dcols",
    "tensor3", "btensor3", "wtensor3", "itensor3", "ltensor3", "ftensor3", "dtensor3",
    "tensor3s", "btensor3s", "wtensor3s", "itensor3s", "ltensor3s", "ftensor3s", "dtensor3s",
    "tensor4", "btensor4", "wtensor4", "itensor4", "ltensor4", "ftensor4", "dtensor4",
    "tensor4s", "btensor4s", "wtensor4s", "itensor4s", "ltensor4s", "ftensor4s", "dtensor4s",
    "tensor5", "btensor5", "wtensor5", "itensor5", "ltensor5", "ftensor5", "dtensor5",
    "tensor5s", "btensor5s", "wtensor5s", "itensor5s", "ltensor5s", "ftensor5s", "dtensor5s",
    "tensor6", "btensor6", "wtensor6", "itensor6", "ltensor6", "ftensor6", "dtensor6",
    "tensor6s", "btensor6s", "wtensor6s", "itensor6s", "ltensor6s", "ftensor6s", "dtensor6s",
    "tensor7", "btensor7", "wtensor7", "itensor7", "ltensor7", "ftensor7", "dtensor7",
    "tensor7s", "btensor7s", "wtensor7s", "itensor7s", "ltensor7s", "ftensor7s", "dtensor7s",
]
# fmt: on
