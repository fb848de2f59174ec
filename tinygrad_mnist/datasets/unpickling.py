"""Read a pickle without trusting it.

A pickle is a program for a machine with a stack. Python's own reader imports what it names, and
takes the memory that it asks for: a pickle of twelve bytes can ask for all of it. The machine here
knows only the instructions that arrays, numbers, lists and tuples need, resolves the few names of
NumPy's arrays to inert stand-ins, and counts what its values take.

Source of the instructions: Python's module pickletools.
"""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from tinygrad_mnist.datasets.contents import READABLE, describe_file, open_unpacked
from tinygrad_mnist.datasets.splits import DatasetError
from tinygrad_mnist.datasets.stand_ins import ALLOWED, Name, RefusedError, StandIn
from tinygrad_mnist.limits import limits

_OBJECT_BYTES = 64  # that a value takes, about, beside its contents
_MOST_DIGITS = 4000  # of a number in text; Python limits its own conversion to 4300
_LONGEST_NAME = 200  # characters of a module and of a name in it


class _LimitError(Exception):
    """The pickle takes more than a limit allows."""


class _Machine:
    """Runs one pickle. Its values are those of a pickle of Python 2 with `encoding="bytes"`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = limits.unpacked_bytes
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> object:
        """The value on top of the stack when the pickle ends. Raises RefusedError, _LimitError, and
        what a damaged pickle leads to: EOFError, ValueError, LookupError, struct.error."""
        read, stack = self._file.read, self.stack
        while True:
            code = read(1)
            if code == pickle.STOP:
                return stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                self._refuse(code)
            self.spend(_OBJECT_BYTES)
            operation(self)

    def _refuse(self, code: bytes) -> NoReturn:
        if not code:
            raise EOFError("the pickle ends before its end mark")
        if code in (pickle.PERSID, pickle.BINPERSID):
            raise RefusedError("it asks for a persistent object")
        raise ValueError(f"its instruction {code!r} makes no array, number, list or tuple")

    def spend(self, n: int) -> None:
        self._left -= n
        if self._left < 0:
            raise _LimitError(
                f"its values take more than {limits.unpacked_bytes:,} bytes, the limit"
                " `unpacked_bytes`"
            )

    def read(self, n: int) -> bytes:
        """n bytes, which are counted before they are read."""
        if n > limits.array_bytes:
            raise _LimitError(
                f"it has a value of {n:,} bytes; the limit `array_bytes` is {limits.array_bytes:,}"
            )
        self.spend(n)
        data = self._file.read(n)
        if len(data) < n:
            raise EOFError("the pickle ends within a value")
        return data

    def line(self, longest: int) -> bytes:
        """A line without its end."""
        data = self._file.readline(longest + 1)
        if not data.endswith(b"\n"):
            if len(data) > longest:
                raise _LimitError(f"it has a line of more than {longest:,} bytes")
            raise EOFError("the pickle ends within a line")
        return data[:-1]

    def number(self, form: str) -> int:
        """An integer of a struct's form."""
        (value,) = struct.unpack(form, self.read(struct.calcsize(form)))
        return int(value)

    # What the instructions do, but for those that push what they read.

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def mark(self) -> None:
        if len(self.marks) >= limits.nesting:
            raise _LimitError(f"it is nested more than {limits.nesting} times, the limit `nesting`")
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        """The values above the last mark, taken from the stack."""
        at = self.marks.pop()
        found = self.stack[at:]
        del self.stack[at:]
        return found

    def pop(self) -> Any:
        """The top value. A pickle that takes what is below its last mark is damaged."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise ValueError("it takes a value that isn't there")
        return self.stack.pop()

    def several(self, n: int) -> tuple[Any, ...]:
        return tuple([self.pop() for _ in range(n)][::-1])

    def extend(self, values: list[Any]) -> None:
        if not self.stack or type(self.stack[-1]) is not list:
            raise ValueError("it appends to something else than a list")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        target, keys = self.stack[-1], values[::2]
        if type(target) is not dict or not all(isinstance(k, int | str | bytes) for k in keys):
            raise ValueError("it has a dictionary of something else")
        target.update(zip(keys, values[1::2], strict=True))

    def put(self, number: int) -> None:
        if number < 0:
            raise ValueError("it keeps a value under a negative number")
        self._memo[number] = self.stack[-1]

    def memoize(self) -> None:
        self.put(len(self._memo))

    def get(self, number: int) -> None:
        self.stack.append(self._memo[number])

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("it asks for a name that is no text")
        if (module, name) not in ALLOWED:
            wanted = f"{module[:_LONGEST_NAME]}.{name[:_LONGEST_NAME]}"
            raise RefusedError(f"it asks for {wanted}")
        self.stack.append(Name(ALLOWED[module, name]))

    def reduce(self) -> None:
        given, function = self.pop(), self.pop()
        if type(function) is not Name or type(given) is not tuple:
            raise ValueError("it calls something else than a name")
        self.stack.append(function(*given))

    def build(self) -> None:
        state, target = self.pop(), self.stack[-1]
        if not isinstance(target, StandIn):
            raise ValueError("it changes a value that has no state")
        target.__setstate__(state)  # type: ignore[attr-defined]


def _integer(text: bytes) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"it has a number of {len(text):,} digits")
    return int(text)


def _int_line(machine: _Machine) -> int | bool:
    text = machine.line(_MOST_DIGITS)
    return {b"00": False, b"01": True}[text] if text in (b"00", b"01") else _integer(text)


def _long(machine: _Machine, n: int) -> int:
    if not 0 <= n <= _MOST_DIGITS:
        raise ValueError(f"it has an integer of {n:,} bytes")
    return int.from_bytes(machine.read(n), "little", signed=True)


def _string_line(machine: _Machine) -> bytes:
    text = machine.line(limits.array_bytes).strip()
    if len(text) < 2 or text[:1] not in b"'\"" or text[-1:] != text[:1]:
        raise ValueError("it has a string without quotes")
    value: bytes = codecs.escape_decode(text[1:-1])[0]
    machine.spend(len(value))
    return value


def _unicode_line(machine: _Machine) -> str:
    text = machine.line(limits.array_bytes)
    machine.spend(len(text))
    return text.decode("raw-unicode-escape")


def _global_lines(machine: _Machine) -> None:
    module, name = (machine.line(limits.line_bytes).decode() for _ in range(2))
    machine.name(module, name)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _dictionary(machine: _Machine) -> None:
    values = machine.since_mark()
    machine.push({})
    machine.set_items(values)


def _text(form: str) -> Callable[[_Machine], str]:
    return lambda m: m.read(m.number(form)).decode("utf-8", "surrogatepass")


def _data(form: str) -> Callable[[_Machine], bytes]:
    return lambda m: m.read(m.number(form))


#: Instructions that push a value which they read.
_VALUES: dict[bytes, Callable[[_Machine], Any]] = {
    pickle.NONE: lambda m: None,
    pickle.NEWTRUE: lambda m: True,
    pickle.NEWFALSE: lambda m: False,
    pickle.INT: _int_line,
    pickle.LONG: lambda m: _integer(m.line(_MOST_DIGITS + 1).rstrip(b"L")),
    pickle.BININT: lambda m: m.number("<i"),
    pickle.BININT1: lambda m: m.number("<B"),
    pickle.BININT2: lambda m: m.number("<H"),
    pickle.LONG1: lambda m: _long(m, m.number("<B")),
    pickle.LONG4: lambda m: _long(m, m.number("<i")),
    pickle.FLOAT: lambda m: float(m.line(_MOST_DIGITS)),
    pickle.BINFLOAT: lambda m: struct.unpack(">d", m.read(8))[0],
    pickle.STRING: _string_line,
    pickle.BINSTRING: _data("<i"),
    pickle.SHORT_BINSTRING: _data("<B"),
    pickle.UNICODE: _unicode_line,
    pickle.BINUNICODE: _text("<I"),
    pickle.SHORT_BINUNICODE: _text("<B"),
    pickle.BINUNICODE8: _text("<Q"),
    pickle.BINBYTES: _data("<I"),
    pickle.SHORT_BINBYTES: _data("<B"),
    pickle.BINBYTES8: _data("<Q"),
    pickle.BYTEARRAY8: lambda m: bytearray(m.read(m.number("<Q"))),
    pickle.EMPTY_TUPLE: lambda m: (),
    pickle.EMPTY_LIST: lambda m: [],
    pickle.EMPTY_DICT: lambda m: {},
    pickle.TUPLE: lambda m: tuple(m.since_mark()),
    pickle.TUPLE1: lambda m: m.several(1),
    pickle.TUPLE2: lambda m: m.several(2),
    pickle.TUPLE3: lambda m: m.several(3),
    pickle.LIST: lambda m: m.since_mark(),
}


def _pushing(value: Callable[[_Machine], Any]) -> Callable[[_Machine], object]:
    return lambda m: m.push(value(m))


_OPERATIONS: dict[bytes, Callable[[_Machine], object]] = {
    **{code: _pushing(value) for code, value in _VALUES.items()},
    pickle.PROTO: lambda m: m.read(1),
    pickle.FRAME: lambda m: m.read(8),
    pickle.MARK: _Machine.mark,
    pickle.POP: _Machine.pop,
    pickle.POP_MARK: _Machine.since_mark,
    pickle.APPEND: lambda m: m.extend([m.pop()]),
    pickle.APPENDS: lambda m: m.extend(m.since_mark()),
    pickle.DICT: _dictionary,
    pickle.SETITEM: lambda m: m.set_items(list(m.several(2))),
    pickle.SETITEMS: lambda m: m.set_items(m.since_mark()),
    pickle.GLOBAL: _global_lines,
    pickle.STACK_GLOBAL: _stack_global,
    pickle.REDUCE: _Machine.reduce,
    pickle.BUILD: _Machine.build,
    pickle.PUT: lambda m: m.put(_integer(m.line(_MOST_DIGITS))),
    pickle.BINPUT: lambda m: m.put(m.number("<B")),
    pickle.LONG_BINPUT: lambda m: m.put(m.number("<I")),
    pickle.MEMOIZE: _Machine.memoize,
    pickle.GET: lambda m: m.get(_integer(m.line(_MOST_DIGITS))),
    pickle.BINGET: lambda m: m.get(m.number("<B")),
    pickle.LONG_BINGET: lambda m: m.get(m.number("<I")),
}
#: A line of text can be four times as long as its value.
_TEXT_FACTOR = 4


def unpickle(path: Path) -> object:
    """The contents of a pickle of arrays, NumPy scalars, numbers, lists and tuples.

    Packed or plain, of any protocol, written by Python 2 or 3. Raises DatasetError, naming the file
    and the forbidden name, when it wants anything else, or more than `limits` allow; nothing in the
    file is ever executed.
    """
    try:
        with open_unpacked(path, _TEXT_FACTOR * limits.unpacked_bytes) as file:
            return _Machine(file).run()
    except DatasetError:
        raise
    except RefusedError as error:
        raise DatasetError(
            f"{path}: refused, since {error}; a data set holds only arrays, numbers,"
            " lists and tuples (nothing in the file was executed)"
        ) from None
    except _LimitError as error:
        raise DatasetError(f"{path}: {error}") from None
    except EOFError as error:
        raise DatasetError(f"{path}: truncated or damaged ({error})") from None
    except MemoryError:
        raise DatasetError(f"{path}: its contents do not fit into memory") from None
    except Exception as error:  # a damaged pickle can raise any exception
        what = describe_file(path)
        if what.startswith("text"):
            raise DatasetError(f"{path}: {what}, not a pickle of a data set; {READABLE}") from None
        raise DatasetError(f"{path}: not a pickle of a data set ({error})") from None
