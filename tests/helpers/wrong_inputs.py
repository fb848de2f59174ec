"""Public functions called with one wrong argument, and what may come of it."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinygrad_mnist
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.variables import Input, Variable

PACKAGE = str(Path(tinygrad_mnist.__file__).parent)

#: What people give by mistake; each is made anew, since some are variables.
WRONG: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "abc",
    "dict": lambda: {"a": 1},
    "empty dict": dict,
    "set": lambda: {1},
    "fraction": lambda: 1.5,
    "nan": lambda: float("nan"),
    "negative": lambda: -1,
    "zero": lambda: 0,
    "beyond 64 bits": lambda: 2**70,
    "complex": lambda: 1j,
    "bool": lambda: True,
    "object": object,
    "function": lambda: len,
    "type": lambda: int,
    "bytes": lambda: b"abc",
    "empty list": list,
    "list of None": lambda: [None],
    "list of texts": lambda: ["a", "b"],
    "fractions": lambda: (0.5, 1.5),
    "ragged list": lambda: [[1], [1, 2]],
    "array of objects": lambda: np.array([None, object()], dtype=object),
    "array of texts": lambda: np.array(["a"]),
    "array of complex": lambda: np.array([1j]),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "masked in a list": lambda: [np.ma.masked, 1.0],
    "mask": lambda: np.array([True, False]),
    "five dimensions": lambda: T.tensor5("five"),
    "float variable": lambda: T.scalar("f"),
    "vector of unknown length": lambda: T.lvector("v"),
    "list of variables": lambda: [T.vector("a"), T.matrix("b")],
}


class Call(NamedTuple):
    """A call that is right."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class WrongCall(NamedTuple):
    """A call with one argument replaced. argument: its position or name."""

    call: Call
    argument: int | str
    value: Callable[[], Any]

    def run(self) -> Any:
        args, kwargs = list(self.call.args), dict(self.call.kwargs)
        if isinstance(self.argument, int):
            args[self.argument] = self.value()
        else:
            kwargs[self.argument] = self.value()
        return self.call.function(*args, **kwargs)


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    return Call(function, args, kwargs)


def wrong_calls(right: Call) -> Iterator[tuple[str, WrongCall]]:
    """The call with each of its arguments, also those left out, replaced by each wrong value."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    given = list(inspect.signature(right.function).parameters.values())
    names = [p.name for p in given[len(right.args) :] if p.kind in kinds]
    for argument in (*range(len(right.args)), *names):
        for kind, value in WRONG.items():
            yield f"{kind} as argument {argument}", WrongCall(right, argument, value)


def raised_on_purpose(error: BaseException) -> bool:
    """Whether a `raise` statement of the package raised an error, not Python or NumPy."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    line = linecache.getline(file, trace.tb_lineno).strip()
    return file.startswith(PACKAGE) and line.startswith("raise")


def variables_of(result: Any) -> list[Variable]:
    """The variables in the result of a call."""
    if isinstance(result, Variable):
        return [result]
    if isinstance(result, list | tuple):
        return [v for item in result for v in variables_of(item)]
    return []


def compute(variables: Sequence[Variable]) -> Any:
    """The values of variables, for inputs of ones that are 2 long along every axis."""
    inputs = [v for v in leaves(variables) if isinstance(v, Input)]
    arrays = [np.ones([1 if b else 2 for b in v.broadcastable], v.dtype) for v in inputs]
    return function(inputs, list(variables))(*arrays)
