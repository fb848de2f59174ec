"""Formulas as text: infix operators with as few parentheses as their precedence allows.

Names are those of tape instructions and of graph ops; both print through here.
"""

from __future__ import annotations

from typing import NamedTuple

# How tightly operators bind, loosest first, as in Python.
COMPARISON, OR, XOR, AND, SUM, PRODUCT, SIGN, POWER, ATOM = range(9)

_LEFT: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("logical_or", "bitwise_or", "bit_or"), ("|", OR)),
    **dict.fromkeys(("bitwise_xor", "bit_xor"), ("^", XOR)),
    **dict.fromkeys(("logical_and", "bitwise_and", "bit_and"), ("&", AND)),
    "add": ("+", SUM),
    "sub": ("-", SUM),
    "mul": ("*", PRODUCT),
    "div": ("/", PRODUCT),
    "true_div": ("/", PRODUCT),
    "int_div": ("//", PRODUCT),
    "mod": ("%", PRODUCT),
}
_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_SIGNS = {"neg": "-", **dict.fromkeys(("logical_not", "bitwise_not", "bit_not"), "~")}


class Formula(NamedTuple):
    """A piece of text and how tightly its outermost operator binds."""

    text: str
    precedence: int = ATOM

    def within(self, precedence: int) -> str:
        """The text as an operand that has to bind at least so tightly."""
        return self.text if self.precedence >= precedence else f"({self.text})"


def number(text: str) -> Formula:
    """A literal; one with a sign binds like a negation."""
    return Formula(text, SIGN if text.startswith("-") else ATOM)


def applied(name: str, *args: Formula) -> Formula:
    """An operation applied to formulas: `a + b`, `-a`, or `name(a, b)`."""
    if name in _LEFT and len(args) == 2:
        symbol, level = _LEFT[name]
        return Formula(f"{args[0].within(level)} {symbol} {args[1].within(level + 1)}", level)
    if name in _COMPARISONS and len(args) == 2:  # a chain would mean something else in Python
        left, right = (arg.within(COMPARISON + 1) for arg in args)
        return Formula(f"{left} {_COMPARISONS[name]} {right}", COMPARISON)
    if name == "pow" and len(args) == 2:  # from the right, and its exponent may have a sign
        return Formula(f"{args[0].within(ATOM)} ** {args[1].within(SIGN)}", POWER)
    if name in _SIGNS and len(args) == 1:
        return Formula(f"{_SIGNS[name]}{args[0].within(POWER)}", SIGN)
    return Formula(f"{name}({', '.join(arg.text for arg in args)})")
