"""What Python and NumPy do with a variable: truth, iteration, conversion, NumPy's functions.

`np.exp(x)`, `np_array + x` and `np.sum(x)` are symbolic, as `T.exp(x)`, `np_array + x` and
`T.sum(x)` are. A function that has no counterpart is a TypeError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from tinygrad_mnist.graph.api import is_registered, lookup

_NO_NUMBER = (
    "a symbolic variable is no number before a function computes it: x.eval({inputs: values}) "
    "computes its value"
)

# NumPy's names of functions that are called differently here.
_OTHER_NAMES = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "around": "round",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "conjugate": "identity",
    "degrees": "rad2deg",
    "divide": "true_div",
    "equal": "eq",
    "floor_divide": "int_div",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "matmul": "dot",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "neq",
    "positive": "identity",
    "power": "pow",
    "radians": "deg2rad",
    "ravel": "flatten",
    "reciprocal": "inv",
    "remainder": "mod",
    "rint": "round",
    "sign": "sgn",
    "square": "sqr",
    "subtract": "sub",
    "where": "switch",
}

# Functions of NumPy, besides its ufuncs, whose first arguments are those of ours.
_FUNCTIONS = frozenset(
    {
        *("all", "amax", "amin", "any", "argmax", "argmin", "argsort", "around", "clip"),
        *("concatenate", "cumprod", "cumsum", "diagonal", "dot", "max", "mean", "min"),
        *("ones_like", "outer", "prod", "ptp", "ravel", "repeat", "reshape", "round", "shape"),
        *("sort", "squeeze", "stack", "std", "sum", "swapaxes", "take", "tensordot", "trace"),
        *("transpose", "var", "where", "zeros_like"),
    }
)
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal")
_ATTRIBUTES = ("ndim", "size")


class Protocols:
    """Python's and NumPy's protocols of a variable that `lookup` doesn't serve alone."""

    __slots__ = ()

    known_value: Any = None
    """The array of a constant; None for other variables."""

    # Comparison by == would break sets and dicts of variables; `eq` compares values, as in Theano.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __len__(self) -> int:
        raise TypeError(
            "a symbolic variable has no len(); use x.shape[0], or x.shape.eval({inputs: values}), "
            "which computes it"
        )

    def __int__(self) -> int:
        raise TypeError(f"{_NO_NUMBER}; T.cast(x, 'int64') stays symbolic")

    def __float__(self) -> float:
        raise TypeError(f"{_NO_NUMBER}; T.cast(x, 'floatX') stays symbolic")

    def __index__(self) -> int:
        raise TypeError(f"{_NO_NUMBER}; T.arange(x) and y[x] stay symbolic")

    def __iter__(self: Any) -> Iterator[Any]:
        """Its elements along the first axis, if the graph says how many there are."""
        n = self.type.shape[0] if self.ndim else None
        if n is None:
            raise TypeError(
                f"`{self}` can't be iterated over: its length is not known before a function "
                "computes it; index it: x[0], x[1], ..."
            )
        return (self[i] for i in range(n))

    # --- NumPy --------------------------------------------------------------------------------

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{_NO_NUMBER}; NumPy can't make an array of `{self}`")

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        """`np.exp(x)`, `np_array + x`: our function of that name, with the operands in order."""
        name = ufunc.__name__
        if method != "__call__":
            raise TypeError(f"np.{name}.{method} has no counterpart for symbolic variables")
        # `array += x` has the array as output; it becomes another name of the sum.
        if options or (out is not None and out[0] is not inputs[0]):
            given = ", ".join(options) or "out"
            raise TypeError(f"np.{name} of a symbolic variable takes no option {given}")
        if name in ("equal", "not_equal") and not isinstance(inputs[0], Protocols):
            return name == "not_equal"  # `array == x`: as `x == array`, whether they are the same
        result = _function(name)(*inputs)
        if name in _COMPARISONS:
            result._is_comparison = True  # `np.float64(0) < x < 1` is as `0 < x < 1`
        return result

    def __array_function__(
        self, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """`np.sum(x, axis=0)`: our function of that name, with the same arguments."""
        name = func.__name__
        if name in _ATTRIBUTES and len(args) == 1:
            return getattr(args[0], name)
        if name not in _FUNCTIONS:
            raise _no_counterpart(name)
        return _function(name)(*args, **kwargs)


def _function(name: str) -> Callable[..., Any]:
    """Our function with NumPy's name."""
    ours = _OTHER_NAMES.get(name, name)
    if not is_registered(ours):
        raise _no_counterpart(name)
    return lookup(ours)


def _no_counterpart(name: str) -> TypeError:
    return TypeError(
        f"np.{name} has no counterpart for symbolic variables: use functions of T, or compute the "
        "value first with .eval()"
    )
