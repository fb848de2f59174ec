"""`shared`: variables that keep their value from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.storage import aligned_copy
from tinygrad_mnist.graph.types import check_dtype, tensor_type
from tinygrad_mnist.graph.values import check_name, flag, plain_array, several
from tinygrad_mnist.graph.variables import Variable


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Sequence[bool] | None = None,
    target: str | None = None,
) -> SharedVariable:
    """A variable with a value that functions read and, by `updates`, change.

    value: an array, a number or a nested list; its dtype stays. It is copied even with
    `borrow=True`, so that shared variables never alias other arrays. broadcastable: which
    dimensions broadcast (they must have length 1); none by default, as in Theano. strict: accept
    only arrays and NumPy scalars, here, and only of this dtype in `set_value`. allow_downcast: True
    lets `set_value` round any value to this dtype. target: has no effect, since functions decide
    where they keep a value.

    Raises TypeError for a value that is not an array of a known dtype.
    """
    if isinstance(value, Variable):
        raise GraphTypeError("the value of a shared variable can't be symbolic; use .eval()")
    if strict and not isinstance(value, np.ndarray | np.generic):
        raise GraphTypeError(f"strict: the value is a {type(value).__name__}, not an array")
    check_name(name)
    given = plain_array(value, "the value of a shared variable")
    dtype = check_dtype(given.dtype)
    array = aligned_copy(given, dtype)  # in this machine's byte order
    pattern = (False,) * array.ndim
    if broadcastable is not None:
        flags = several(broadcastable, "broadcastable", "bools")
        pattern = tuple(flag(b, "a value in broadcastable") for b in flags)
    if len(pattern) != array.ndim or any(
        b and n != 1 for b, n in zip(pattern, array.shape, strict=False)
    ):
        raise GraphTypeError(f"broadcastable={pattern} doesn't fit a value of {array.shape}")
    variable = SharedVariable(array, tensor_type(dtype, pattern), name)
    variable.strict, variable.allow_downcast = strict, allow_downcast
    return variable
