"""`keras.regularizers`: penalties on weights, which are added to the cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.identifiers import find
from tinygrad_mnist.keras.tensors import of_arrays
from tinygrad_mnist.optimizers.base import not_negative


class Regularizer:
    """A penalty: `regularizer(w)` is a scalar."""

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has to define __call__(x)")

    def get_config(self) -> dict[str, Any]:
        """The arguments with which the regularizer was made."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """A regularizer made with these arguments."""
        return cls(**config)


class L1L2(Regularizer):
    """l1 * sum(|w|) + l2 * sum(w^2); numbers that are 0 or more."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = not_negative(0.0 if l1 is None else l1, "l1")
        self.l2 = not_negative(0.0 if l2 is None else l2, "l2")

    @of_arrays
    def __call__(self, x: Any) -> Variable:
        w = T.as_tensor_variable(x)
        terms = [self.l1 * T.sum(abs(w))] if self.l1 else []
        terms += [self.l2 * T.sum(T.sqr(w))] if self.l2 else []
        return T.cast(sum(terms) if terms else T.as_tensor_variable(0.0), w.dtype)


class L1(L1L2):
    """l1 * sum(|w|)."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 * sum(w^2)."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


_TABLE = {"l1": L1, "l2": L2, "l1_l2": L1L2}


def get(identifier: Any) -> Callable[[Any], Any] | None:
    """A regularizer: as it is; by its name; of a dict of "class_name" and "config"; any callable of
    a weight; None for None. Raises TypeError and ValueError, which list the names."""
    if isinstance(identifier, type) and issubclass(identifier, Regularizer):
        return identifier()
    if identifier is None or callable(identifier):
        return identifier  # type: ignore[no-any-return]
    found = find(identifier, _TABLE, "regularizer")
    return found() if isinstance(found, type) else found  # type: ignore[no-any-return]


l1, l2, l1_l2 = L1, L2, L1L2
