"""How `pp` writes ops that are neither operators nor calls `name(inputs)`; each names its own.

`written` gives the formula of an operand. See `Op.infix`.
"""

from __future__ import annotations

from tinygrad_mnist.contracts.core.formula import ATOM, Formula, applied
from tinygrad_mnist.graph.variables import Node, Variable, Written


def method(x: Variable, written: Written, rest: str) -> Formula:
    """`x` followed by an attribute, a method call or an index."""
    return Formula(written(x).within(ATOM) + rest)


def unpadded(v: Variable) -> Variable:
    """An operand of an elementwise op, without the dimensions that broadcasting gave it."""
    if v.node is None or v.node.op.infix is not dimshuffle:
        return v
    x, pattern = v.node.inputs[0], v.node.params["pattern"]
    padding = ("x",) * (len(pattern) - x.ndim)
    return x if padding and pattern == padding + tuple(range(x.ndim)) else v


def cast(node: Node, written: Written) -> Formula:
    """`cast(x, 'float32')`."""
    x = written(unpadded(node.inputs[0]))
    return Formula(f"cast({x.text}, '{node.params['dtype']}')")


def difference(node: Node, written: Written) -> Formula:
    """`x - y`."""
    return applied("sub", *(written(unpadded(v)) for v in node.inputs))


def dimshuffle(node: Node, written: Written) -> Formula:
    """`x.T`, `x.dimshuffle(1, 'x')`; behind a reduction that it takes the axes from, that alone."""
    x, pattern = node.inputs[0], node.params["pattern"]
    if x.node is not None and x.node.op.infix is reduction:
        axes = _reduced_axes(x.node)
        if pattern == tuple(i for i in range(x.ndim) if i not in axes):
            return _reduction(x.node, written, keepdims=False)
    if x.ndim > 1 and pattern == tuple(reversed(range(x.ndim))):
        return method(x, written, ".T")
    return method(x, written, f".dimshuffle({', '.join(map(repr, pattern))})")


def reduction(node: Node, written: Written) -> Formula:
    """`sum(x)` over all axes, else with `axis=`; the op itself keeps the dimensions."""
    return _reduction(node, written, keepdims=True)


def _reduction(node: Node, written: Written, keepdims: bool) -> Formula:
    x, axes = node.inputs[0], _reduced_axes(node)
    how = []
    if axes != tuple(range(x.ndim)):
        how.append(f"axis={axes[0] if len(axes) == 1 else axes}")
    if keepdims and axes:
        how.append("keepdims=True")
    return Formula(f"{node.op.name}({', '.join([written(x).text, *how])})")


def _reduced_axes(node: Node) -> tuple[int, ...]:
    axes: tuple[int, ...] = node.params["axes"] if "axes" in node.params else (node.params["axis"],)
    return axes


def cumsum(node: Node, written: Written) -> Formula:
    """`cumsum(x, axis=1)`; sums from the end `cumsum(x[:, ::-1], axis=1)[:, ::-1]`."""
    x, axis = node.inputs[0], node.params["axis"]
    flip = f"[{':, ' * axis}::-1]" if node.params["reverse"] else ""
    operand = method(x, written, flip) if flip else written(x)
    along = f", axis={axis}" if x.ndim > 1 else ""
    return Formula(f"cumsum({operand.text}{along}){flip}")


def join(node: Node, written: Written) -> Formula:
    """`concatenate([x, y], axis=0)`."""
    parts = ", ".join(written(v).text for v in node.inputs)
    return Formula(f"concatenate([{parts}], axis={node.params['axis']})")


def gather(node: Node, written: Written) -> Formula:
    """`x[i, j]`."""
    x, *indices = node.inputs
    return method(x, written, f"[{', '.join(written(v).text for v in indices)}]")


def reshape(node: Node, written: Written) -> Formula:
    """`x.reshape((n, m))`."""
    x, *lengths = node.inputs
    shape = ", ".join(written(v).text for v in lengths)
    return method(x, written, f".reshape(({shape}{',' if len(lengths) == 1 else ''}))")


def arange(node: Node, written: Written) -> Formula:
    """`arange(n)`, `arange(2, n)`, `arange(2, n, 3)`."""
    start, stop, step = (written(v).text for v in node.inputs)
    if step != "1":
        return Formula(f"arange({start}, {stop}, {step})")
    return Formula(f"arange({stop})" if start == "0" else f"arange({start}, {stop})")


def shape(node: Node, written: Written) -> Formula:
    """`x.shape`."""
    return method(node.inputs[0], written, ".shape")
