"""Theano's names of the classes of variables and ops, for `isinstance`."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.variables import Constant, Op, Variable

TensorVariable = Variable
TensorConstant = Constant
TensorSharedVariable = SharedVariable


class _ElementwiseOps(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Op) and instance.tape_op is not None


class Elemwise(metaclass=_ElementwiseOps):
    """The elementwise ops: `isinstance(y.owner.op, Elemwise)`. It makes none."""


__all__ = ["Elemwise", "TensorConstant", "TensorSharedVariable", "TensorVariable"]
