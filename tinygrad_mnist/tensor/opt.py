"""Theano's `tensor.opt`: of it, the op that programs use."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import neq
from tinygrad_mnist.ops.require import require


class Assert:
    """`Assert(msg)(value, *conds)` is `value`; a function that computes it raises ArgumentError (a
    ValueError) with the message and the line where an element of a condition is 0, before any
    shared variable changes.

    Raises GraphTypeError for a message that is no text; ArgumentError for a constant that is 0.
    """

    def __init__(self, msg: str = "a condition does not hold") -> None:
        if not isinstance(msg, str):
            raise GraphTypeError(f"the message of Assert is text, not {shown(msg)}")
        self.msg = msg

    def __call__(self, value: Any, *conds: Any) -> Variable:
        result = as_variable(value)
        for condition in conds:
            holds = as_variable(condition)
            result = require(result, holds if holds.dtype == "bool" else neq(holds, 0), self.msg)
        return result


assert_op = Assert()

__all__ = ["Assert", "assert_op"]
