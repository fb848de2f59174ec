"""The errors that users see. Each message names the culprit and, where it is known, its line."""

from __future__ import annotations

from typing import Self


def printable(text: str) -> str:
    r"""`text` with escapes such as \x1b in place of what a terminal may take for a command: names
    and contents of files have control characters where somebody wants them to. Lines stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


class GraphError(Exception):
    """An expression is wrong; the message ends with the user's line."""


class GraphTypeError(GraphError, TypeError):
    """An argument has the wrong dtype, number of dimensions or kind."""


class ArgumentError(GraphTypeError, ValueError):
    """An argument's value is not allowed, such as an unknown name or a negative length."""


class AxisError(ArgumentError, IndexError):
    """An axis is out of range; NumPy's error of this name is a ValueError and IndexError too."""


class IntegerOverflowError(ArgumentError, OverflowError):
    """An integer does not fit in any dtype that an expression can have."""


class ShapeError(GraphError, ValueError):
    """The shapes of an operation's operands do not fit each other."""


class IndexOutOfRangeError(GraphError, IndexError):
    """An index, such as a label, is out of range for its dimension."""


class ConditionError(ArgumentError, IndexOutOfRangeError):
    """A value that a function computes is not allowed there, such as a probability of 2."""


class DisconnectedInputError(GraphError, ValueError):
    """`grad` was called for a variable that the cost does not depend on."""


class NullTypeGradError(GraphTypeError):
    """A gradient that `grad` was asked for is undefined, or an op can't compute it."""


class MissingInputError(GraphError, ValueError):
    """An expression depends on a variable that the function has no value for."""


class MissingTestValueError(GraphError, AttributeError):
    """A variable has no test value."""


class UnusedInputError(GraphError, ValueError):
    """A function has an input that none of its results depends on."""


class MissingValueError(MissingInputError, GraphTypeError):
    """An input that keeps a value has none to start from."""


class DuplicateInputError(UnusedInputError, GraphTypeError):
    """A variable is twice among the inputs of a function, so one of its values would be unused."""


class GivensError(GraphTypeError, RuntimeError, AssertionError):
    """`givens` replaces an input of the function, or what the replacement before it is made of."""


class BroadcastError(ShapeError, GraphTypeError):
    """A value is longer than 1 along a dimension whose type says that it broadcasts."""


class MissingKernelError(GraphError, NotImplementedError):
    """A backend has no kernel of the wanted name."""


class ExportError(GraphError, NotImplementedError):
    """A graph has something that the format that it is exported to lacks."""


class NanGuardError(GraphError, AssertionError):
    """A function in the mode 'nan_guard' met a NaN, an infinity or a very large number."""


class NonFiniteCostError(ValueError, FloatingPointError):
    """The cost of a training step is NaN or infinite."""


class SavedFileError(ValueError):
    """A file of a model can't be read or doesn't fit; the message names it and says what it is."""

    def __init__(self, *given: object) -> None:
        super().__init__(*(printable(a) if isinstance(a, str) else a for a in given))


class FileAccessError(OSError):
    """A file can't be opened: it is none, or the system refuses."""

    def __str__(self) -> str:
        return str(self.args[0])

    @classmethod
    def of(cls, path: object, error: Exception) -> Self:
        """In place of an error of the system, with its number."""
        refused = cls(f"{path}: can't be read: {getattr(error, 'strerror', None) or error}")
        if isinstance(error, OSError):
            refused.errno, refused.filename = error.errno, error.filename
        return refused


class SavedFileAccessError(SavedFileError, FileAccessError):
    """A file of a model can't be opened."""


class SavedFileNotFoundError(SavedFileAccessError, FileNotFoundError):
    """There is no file of that name."""


class EnvironmentVariableError(ValueError):
    """An environment variable of this package has a value that is not allowed."""


class DeviceError(RuntimeError):
    """A device can't be used, or something failed on it; the message says what to do about it."""


class DeviceMemoryError(DeviceError, MemoryError):
    """A device does not have enough free memory."""
