"""Where variables come from: the lines of the user's program.

A node that the user makes comes from the user's present line, which is found on the stack. A node
that the engine makes, in a rewriting rule or a gradient, comes from the lines of the nodes for
which it is made: `on_behalf_of` says which these are, and no rule has to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import FrameType
from typing import Any, NamedTuple

_PACKAGE_NAME = __name__.partition(".")[0]
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Origin(NamedTuple):
    """A line of the user's program; without a file where only the layer is known.

    gradient: whether it comes from the line as part of a gradient. layer: the layer of a network
    that it belongs to, such as 'conv2 (network3 layer 1)'; empty outside of layers.
    """

    file: str
    line: int
    gradient: bool = False
    layer: str = ""

    def __str__(self) -> str:
        return self.text(self.file)

    def text(self, file: str) -> str:
        """`gradient of conv2 (network3 layer 1), train.py:14`, with `file` as the file's name."""
        parts = [self.layer, f"{file}:{self.line}" if self.file else ""]
        return ("gradient of " if self.gradient else "") + ", ".join(filter(None, parts))


Origins = tuple[Origin, ...]


def merged(*several: Origins) -> Origins:
    """The union of several, in the order in which they come first."""
    first = several[0]
    if all(origins == first for origins in several):
        return first
    return tuple(dict.fromkeys(origin for origins in several for origin in origins))


def gradients_of(origins: Origins) -> Origins:
    """The origins of a gradient with respect to what comes from `origins`."""
    return tuple(dict.fromkeys(origin._replace(gradient=True) for origin in origins))


def in_order(origins: Origins) -> Origins:
    """What is no gradient comes first, then by file and line."""
    return tuple(sorted(origins, key=lambda o: (o.gradient, o.file, o.line, o.layer)))


# --- the origin of what is made at present --------------------------------------------------------


class on_behalf_of:  # noqa: N801
    """A context in which nodes come from `origins` and not from the user's present line.

    made: the nodes that are made in it. Both may be set anew inside.
    """

    __slots__ = ("_token", "made", "origins")

    def __init__(self, origins: Origins = ()) -> None:
        self.origins = origins
        self.made: list[Any] = []

    def __enter__(self) -> on_behalf_of:
        self._token: Token[on_behalf_of | None] = _present.set(self)
        return self

    def __exit__(self, *error: object) -> None:
        _present.reset(self._token)


class _Layer(NamedTuple):
    """The layer that is being connected, from `frame` on."""

    label: str
    origin: Origin | None
    frame: FrameType


_present: ContextVar[on_behalf_of | None] = ContextVar("on_behalf_of", default=None)
_layer: ContextVar[_Layer | None] = ContextVar("layer", default=None)


@contextmanager
def in_layer(label: str, origin: Origin | None = None) -> Iterator[None]:
    """A context in which the user's lines belong to the layer `label`.

    origin: the line to name where the user's code doesn't run inside the context, such as that
    which made the layer; by default the user's line around it.
    """
    token = _layer.set(_Layer(label, origin, sys._getframe(2)))
    try:
        yield
    finally:
        _layer.reset(token)


def present_context() -> on_behalf_of | None:
    """The innermost `on_behalf_of` that is in effect."""
    return _present.get()


def user_origins() -> Origins:
    """The origin of a node that is made now and not in `on_behalf_of`: the innermost line on the
    stack that is not this package's; empty where there is neither such a line nor a layer."""
    layer = _layer.get()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if layer is not None and frame is layer.frame and layer.origin is not None:
            return (layer.origin._replace(layer=layer.label),)
        if _is_users(frame):
            origin = Origin(frame.f_code.co_filename, frame.f_lineno)
            return (origin if layer is None else origin._replace(layer=layer.label),)
        frame = frame.f_back
    return () if layer is None else (Origin("", 0, layer=layer.label),)


def _is_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    if not file.startswith("<"):
        return not file.startswith(_PACKAGE)
    # Code without a file: of `python -c`, typed in, or run by exec; or that of a generated method.
    module = str(frame.f_globals.get("__name__"))
    return not file.startswith("<frozen ") and module.partition(".")[0] != _PACKAGE_NAME


def user_source() -> Origin | None:
    """The line to name in an error of what is done now."""
    present = _present.get()
    origins = user_origins() if present is None else present.origins
    return origins[0] if origins else None


# --- errors -------------------------------------------------------------------------------------


LOCATED = (TypeError, ValueError, IndexError, MemoryError)  # get the user's lines


def at(*origins: Origin | None) -> str:
    """The lines as the tail of an error message; empty where none is known. That something is the
    gradient of a line is left out where the line is named anyway."""
    known = dict.fromkeys(o for o in origins if o is not None)
    shown = [o for o in known if not (o.gradient and o._replace(gradient=False) in known)]
    return f"\n  made at {'; '.join(map(str, shown))}" if shown else ""


@contextmanager
def error_context(op: str, *origins: Origin | None) -> Iterator[None]:
    """Adds the op and the user's lines to an error of a rule, unless its message has a line."""
    try:
        yield
    except LOCATED as error:
        raise located(error, op, origins) from None


def located(error: Exception, op: str, origins: Iterable[Origin | None]) -> Exception:
    """The error with the op and the user's lines, unless its message has a line."""
    text = str(error)
    if "made at" in text:
        return error
    # NumPy's own kind of MemoryError takes a shape and a dtype.
    kind = MemoryError if isinstance(error, MemoryError) else type(error)
    return kind(f"{op}: {text}{at(*origins)}")
