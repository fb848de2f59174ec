"""`pp`: an expression in one line, as one would write it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tinygrad_mnist.contracts.core.formula import Formula, applied, number
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.infix import unpadded

LIMIT = 1000  # characters up to which everything is written out
_WORTH_A_NAME = 8  # characters


def pp(expression: Variable) -> str:
    """An expression as infix text in one line: `tanh(dot(x, w) + b)`.

    Parentheses follow Python's precedence. Dimensions that an operand gets because it broadcasts
    are left out, as in the expression that the user wrote. Where the whole would be longer than
    1,000 characters, what is read several times is written once, behind "where".

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
                if shares and is_long and reads[v] > 1 and unpadded(v) is v:
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


def _expanded_length(expression: Variable, order: Sequence[Node]) -> int:
    """About how many characters the text has when nothing gets a name."""
    lengths: dict[Variable, int] = {}
    for node in order:
        inside = sum(lengths.get(v, len(str(v))) + 3 for v in node.inputs)
        lengths.update(dict.fromkeys(node.outputs, inside + len(node.op.name)))
    return lengths.get(expression, 0)


def _fresh_names(order: Sequence[Node]) -> Iterator[str]:
    taken = {str(v) for node in order for v in node.inputs if v.node is None}
    count = 0
    while True:
        if f"v{count}" not in taken:
            yield f"v{count}"
        count += 1


def _written(v: Variable, writer: _Writer) -> Formula:
    """The formula of a variable that an op makes, as the op says it is written."""
    node = v.node
    assert node is not None
    if node.op.infix is not None:
        return node.op.infix(node, writer.formula)
    if node.op.tape_op is not None:
        return applied(node.op.name, *(writer.formula(unpadded(x)) for x in node.inputs))
    name = node.op.name + (f".{v.index}" if len(node.outputs) > 1 else "")
    return applied(name, *map(writer.formula, node.inputs))
