"""`dot`: graphs and plans in DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tinygrad_mnist.compile.listing import scaled, show_origins
from tinygrad_mnist.compile.plan import (
    CONSTANT,
    INPUT,
    OUTPUT,
    SHARED,
    TEMPORARY,
    KernelCall,
    Plan,
    View,
    show_call,
    show_view,
    what_it_does,
)
from tinygrad_mnist.compile.segmented import SegmentedPlan
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import Origins
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.printing.labels import expressions_of, operation

_COLOURS = {
    INPUT: "#cfe8cf",
    SHARED: "#cfdcf2",
    CONSTANT: "#ececec",
    OUTPUT: "#f6dcc8",
    TEMPORARY: "#ffffff",
}
_MAX_LABEL = 70  # characters of one line


def dot(obj: Any) -> str:
    """A drawing in DOT, for Graphviz to lay out.

    obj: a variable or a list of variables: their graph, every variable with op, dtype and shape
    (where known). A function: the plan of its last call, or those of its segments, kernels as boxes
    with FLOPs and bytes, and between them the buffers that they read and write. A plan: the same.
    Tooltips, which SVG shows, name the user's line. A function has no plan before its first call;
    then its results and updates are drawn.

    Raises TypeError for other objects.
    """
    plan = obj.plan if hasattr(obj, "expressions") and obj.plans else obj
    if isinstance(plan, Plan):
        return _drawing(_plan(plan))
    if isinstance(plan, SegmentedPlan):
        return _drawing(_segments(plan))
    return _graph(expressions_of(obj, "dot"))


def quoted(text: str) -> str:
    """A string in DOT: with quotes, backslashes and line breaks escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "")
    return '"' + "\\n".join(escaped.splitlines() or [""]) + '"'


def _attributes(**attributes: str) -> str:
    return f"[{', '.join(f'{name}={quoted(value)}' for name, value in attributes.items())}]"


def _drawing(lines: Iterable[str]) -> str:
    head = [
        'node [fontname="Helvetica", fontsize="10", style="filled", fillcolor="white"];',
        'edge [fontname="Helvetica", fontsize="8"];',
    ]
    return "\n".join(["digraph {", *(f"  {line}" for line in [*head, *lines]), "}"]) + "\n"


def _label(*lines: str) -> str:
    return "\n".join(_shortened(line) for line in lines if line)


def _shortened(line: str) -> str:
    return line if len(line) <= _MAX_LABEL else line[: _MAX_LABEL - 3] + "..."


def _tooltip(origins: Origins) -> str:
    return "; ".join(map(str, origins)) or "made by the engine"


# --- graphs -------------------------------------------------------------------------------------


def _graph(outputs: Iterable[Variable]) -> str:
    names: dict[Variable, str] = {}
    lines: list[str] = []
    results = list(outputs)
    stack = list(reversed(results))
    while stack:
        v = stack.pop()
        if v in names:
            continue
        names[v] = f"v{len(names)}"
        lines.append(f"{names[v]} {_variable_attributes(v, v in results)};")
        if v.node is not None:
            stack.extend(reversed(v.node.inputs))
    for v, name in names.items():
        inputs = v.node.inputs if v.node is not None else ()
        for number, x in enumerate(inputs):
            label = f" {_attributes(label=str(number))}" if len(inputs) > 1 else ""
            lines.append(f"{names[x]} -> {name}{label};")
    return _drawing(lines)


def _variable_attributes(v: Variable, is_result: bool) -> str:
    if v.node is not None:
        kind, shape = TEMPORARY, "ellipse"
        text = _label(operation(v.node, v.index), f"'{v.name}'" if v.name else "", str(v.type))
    else:
        shape = "box"
        kind = (
            SHARED if isinstance(v, SharedVariable)
            else CONSTANT if isinstance(v, Constant) else INPUT
        )  # fmt: skip
        text = str(v)
        text = _label(text, str(v.type)) if str(v.type) not in text else _label(text)
    kind = OUTPUT if is_result and v.node is not None else kind
    return _attributes(
        label=text, shape=shape, fillcolor=_COLOURS[kind], tooltip=_tooltip(v.origins)
    )


# --- plans --------------------------------------------------------------------------------------


def _segments(segmented: SegmentedPlan) -> Iterator[str]:
    """The plans of a function that is cut, each in a frame."""
    for number, plan in enumerate(segmented.plans, 1):
        yield f"subgraph cluster_{number} {{"
        yield f"  label={quoted(f'segment {number}')};"
        yield from (f"  {line}" for line in _plan(plan, f"s{number}_"))
        yield "}"


def _plan(plan: Plan, prefix: str = "") -> list[str]:
    """A node for each content of a buffer: every write makes a new one. prefix: of the names of
    nodes."""
    present: dict[int, str] = {}  # the node of each buffer's present content
    lines: list[str] = []

    def content(number: int, written: bool) -> str:
        if written or number not in present:
            present[number] = f"{prefix}b{len(lines)}"
            lines.append(f"{present[number]} {_buffer_attributes(plan, number, written)};")
        return present[number]

    for number, call in enumerate(plan.calls):
        kernel = f"{prefix}k{number}"
        lines.append(f"{kernel} {_call_attributes(plan, number, call)};")
        for view in dict.fromkeys(call.inputs):
            lines.append(f"{content(view.buffer, False)} -> {kernel}{_part(plan, view)};")
        for view in call.outputs:
            before = present.get(view.buffer)
            name = content(view.buffer, True)
            lines.append(f"{kernel} -> {name}{_part(plan, view)};")
            if before is not None and not _is_whole(plan, view):
                lines.append(f'{before} -> {name} [style="dotted"];')
    return lines


def _call_attributes(plan: Plan, number: int, call: KernelCall) -> str:
    _, *tapes = show_call(plan, call)
    costs = f"{scaled(call.flops)}FLOP, {scaled(call.nbytes)}B"
    lines = show_origins(call.origins, plan.file_names)
    return _attributes(
        label=_label(f"{number} {call.kernel}", what_it_does(call), *tapes, lines, costs),
        shape="box",
        fillcolor="#fff6c9",
        tooltip=_tooltip(call.origins),
    )


def _buffer_attributes(plan: Plan, number: int, written: bool) -> str:
    buffer = plan.buffers[number]
    shape = "x".join(map(str, buffer.shape)) or "scalar"
    return _attributes(
        label=_label(buffer.name, f"{buffer.dtype} {shape}"),
        shape="ellipse",
        fillcolor=_COLOURS[buffer.kind],
        tooltip=f"{buffer.kind}, written" if written else buffer.kind,
    )


def _is_whole(plan: Plan, view: View) -> bool:
    """Whether a view is the whole buffer in its own layout, up to axes of length 1."""
    layout, shape = view.layout, plan.buffers[view.buffer].shape
    long = [[n for n in lengths if n != 1] for lengths in (view.true_shape, shape)]
    return long[0] == long[1] and layout.offset == 0 and not layout.slots


def _part(plan: Plan, view: View) -> str:
    """The label of an edge whose view is not the whole buffer in its own layout."""
    return "" if _is_whole(plan, view) else f" {_attributes(label=show_view(plan, view))}"
