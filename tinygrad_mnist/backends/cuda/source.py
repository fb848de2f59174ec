"""The Python module that is generated for one call: its index functions and tapes.

The text is a module, written to a file so that tracebacks, profilers and a curious user can show
its lines. It defines, for Numba or its simulator (see `kernels.core.call.Call`): `at`, `stores`,
`terms`, `finishes` and their parts, `element`, `placed`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_mnist.backends.cuda.operands import Operand, Pointer
from tinygrad_mnist.compile.plan import KernelCall
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import EPILOGUE, PROLOGUE
from tinygrad_mnist.contracts.core.operands import tape_uses
from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.kernels.core.axes import merged

_HEADER = '''"""{title}"""

from math import inf, nan

from tinygrad_mnist.kernels.core.device import (
    device, float32, float64, int8, int16, int32, int64, load16, shifted, store16, uint8, uint16,
    uint32, uint64
)
from tinygrad_mnist.kernels.core.index import strided, u32
from tinygrad_mnist.kernels.tape.philox import UNIFORM
from tinygrad_mnist.kernels.tape.scalar import FUNCTIONS
'''

# Operations that are written as operators; all others are functions of kernels/tape/scalar.py. Sums
# and products of floats are functions, since the compiler would fuse operators to multiply-adds.
_INTEGER_INFIX = {"add": "+", "sub": "-", "mul": "*", "bit_and": "&", "bit_or": "|", "bit_xor": "^"}
_COMPARED = {"eq": "==", "neq": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def call_source(
    call: KernelCall, operands: Sequence[Operand], pointers: Sequence[Pointer], width: int
) -> str:
    """The module of a call. operands, pointers: inputs, then outputs. width: of the step table."""
    writer = _Writer(call.kernel, operands, len(call.inputs))
    outputs = range(len(call.inputs), len(operands))
    for k in range(len(operands)):
        writer.position(k)
    writer.names("at", [f"at{k}" for k in range(len(operands))])
    for k in outputs:
        writer.store(k)
    writer.names("stores", [f"store{k}" for k in outputs])
    _write_tapes(writer, call)
    writer.placed(pointers, width)
    return writer.text()


def _write_tapes(writer: _Writer, call: KernelCall) -> None:
    """The tapes of a call, by what the contract says of each."""
    n_inputs = len(call.inputs)
    terms: list[tuple[str, str]] = []  # names and dtypes
    finishes: list[str] = []
    has_body = False
    for use in tape_uses(CONTRACTS[call.kernel], call.params, n_inputs, len(call.outputs)):
        outputs = [n_inputs + k for k in use.outputs]
        if use.role == PROLOGUE:
            terms.append(writer.term(len(terms), use.tape, use.inputs))
        elif use.role == EPILOGUE:
            finishes.append(writer.finish(len(finishes), use.tape, use.inputs, outputs[0]))
        else:
            writer.element(use.tape, use.inputs, outputs)
            has_body = True
    writer.names("terms", [name for name, _ in terms])
    writer.names("term_dtypes", [repr(dtype) for _, dtype in terms])
    writer.names("finishes", finishes)
    for part in ("fetch", "settle", "wide_fetch", "wide_settle"):
        names = [finish.replace("finish", part) for finish in finishes]
        writer.names(f"{part}{'es' if part.endswith('fetch') else 's'}", names)
    if not has_body:
        writer.line("element = wide_element = None")


class _Writer:
    """The text of one module as it grows."""

    def __init__(self, kernel: str, operands: Sequence[Operand], n_inputs: int) -> None:
        self._operands = operands
        shapes = [f"{o.dtype} {'x'.join(map(str, o.shape)) or 'scalar'}" for o in operands]
        title = f"{kernel}: {', '.join(shapes[:n_inputs])} -> {', '.join(shapes[n_inputs:])}"
        self._lines = [_HEADER.format(title=title)]
        self._functions: dict[str, str] = {}  # names of functions, and where they come from

    def text(self) -> str:
        functions = [f"{name} = {origin}" for name, origin in self._functions.items()]
        return "\n".join([self._lines[0], *functions, *self._lines[1:], ""])

    def line(self, text: str) -> None:
        self._lines.append(text)

    def names(self, variable: str, functions: Sequence[str]) -> None:
        """`variable = (f, g, )`."""
        self.line(f"{variable} = ({''.join(f'{f}, ' for f in functions)})")

    def _function(self, head: str, body: Sequence[str]) -> None:
        self._lines += [
            "",
            "",
            "@device",
            f"def {head}:",
            *(f"    {line}" for line in body),
            "",
            "",
        ]

    def position(self, k: int) -> None:
        """`at<k>(i)`: the index of element i of operand k."""
        operand = self._operands[k]
        axes = merged(operand.shape, operand.strides)
        self.line(f"at{k} = strided(*{axes}, base={operand.base}, by_remainder=True)")

    def store(self, k: int) -> None:
        """`store<k>(value, i, p)`."""
        self._function(f"store{k}(value, i, p)", [self._stored(k, "value")])

    def _stored(self, k: int, value: str) -> str:
        return f"p[{k}][at{k}(i)] = {_converted(value, self._operands[k].dtype)}"

    def term(self, number: int, tape: Tape, inputs: Sequence[int]) -> tuple[str, str]:
        """`term<number>(i, p)`: what a prologue makes of the inputs. Returns name and dtype."""
        name = f"term{number}"
        lines, values = self._code(tape, [self._loaded(tape, k) for k in inputs], inputs)
        self._function(f"{name}(i, p)", [*lines, f"return {values[tape.outputs[0]]}"])
        return name, tape.dtype

    def finish(self, number: int, tape: Tape, extras: Sequence[int], output: int) -> str:
        """`finish<number>(value, i, p)`: what an epilogue makes of a result, stored."""
        name = f"finish{number}"
        loads = [f"{tape.dtype}(value)", *(self._loaded(tape, k) for k in extras)]
        lines, values = self._code(tape, loads, [-1, *extras])
        result = self._stored(output, values[tape.outputs[0]])
        self._function(f"{name}(value, i, p)", [*lines, result])
        self._parts(number, tape, extras, output)
        return name

    def _parts(self, number: int, tape: Tape, extras: Sequence[int], output: int) -> None:
        """`finish<number>` in two parts, for one element and for 16 bytes of elements."""
        loads = [self._loaded(tape, k) for k in extras]
        self._function(f"fetch{number}(i, p)", [f"return {_tuple(loads or ['i'])}"])
        fetched = [f"x[{k}]" for k in range(len(extras))]
        lines, values = self._code(tape, [f"{tape.dtype}(value)", *fetched], [-1, *extras])
        result = _converted(values[tape.outputs[0]], self._operands[output].dtype)
        self._function(f"result{number}(value, x, i, p)", [*lines, f"return {result}"])
        store = f"p[{output}][at{output}(i)] = result{number}(value, x, i, p)"
        self._function(f"settle{number}(value, x, i, p)", [store])
        self._wide_parts(number, tape, extras, output)

    def _wide_parts(self, number: int, tape: Tape, extras: Sequence[int], output: int) -> None:
        target = self._operands[output]
        lanes = 16 // np.dtype(target.dtype).itemsize
        is_float = tape.dtype == target.dtype and tape.dtype.startswith("float")
        if not is_float or not target.shape or target.shape[-1] % lanes:
            self.line(f"wide_fetch{number} = wide_settle{number} = None")
            return
        lines = [f"x{k} = {self._wide_load(tape, k, lanes)}" for k in extras]
        fetched = _tuple([f"x{k}" for k in extras] or ["i"])
        self._function(f"wide_fetch{number}(i, p)", [*lines, f"return {fetched}"])
        lines = []
        for lane in range(lanes):
            x = _tuple([f"x[{k}][{lane}]" for k in range(len(extras))] or ["i"])
            index = f"i | {lane}"  # i is a multiple of lanes
            lines.append(f"r{lane} = result{number}(values[{lane}], {x}, {index}, p)")
        results = [f"r{lane}" for lane in range(lanes)]
        if _is_wide(target, lanes):
            lines.append(f"store16(p[{output}], at{output}(i), {_tuple(results)})")
        else:
            lines += [
                f"p[{output}][at{output}(i + {lane})] = {result}"
                for lane, result in enumerate(results)
            ]
        self._function(f"wide_settle{number}(values, x, i, p)", lines)

    def _wide_load(self, tape: Tape, k: int, lanes: int) -> str:
        """`lanes` elements of operand k, from i on, as a tuple in the tape's dtype."""
        operand = self._operands[k]
        if operand.dtype == tape.dtype and _is_wide(operand, lanes):
            return f"load16(p[{k}], at{k}(i))"
        axes = merged(operand.shape, operand.strides)
        if not axes or (axes[-1][1] == 0 and axes[-1][0] % lanes == 0):
            return _tuple([self._loaded(tape, k)] * lanes)
        return _tuple([f"{tape.dtype}(p[{k}][at{k}(i + {lane})])" for lane in range(lanes)])

    def element(self, tape: Tape, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """`element(i, p)`: the whole of an elementwise kernel, for one element."""
        lines, values = self._code(tape, [self._loaded(tape, k) for k in inputs], inputs)
        stores = [self._stored(k, values[o]) for k, o in zip(outputs, tape.outputs, strict=True)]
        self._function("element(i, p)", [*lines, *stores])
        self._wide_element(tape, inputs, outputs)

    def _wide_element(self, tape: Tape, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """`wide_element(i, p)`: the same for the elements from i on that are 16 bytes of output."""
        lanes = 16 // np.dtype(tape.dtype).itemsize
        targets = [self._operands[k] for k in outputs]
        is_float = tape.dtype.startswith("float")
        if not is_float or not all(o.dtype == tape.dtype and _is_wide(o, lanes) for o in targets):
            self.line("wide_element = None")
            return
        read = [n for n in range(tape.n_inputs) if n in _values_read(tape)]
        loads = {n: f"x[{position}]" for position, n in enumerate(read)}
        lines, values = self._code(tape, [loads.get(n, "") for n in range(tape.n_inputs)], inputs)
        results = _tuple([values[o] for o in tape.outputs])
        self._function("results(x, i, p)", [*lines, f"return {results}"])
        # i is a multiple of lanes, and `|` shows that they share a block of random bits.
        body = [f"x{n} = {self._wide_load(tape, inputs[n], lanes)}" for n in read]
        for lane in range(lanes):
            x = _tuple([f"x{n}[{lane}]" for n in read] or ["i"])
            body.append(f"r{lane} = results({x}, i | {lane}, p)")
        for position, k in enumerate(outputs):
            stored = _tuple([f"r{lane}[{position}]" for lane in range(lanes)])
            body.append(f"store16(p[{k}], at{k}(i), {stored})")
        self._function("wide_element(i, p)", body)

    def _loaded(self, tape: Tape, k: int) -> str:
        return f"{tape.dtype}(p[{k}][at{k}(i)])"

    def _code(
        self, tape: Tape, loads: Sequence[str], operands: Sequence[int]
    ) -> tuple[list[str], list[str]]:
        """Lines that compute the values of a tape, and the name of each value.

        operands: which operand each input is; what only `uniform` reads is not loaded here.
        """
        read = _values_read(tape)
        values = [f"v{k}" for k in range(tape.n_inputs)]
        lines = [f"v{k} = {load}" for k, load in enumerate(loads) if k in read]
        for position, instruction in enumerate(tape.instructions, tape.n_inputs):
            lines.append(f"v{position} = {self._value(tape.dtype, instruction, values, operands)}")
            values.append(f"v{position}")
        return lines, values

    def _value(
        self, dtype: str, instruction: Instruction, values: list[str], operands: Sequence[int]
    ) -> str:
        op = instruction.op
        if op == "const":
            return f"{dtype}({np.dtype(dtype).type(instruction.immediate).item()!r})"
        if op == "uniform":
            step = f"int64(p[{operands[instruction.args[0]]}][uint64(0)])"
            low, high = instruction.key & 0xFFFFFFFF, instruction.key >> 32
            name = self._named(f"uniform_{dtype}", f'UNIFORM["{dtype}"]')
            return f"{name}(i, {step}, uint32({low}), uint32({high}))"
        args = [values[arg] for arg in instruction.args]
        if op in _INTEGER_INFIX and dtype == "int64":
            return f"{dtype}({args[0]} {_INTEGER_INFIX[op]} {args[1]})"
        if op in _COMPARED:
            return f"{dtype}(1) if {args[0]} {_COMPARED[op]} {args[1]} else {dtype}(0)"
        name = self._named(f"{op}_{dtype}", f'FUNCTIONS["{dtype}"]["{op}"]')
        return f"{name}({', '.join(args)})"

    def _named(self, name: str, origin: str) -> str:
        """Names a function of kernels/ in the module; returns the name."""
        self._functions[name] = origin
        return name

    def placed(self, pointers: Sequence[Pointer], width: int) -> None:
        """`placed(p, table, row)`: the pointers of a step, where some move; else None."""
        if not any(pointer.moves for pointer in pointers):
            self.line("placed = None")
            return
        moved = [_moved(k, pointer) for k, pointer in enumerate(pointers)]
        # What follows the operands is the workspace, if there is one; it never moves.
        lines = [f"begin = row * {width}", f"return ({', '.join(moved)},) + p[{len(moved)}:]"]
        self._function("placed(p, table, row)", lines)


def _moved(k: int, pointer: Pointer) -> str:
    if not pointer.moves:
        return f"p[{k}]"
    moves = [f"table[uint64(begin + {column})] * {step}" for column, step in pointer.moves]
    return f"shifted(p[{k}], int64({' + '.join([*moves, str(pointer.offset)])}))"


def _tuple(items: Sequence[str]) -> str:
    """A tuple's text."""
    return f"({', '.join(items)},)"


def _values_read(tape: Tape) -> set[int]:
    """Numbers of the values that instructions read or that are results: not what only `uniform`
    reads, which isn't of the tape's dtype."""
    read = {a for i in tape.instructions if i.op != "uniform" for a in i.args}
    return read | set(tape.outputs)


def _is_wide(operand: Operand, lanes: int) -> bool:
    """Whether every `lanes` elements in C order can be accessed as 16 bytes."""
    if (
        operand.alignment % 16
        or operand.base % lanes
        or np.dtype(operand.dtype).itemsize * lanes != 16
    ):
        return False
    axes = merged(operand.shape, operand.strides)
    return (
        bool(axes)
        and axes[-1][1] == 1
        and axes[-1][0] % lanes == 0
        and not any(s % lanes for _, s in axes[:-1])
    )


def _converted(value: str, dtype: str) -> str:
    """A value of a tape as its output stores it; see `contracts.tape`."""
    if dtype == "bool":
        return f"uint8(1) if {value} != 0 else uint8(0)"
    if dtype in ("float32", "float64"):
        return f"{dtype}({value})"
    return f"{dtype}(int64({value}))"
