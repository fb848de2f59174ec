"""`pp`: an expression in one line, as one would write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tinygrad_mnist.contracts.core.formula import ATOM, Formula, applied, number
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.keys import with_operands

LIMIT = 1000  # characters up to which everything is written out
_WORTH_A_NAME = 8  # characters


def pp(expression: Variable) -> str:
    """An expression as infix text in one line: `tanh(dot(x, w) + b)`.

    Python's precedence decides where parentheses stand; dimensions that an operand gets because
    it broadcasts are left out, as one leaves them out when writing it. Where the whole would be
    longer than 1,000 characters, what is read several times is written once, behind "where".

    Raises TypeError for anything but a variable.
    """
    if not isinstance(expression, Variable):
        raise TypeError(f"pp prints a variable; {expression!r} is none")
    writer = _Writer(expression)
    text = writer.formula(expression).text
    return f"{text} where {'; '.join(writer.named)}" if writer.named else text


class _Writer:
    """Formulas of all variables that an expression is made from, each built once.

    named: definitions `name = formula` of those that got a name.
    """

    def __init__(self, expression: Variable) -> None:
        order = toposort([expression])
        self.named: list[str] = []
        self._formulas: dict[Variable, Formula] = {}
        shares = _expanded_length(expression, order) > LIMIT
        reads = Counter(v for node in order for v in node.inputs)
        names = _fresh_names(order)
        for node in order:
            for v in node.outputs:
                formula = _written(v, self)
                is_long = len(formula.text) > _WORTH_A_NAME
                if shares and is_long and reads[v] > 1 and _unpadded(v) is v:
                    name = next(names)
                    self.named.append(f"{name} = {formula.text}")
                    formula = Formula(name)
                self._formulas[v] = formula

    def formula(self, v: Variable) -> Formula:
        if v.node is not None:
            return self._formulas[v]
        if isinstance(v, Constant) and v.value.ndim == 0:
            return number(str(v))
        return Formula(str(v))


def _expanded_length(expression: Variable, order: list[Node]) -> int:
    """About how many characters the text has when nothing gets a name."""
    lengths: dict[Variable, int] = {}
    for node in order:
        inside = sum(lengths.get(v, len(str(v))) + 3 for v in node.inputs)
        lengths.update(dict.fromkeys(node.outputs, inside + len(node.op.name)))
    return lengths.get(expression, 0)


def _fresh_names(order: list[Node]) -> Iterator[str]:
    taken = {str(v) for node in order for v in node.inputs if v.node is None}
    count = 0
    while True:
        if f"v{count}" not in taken:
            yield f"v{count}"
        count += 1


# --- how ops are written ------------------------------------------------------------------------


def _written(v: Variable, writer: _Writer) -> Formula:
    node = v.node
    assert node is not None
    if node.op.name in _RULES:
        return _RULES[node.op.name](node, writer)
    if node.op.tape_op is not None:
        return applied(node.op.name, *(writer.formula(_unpadded(x)) for x in node.inputs))
    name = node.op.name + (f".{v.index}" if len(node.outputs) > 1 else "")
    return applied(name, *map(writer.formula, node.inputs))


def _unpadded(v: Variable) -> Variable:
    """An operand of an elementwise op, without the dimensions that broadcasting gave it."""
    if v.node is None or v.node.op.name != "dimshuffle":
        return v
    x, pattern = v.node.inputs[0], v.node.params["pattern"]
    padding = ("x",) * (len(pattern) - x.ndim)
    return x if padding and pattern == padding + tuple(range(x.ndim)) else v


def _method(v: Variable, writer: _Writer, rest: str) -> Formula:
    return Formula(writer.formula(v).within(ATOM) + rest)


def _cast(node: Node, writer: _Writer) -> Formula:
    x = writer.formula(_unpadded(node.inputs[0]))
    return Formula(f"cast({x.text}, '{node.params['dtype']}')")


def _dimshuffle(node: Node, writer: _Writer) -> Formula:
    x, pattern = node.inputs[0], node.params["pattern"]
    if x.node is not None and x.node.op.name in _REDUCTIONS:
        axes = _reduced_axes(x.node)
        if pattern == tuple(i for i in range(x.ndim) if i not in axes):
            return _reduction(x.node, writer, keepdims=False)
    if x.ndim > 1 and pattern == tuple(reversed(range(x.ndim))):
        return _method(x, writer, ".T")
    return _method(x, writer, f".dimshuffle({', '.join(map(repr, pattern))})")


def _reduced_axes(node: Node) -> tuple[int, ...]:
    axes: tuple[int, ...] = node.params["axes"] if "axes" in node.params else (node.params["axis"],)
    return axes


def _reduction(node: Node, writer: _Writer, keepdims: bool = True) -> Formula:
    """`sum(x)` over all axes, else with `axis=`; the op itself keeps the dimensions."""
    x, axes = node.inputs[0], _reduced_axes(node)
    how = []
    if axes != tuple(range(x.ndim)):
        how.append(f"axis={axes[0] if len(axes) == 1 else axes}")
    if keepdims and axes:
        how.append("keepdims=True")
    return Formula(f"{node.op.name}({', '.join([writer.formula(x).text, *how])})")


def _indexed(node: Node, x: Variable, operands: Sequence[Variable], writer: _Writer) -> Formula:
    """`x[key]`, the key of a node that reads or writes there."""
    entries = []
    for entry, given in with_operands(node.params["index"], operands):
        texts = [writer.formula(v).text for v in given]
        if entry[0] == "slice":
            _, has_start, has_stop, step = entry
            start = texts.pop(0) if has_start else ""
            stop = texts.pop(0) if has_stop else ""
            entries.append(f"{start}:{stop}" + (f":{step}" if step != 1 else ""))
        else:
            entries.append({"new": "None", "gap": "..."}.get(entry[0]) or texts[0])
    while len(entries) > 1 and entries[-1] == ":":
        entries.pop()
    return _method(x, writer, f"[{', '.join(entries)}]")


def _subtensor(node: Node, writer: _Writer) -> Formula:
    x, *operands = node.inputs
    return _indexed(node, x, operands, writer)


def _write_subtensor(node: Node, writer: _Writer) -> Formula:
    x, value, *operands = node.inputs
    written = writer.formula(_unpadded(value))
    return applied(node.op.name, _indexed(node, x, operands, writer), written)


def _join(node: Node, writer: _Writer) -> Formula:
    parts = ", ".join(writer.formula(v).text for v in node.inputs)
    return Formula(f"concatenate([{parts}], axis={node.params['axis']})")


def _gather(node: Node, writer: _Writer) -> Formula:
    x, *indices = node.inputs
    return _method(x, writer, f"[{', '.join(writer.formula(v).text for v in indices)}]")


def _reshape(node: Node, writer: _Writer) -> Formula:
    x, *lengths = node.inputs
    shape = ", ".join(writer.formula(v).text for v in lengths)
    return _method(x, writer, f".reshape(({shape}{',' if len(lengths) == 1 else ''}))")


def _arange(node: Node, writer: _Writer) -> Formula:
    start, stop, step = (writer.formula(v).text for v in node.inputs)
    if step != "1":
        return Formula(f"arange({start}, {stop}, {step})")
    return Formula(f"arange({stop})" if start == "0" else f"arange({start}, {stop})")


def _shape(node: Node, writer: _Writer) -> Formula:
    return _method(node.inputs[0], writer, ".shape")


_REDUCTIONS = ("sum", "prod", "max", "min", "all", "any", "argmax", "argmin")
_RULES: dict[str, Callable[[Node, _Writer], Formula]] = {
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "arange": _arange,
    "cast": _cast,
    "dimshuffle": _dimshuffle,
    "gather": _gather,
    "inc_subtensor": _write_subtensor,
    "join": _join,
    "reshape": _reshape,
    "set_subtensor": _write_subtensor,
    "shape": _shape,
    "subtensor": _subtensor,
}
