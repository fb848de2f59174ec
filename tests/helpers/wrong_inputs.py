"""Public functions called with one wrong argument, and what may come of it."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

import tinygrad_mnist
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.variables import Input, Variable

PACKAGE = str(Path(tinygrad_mnist.__file__).parent)

#: By name; each is made anew, since some are variables.
WRONG: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "abc",
    "dict": lambda: {"a": 1},
    "set": lambda: {1},
    "empty dict": dict,
    "fraction": lambda: 1.5,
    "nan": lambda: float("nan"),
    "negative": lambda: -1,
    "zero": lambda: 0,
    "huge": lambda: 2**70,
    "complex": lambda: 1j,
    "true": lambda: True,
    "object": object,
    "function": lambda: len,
    "type": lambda: int,
    "bytes": lambda: b"abc",
    "empty list": list,
    "list of None": lambda: [None],
    "list of texts": lambda: ["a", "b"],
    "pair of fractions": lambda: (0.5, 1.5),
    "ragged list": lambda: [[1], [1, 2]],
    "array of objects": lambda: np.array([None, object()], dtype=object),
    "array of texts": lambda: np.array(["a"]),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "tensor5": lambda: T.tensor5("five"),
    "float scalar": lambda: T.scalar("f"),
    "list of variables": lambda: [T.vector("a"), T.matrix("b")],
    "shape unknown": lambda: T.lvector("s"),
    "bool mask": lambda: np.array([True, False]),
}


class Call(NamedTuple):
    """A call that is right: positional and keyword arguments. optional: keywords to try as well."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def replaced(call: Call, value: Callable[[], Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The call with each of its arguments, also those left out, replaced by a value."""
    for position in range(len(call.args)):
        yield (
            str(position),
            lambda p=position: call.function(
                *call.args[:p], value(), *call.args[p + 1 :], **call.kwargs
            ),
        )
    names = list(inspect.signature(call.function).parameters.values())
    for parameter in names[len(call.args) :]:
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            yield (
                parameter.name,
                lambda n=parameter.name: call.function(*call.args, **{**call.kwargs, n: value()}),
            )


def raised_on_purpose(error: BaseException) -> bool:
    """Whether a `raise` statement of the package raised an error, not Python or NumPy."""
    trace: TracebackType | None = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename
    line = linecache.getline(file, trace.tb_lineno).strip()
    return file.startswith(PACKAGE) and line.startswith("raise")


def results(value: Any) -> list[Variable]:
    """The variables among the results of a call."""
    if isinstance(value, Variable):
        return [value]
    if isinstance(value, list | tuple):
        return [v for item in value for v in results(item)]
    return []


def compute(variables: Sequence[Variable]) -> Any:
    """The values of variables, with arrays 2 long along every axis for the inputs."""
    inputs = [v for v in leaves(variables) if isinstance(v, Input)]
    values = [
        np.ones([1 if b else 2 for b in v.broadcastable], v.dtype).tolist()
        if v.ndim == 0
        else np.ones([1 if b else 2 for b in v.broadcastable], v.dtype)
        for v in inputs
    ]
    return function(inputs, list(variables))(*values)
