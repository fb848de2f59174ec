"""Small mistakes in Python code, one at a time: swapped operators and arguments, numbers off by
one, conditions turned around, statements left out."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
RENAMED = {"min": "max", "max": "min", "any": "all", "all": "any"}
# Functions for which the order of two arguments is nothing.
IN_ANY_ORDER = {
    "min", "max", "gcd", "add", "mul", "eq", "neq", "and_", "or_", "maximum", "minimum",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake. line, kind, before, after: where and what it is.

    The tree keeps the line numbers of the module without the mistake.
    """

    line: int
    kind: str
    before: str
    after: str
    tree: ast.Module


Change = Callable[[ast.AST], "ast.AST | None"]


def _operator(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        node.ops = [SWAPPED[type(node.ops[0])]()]  # type: ignore[list-item]
        return node
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPPED:
        node.op = SWAPPED[type(node.op)]()  # type: ignore[assignment]
        return node
    return None


def _number(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
        return node
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value += 1
        return node
    return None


def _negation(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        return node.operand
    return None


def _condition(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return node
    return None


def _without(node: ast.AST) -> ast.AST | None:
    left_out = ast.Expr, ast.AugAssign, ast.Continue, ast.Break
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if isinstance(node, left_out) and not is_docstring:
        return ast.Pass()
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute | ast.Subscript):
        return ast.Pass()
    return None


def _arguments(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Call) and len(node.args) > 1:
        first, second, *rest = node.args
        if ast.unparse(node.func).split(".")[-1] in IN_ANY_ORDER:
            return None
        if ast.dump(first) == ast.dump(second) or isinstance(first, ast.Starred):
            return None
        node.args = [second, first, *rest]
        return node
    return None


def _name(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Name) and node.id in RENAMED:
        node.id = RENAMED[node.id]
        return node
    return None


KINDS: dict[str, Change] = {
    "operator": _operator,
    "number": _number,
    "negation": _negation,
    "condition": _condition,
    "left out": _without,
    "arguments": _arguments,
    "name": _name,
}


def _places(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below that compute something: no messages of errors, annotations and asserts."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(
                child, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom
            ):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            yield child
            yield from _places(child)


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list):
                setattr(parent, field, [new if item is old else item for item in value])


def possible(source: str) -> list[tuple[int, str]]:
    """What may be changed in a module: the number of the place, and the kind of the change.

    zip's `strict` is left as it is: it only says what is so.
    """
    tree = ast.parse(source)
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword)]
    strict = {keyword.value for keyword in keywords if keyword.arg == "strict"}
    return [
        (number, kind)
        for number, node in enumerate(_places(tree))
        if node not in strict
        for kind, change in KINDS.items()
        if change(copy.copy(node)) is not None
    ]


def mutant(source: str, number: int, kind: str) -> Mutant:
    """The module with this change."""
    tree = ast.parse(source)
    node = next(islice(_places(tree), number, None))
    before = ast.unparse(node)
    changed = KINDS[kind](copy.copy(node))
    assert changed is not None
    _replace(tree, node, changed)
    # An operator has no line of its own.
    after = _short(ast.unparse(changed))
    ast.fix_missing_locations(tree)
    return Mutant(node.lineno, kind, _short(before), after, tree)  # type: ignore[attr-defined]


def _short(code: str) -> str:
    first = code.split("\n", 1)[0]
    return first if len(first) < 120 else first[:117] + "..."
