"""PTX text read into a `Module` (sections 4 and 5 of "PTX ISA")."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import count

from tinygrad_mnist.backends.ptx.program import (
    CARRY,
    Address,
    Entry,
    Immediate,
    Instruction,
    Label,
    Location,
    Module,
    Operand,
    Parameter,
    Register,
    Special,
    Symbol,
    Variable,
    Vector,
)
from tinygrad_mnist.backends.ptx.types import DTYPES, PtxError

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_SPACE = re.compile(r"\s*")
_LABEL = re.compile(r"\s*([\w$]+)\s*:(?!:)")
_REGISTERS = re.compile(r"(%?[\w$]+)(?:<(\d+)>)?")
_VARIABLE = re.compile(
    r"(?:\.\w+\s+)*?\.(shared|local|const|global)\s+(?:\.align\s+(\d+)\s+)?"
    r"\.(\w+)\s+([\w$]+)(?:\[(\d*)\])?\s*(?:=\s*(.*))?$",
    re.DOTALL,
)
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+([\w$]+)(?:\[(\d+)\])?")
_LINE = re.compile(r"\.loc\s+(\d+)\s+(\d+)\s+\d+(.*)")
_INLINED = re.compile(r"inlined_at\s+(\d+)\s+(\d+)\s+\d+")
_FILE = re.compile(r'\.file\s+(\d+)\s+"((?:[^"\\]|\\.)*)"')
_ENTRY = re.compile(r"\.(entry|func)\b")
_HEADER = re.compile(r"\.(entry|func)\s*(\([^)]*\))?\s*([\w$]+)\s*(\([^)]*\))?", re.DOTALL)
_ADDRESS = re.compile(r"\[\s*(%?[\w$.#]+)\s*(?:([+-])\s*(-?\w+))?\s*\]")
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)U?$")
_FLOAT = re.compile(r"0([fFdD])([0-9a-fA-F]+)$")
_SPECIAL = re.compile(r"%(tid|ntid|ctaid|nctaid|laneid|warpid|nwarpid|clock|lanemask)\b")
_SKIPPED = (".version", ".target", ".address_size", ".maxntid", ".minnctapersm", ".pragma")


class _Statement:
    """A piece of text that ends in a semicolon, a brace or, for some directives, a line.

    is_whole: whether it ends in a semicolon, which isn't part of `text`.
    """

    __slots__ = ("is_whole", "line", "text")

    def __init__(self, text: str, line: int) -> None:
        text = text.strip()
        self.is_whole = text.endswith(";")
        self.text, self.line = text.removesuffix(";").strip(), line


def parse(text: str) -> Module:
    """Reads a module; PtxError, with the line, for text that isn't PTX.

    Functions that a kernel calls become part of it.
    """
    return _Parser(text).module()


def _statements(text: str) -> Iterator[_Statement]:
    """The text in pieces. '{' and '}' are pieces of their own, but not those of vectors."""
    line, position = 1, 0
    while position < len(text):
        rest = _SPACE.match(text, position)
        assert rest is not None
        line += text.count("\n", position, rest.end())
        position = rest.end()
        if position == len(text):
            return
        if text[position] in "{}":
            yield _Statement(text[position], line)
            position += 1
            continue
        end = _end(text, position)
        piece = text[position:end]
        yield _Statement(piece, line)
        line += piece.count("\n")
        position = end


def _end(text: str, begin: int) -> int:
    """Where a statement that begins here ends."""
    label = _LABEL.match(text, begin)
    if label is not None:
        return label.end()
    head = text[begin : begin + 40].split(None, 1)[0]
    if head in (".loc", ".file", *_SKIPPED):
        end = text.find("\n", begin)
        return len(text) if end < 0 else end
    if head in (".section", ".visible", ".entry", ".func", ".weak", ".extern"):
        brace, semicolon = text.find("{", begin), text.find(";", begin)
        if brace >= 0 and (semicolon < 0 or brace < semicolon):
            return brace
    semicolon = text.find(";", begin)
    return len(text) if semicolon < 0 else semicolon + 1


class _Parser:
    def __init__(self, text: str) -> None:
        clean = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)
        self._files = {int(n): name for n, name in _FILE.findall(clean)}
        self._pieces = _statements(clean)
        self._module = Module()
        self._scopes: list[dict[str, str]] = []  # names of registers by those in the text
        self._fresh = count(1)
        self._location: Location | None = None
        self._contexts: dict[tuple[int, int], Location] = {}

    def module(self) -> Module:
        for piece in self._pieces:
            if piece.text.startswith(".section"):
                self._skip()
            elif _ENTRY.search(piece.text) and not piece.text.startswith(".extern"):
                self._entry(piece)
            elif (variable := self._variable(piece)) is not None:
                self._module.variables[variable.name] = variable
        return self._module

    def _skip(self) -> None:
        for piece in self._pieces:
            if piece.text == "}":
                return

    # --- declarations -------------------------------------------------------------------------

    def _entry(self, piece: _Statement) -> None:
        header = _HEADER.search(piece.text)
        if header is None:
            raise PtxError(f"line {piece.line}: not a kernel or function: {piece.text[:60]!r}")
        entry = Entry(header[3], header[1] == "entry", registers={CARRY.name: "pred"})
        offset = 0
        for kind, name, n in _PARAMETER.findall(header[4] or ""):
            size = DTYPES[kind].itemsize
            offset += -offset % size
            entry.parameters.append(Parameter(name, offset, size * int(n or 1)))
            offset += entry.parameters[-1].nbytes
        entry.results = [name for _, name, _ in _PARAMETER.findall(header[2] or "")]
        if piece.is_whole:  # a declaration; the body comes later
            return
        self._module.entries[entry.name] = entry
        self._location = None
        self._body(entry)

    def _body(self, entry: Entry) -> None:
        for piece in self._pieces:
            text = piece.text
            if text == "{":
                self._scopes.append({})
            elif text == "}":
                self._scopes.pop()
                if not self._scopes:
                    return
            elif _LINE.match(text):
                self._location = self._read_location(text)
            elif text.startswith(".reg"):
                self._declare(entry, piece)
            elif text.startswith(".param"):
                pass  # of a call; it becomes registers where it is used
            elif text.startswith("."):
                if (variable := self._variable(piece)) is not None:
                    entry.variables[variable.name] = variable
            elif label := _LABEL.match(text):
                entry.body.append(Label(label[1]))
            elif text:
                entry.body.append(self._instruction(piece))
        raise PtxError(f"{entry.name} has no end")

    def _declare(self, entry: Entry, piece: _Statement) -> None:
        _, kind, names = piece.text.split(None, 2)
        kind = kind.removeprefix(".")
        scope = self._scopes[-1]
        nested = len(self._scopes) > 1
        for name, n in _REGISTERS.findall(names):
            for each in [f"{name}{k}" for k in range(int(n))] if n else [name]:
                scope[each] = f"{each}#{next(self._fresh)}" if nested else each
                entry.registers[scope[each]] = kind

    def _variable(self, piece: _Statement) -> Variable | None:
        if piece.text.startswith(_SKIPPED) or piece.text.startswith(".file"):
            return None
        found = _VARIABLE.match(piece.text)
        if found is None:
            raise PtxError(f"line {piece.line}: unknown directive {piece.text[:60]!r}")
        space, alignment, kind, name, length, values = found.groups()
        size = DTYPES[kind].itemsize
        nbytes = None if length == "" else size * int(length or 1)
        initial = None
        if values is not None:
            initial = b"".join(_bytes(v, kind) for v in re.findall(r"[^\s{},]+", values))
            assert nbytes is not None
            initial = initial.ljust(nbytes, b"\0")
        elif space in ("const", "global") and nbytes is not None:
            initial = bytes(nbytes)
        return Variable(name, space, nbytes, int(alignment or size), initial)

    def _read_location(self, text: str) -> Location | None:
        found = _LINE.match(text)
        if found is None or found[2] == "0":
            return self._location  # line 0: the compiler's own, moved here from somewhere
        file = self._files.get(int(found[1]), "?")
        inlined = _INLINED.search(found[3])
        within = None
        if inlined is not None:
            key = (int(inlined[1]), int(inlined[2]))
            within = self._contexts.get(key) or Location(self._files.get(key[0], "?"), key[1])
        location = Location(file, int(found[2]), within)
        self._contexts[int(found[1]), int(found[2])] = location
        return location

    # --- instructions -------------------------------------------------------------------------

    def _instruction(self, piece: _Statement) -> Instruction:
        text, guard = piece.text, None
        if text[0] == "@":
            word, text = text[1:].split(None, 1)
            guard = Register(self._name(word.lstrip("!")), word[0] == "!")
        opcode, *rest_of_it = text.split(None, 1)
        rest = rest_of_it[0] if rest_of_it else ""
        parts = tuple(opcode.replace("::", "_").split("."))
        if parts[0] == "call":
            operands: tuple[Operand, ...] = tuple(
                Symbol(word) for word in re.findall(r"[\w$]+|[()]", rest)
            )
        else:
            operands = tuple(self._operand(word, piece.line) for word in _split(rest))
        if parts[0] in ("addc", "subc", "madc"):
            operands = (*operands, CARRY)
        if "cc" in parts:
            operands = (Vector((operands[0], CARRY)), *operands[1:])
        return Instruction(parts, operands, guard, piece.line, self._location)

    def _name(self, word: str) -> str:
        for scope in reversed(self._scopes):
            if word in scope:
                return scope[word]
        raise PtxError(f"the register {word} isn't declared")

    def _is_register(self, word: str) -> bool:
        return any(word in scope for scope in self._scopes)

    def _operand(self, word: str, line: int) -> Operand:
        if word[0] == "{":
            items = _split(word.strip("{}"))
            return Vector(tuple(None if w == "_" else self._operand(w, line) for w in items))
        if "|" in word:
            items = word.split("|")
            return Vector(tuple(None if w == "_" else self._operand(w, line) for w in items))
        if word[0] == "[":
            return self._address(word, line)
        if word[0] == "!":
            return Register(self._name(word[1:]), negated=True)
        if self._is_register(word):
            return Register(self._name(word))
        if _SPECIAL.match(word):
            return Special(word[1:])
        if (number := _constant(word)) is not None:
            return number
        if re.match(r"[\w$]+$", word):
            return Symbol(word)
        raise PtxError(f"line {line}: can't read the operand {word!r}")

    def _address(self, word: str, line: int) -> Address:
        found = _ADDRESS.match(word)
        if found is None:
            raise PtxError(f"line {line}: can't read the address {word!r}")
        offset = int(found[3], 0) if found[3] else 0
        base = self._operand(found[1], line)
        assert isinstance(base, Register | Symbol | Immediate)
        return Address(base, -offset if found[2] == "-" else offset)


def _split(text: str) -> list[str]:
    """Operands: split at commas that are in no braces."""
    parts, depth, begin = [], 0, 0
    for k, c in enumerate(text):
        depth += (c in "{[(") - (c in "}])")
        if c == "," and depth == 0:
            parts.append(text[begin:k].strip())
            begin = k + 1
    last = text[begin:].strip()
    return [*parts, last] if last else parts


def _constant(word: str) -> Immediate | None:
    if found := _FLOAT.match(word):
        return Immediate(int(found[2], 16), 32 if found[1] in "fF" else 64)
    if _NUMBER.match(word):
        return Immediate(int(word.rstrip("U"), 0))
    return None


def _bytes(word: str, kind: str) -> bytes:
    number = _constant(word)
    size = DTYPES[kind].itemsize
    if number is None:
        return struct.pack("<d" if size == 8 else "<f", float(word))
    return (number.value % (1 << 8 * size)).to_bytes(size, "little")
