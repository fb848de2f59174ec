"""The errors that users meet. Each message names the culprit and, where it is known, its line."""

from __future__ import annotations


class GraphError(Exception):
    """Something about an expression is wrong; the message ends with the user's line."""


class GraphTypeError(GraphError, TypeError):
    """An argument has the wrong dtype, number of dimensions or kind."""


class ShapeError(GraphError, ValueError):
    """Shapes that meet in an operation do not fit."""


class IndexOutOfRangeError(GraphError, IndexError):
    """An index, such as a label, lies outside the dimension that it points into."""


class DisconnectedInputError(GraphError, ValueError):
    """A gradient was asked for with respect to something that the cost does not depend on."""


class MissingInputError(GraphError, ValueError):
    """An expression depends on a variable that the function has no value for."""


class UnusedInputError(GraphError, ValueError):
    """A function has an input that none of its results depends on."""


class MissingKernelError(GraphError, NotImplementedError):
    """A backend has no kernel of the wanted name."""


class DeviceError(RuntimeError):
    """A device can't be used, or something failed on it; the message says what to do about it."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device has not enough memory left."""
