"""`Print`, which shows values while a function runs, and graphs as text in other forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.shown import PRINT
from tinygrad_mnist.printing.infix import pp
from tinygrad_mnist.printing.tree import debugprint

pprint = pp


class Print:
    """`Print("w")(x)` is `x`, and prints `w __str__ = ...` whenever a function computes it.

    message: what each line begins with. attrs: attributes of the array, or methods without
    arguments, a line for each: `("shape", "mean")`. global_fn: called in place of printing, with
    this object and the array.

    The host prints, on standard output. A value that no result needs is not printed, nor is one
    that is computed more than once printed again. Gradients pass through, and are not printed.
    """

    def __init__(
        self,
        message: str = "",
        attrs: Sequence[str] = ("__str__",),
        global_fn: Callable[[Print, Array], object] | None = None,
    ) -> None:
        self.message = message
        self.attrs = tuple(attrs)
        self.global_fn = global_fn

    def __call__(self, x: Any) -> Variable:
        return PRINT(as_variable(x), show=self._show)

    def _show(self, array: Array) -> None:
        if self.global_fn is not None:
            self.global_fn(self, array)
            return
        for name in self.attrs:
            value = getattr(array, name)
            print(self.message, name, "=", value() if callable(value) else value)


def min_informative_str(obj: Variable, indent_level: int = 0) -> str:
    """The graph of a variable as `debugprint` writes it. indent_level: tabs before every line."""
    lines = (debugprint(obj, file="str") or "").splitlines()
    return "\n".join("\t" * indent_level + line for line in lines)


__all__ = ["Print", "min_informative_str", "pprint"]
