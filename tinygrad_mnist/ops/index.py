"""Indexing: `x[key]`, and `set_subtensor` and `inc_subtensor` for every key.

A key has slices and single indices, which the host computes, and integer arrays, which are data. A
slice is a view whose start is set at every call, so `x[i*mb:(i+1)*mb]` copies nothing and one plan
serves every `i`. An index that the host can't compute becomes a 0-d integer array. Integer arrays
become `gather`. Writing does the reverse: a slice is assembled, arrays scatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.contracts.core.formula import Formula, applied
from tinygrad_mnist.contracts.core.sizes import n_elements
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.layout import Offset, StaticSlice
from tinygrad_mnist.graph.op import as_variable, constant, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import BOOL, INTEGERS, TensorType
from tinygrad_mnist.graph.values import axis_number, choice
from tinygrad_mnist.graph.variables import Constant, HostValues, Node, Op, Variable, Vjp, Written
from tinygrad_mnist.ops import infix
from tinygrad_mnist.ops.creation import arange, zeros
from tinygrad_mnist.ops.elementwise import (
    add,
    broadcast_types,
    cast,
    eq,
    maximum,
    minimum,
    mod,
    sum_to,
    switch,
)
from tinygrad_mnist.ops.gather import GATHER, SCATTER_ADD, SCATTER_SET, indexed_order
from tinygrad_mnist.ops.keys import FULL, Entry, array_position, key_text, parse_key, with_operands
from tinygrad_mnist.ops.shape import (
    broadcast_like,
    dimshuffle,
    flatten,
    length,
    reshape,
    static_broadcast,
    static_reshape,
    with_ndim,
)
from tinygrad_mnist.ops.slices import assemble, static_slice


def _common_type(arrays: Sequence[TensorType]) -> TensorType:
    """The type over which index arrays are combined."""
    ndim = max(t.ndim for t in arrays)
    aligned = [
        TensorType(
            t.dtype, (True,) * (ndim - t.ndim) + t.broadcastable, (1,) * (ndim - t.ndim) + t.shape
        )
        for t in arrays
    ]
    try:
        return broadcast_types(aligned, "int64")
    except ShapeError:
        shapes = ", ".join(str(t.shape) for t in arrays)
        raise ShapeError(f"arrays of shapes {shapes} can't index together") from None


# --- the op `x[key]` ----------------------------------------------------------------------------


def _subtensor_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, *given = types
    flags: list[bool] = []
    lengths: list[int | None] = []
    arrays: list[TensorType] = []
    counts = {(axis, n): count for axis, n, count in params.get("counts", ())}
    axis = 0
    for entry, operands in with_operands(params["index"], given):
        if entry[0] == "slice":
            flags.append(entry == FULL and x.broadcastable[axis])
            lengths.append(x.shape[axis] if entry == FULL else counts.get((axis, x.shape[axis])))
        elif entry[0] == "new":
            flags.append(True)
            lengths.append(1)
        elif entry[0] == "array":
            arrays.extend(operands)
        axis += entry[0] in ("slice", "index", "array")
    if arrays:
        common, at = _common_type(arrays), array_position(params["index"])
        flags[at:at] = common.broadcastable
        lengths[at:at] = common.shape
    return [TensorType(x.dtype, tuple(flags), tuple(lengths))]


class _ResolvedKey(NamedTuple):
    """A key resolved for an array of known shape.

    region: the part of the array that its slices and indices take. flags: which axes of that part
    broadcast. vectors: its index arrays, one-dimensional. axes: the axes of the part that they
    index. common: the type to which the index arrays broadcast together. pattern: the axes of the
    result, as a dimshuffle of the picked elements.

    The picked elements have the axes of the part in `order`, but with the axes of the index arrays
    in place of the indexed ones; `axis` axes come before these.
    """

    region: StaticSlice
    flags: tuple[bool, ...]
    vectors: tuple[Variable, ...]
    axes: tuple[int, ...]
    common: TensorType
    pattern: tuple[Any, ...]
    order: tuple[int, ...]
    axis: int

    def _around(self, values: Sequence[Any], middle: Sequence[Any]) -> tuple[Any, ...]:
        """`values`, one per axis of the part, in `order`, with `middle` for the indexed axes."""
        after = self.order[self.axis + len(self.axes) :]
        before = (values[a] for a in self.order[: self.axis])
        return (*before, *middle, *(values[a] for a in after))

    @property
    def picked_shape(self) -> tuple[int, ...]:
        return self._around(self.region.shape, self.common.static_shape)

    @property
    def picked_flags(self) -> tuple[bool, ...]:
        return self._around(self.flags, self.common.broadcastable)

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape of the picked elements, with one axis for all axes of the index arrays."""
        return self._around(self.region.shape, [n_elements(self.common.static_shape)])


def _resolve(
    index: Sequence[Entry],
    scalars: Sequence[Variable],
    given: Sequence[Variable],
    x: TensorType,
    host: HostValues,
) -> _ResolvedKey:
    """The key resolved for an array of type `x`. scalars: its symbolic operands, for the host.
    given: the same with known shapes."""
    starts: list[Offset] = []
    counts: list[int] = []
    steps: list[int] = []
    kept: list[int] = []
    flags: list[bool] = []
    arrays: dict[int, Variable] = {}
    basic: list[Any] = []
    lengths = x.static_shape
    pairs = zip(with_operands(index, scalars), with_operands(index, given), strict=True)
    for (entry, symbolic), (_, static) in pairs:
        axis = len(starts)
        if entry[0] in ("new", "gap"):
            basic.extend("x" for _ in range(entry[0] == "new"))
            continue
        start, count, step = Offset(0), lengths[axis], 1
        if entry[0] == "slice":
            bounds = list(symbolic)
            first = bounds.pop(0) if entry[1] else None
            last = bounds.pop(0) if entry[2] else None
            step = entry[3] if entry[3] is not None else _step(bounds.pop(0), host)
            start, count = host.slice(first, last, step, lengths[axis])
            if abs(step) > lengths[axis]:  # at most one element
                step = 1
            basic.append(len(kept))
        elif entry[0] == "index" and host.knows(symbolic[0]):
            start, count = host.index(symbolic[0], lengths[axis]), 1
        else:
            arrays[len(kept)] = static[0]
        if entry[0] == "slice" or len(kept) in arrays:
            kept.append(axis)
            flags.append((entry == FULL or entry[0] != "slice") and x.broadcastable[axis])
        starts.append(start)
        counts.append(count)
        steps.append(step)
    region = StaticSlice(tuple(starts), tuple(counts), tuple(steps), tuple(kept))
    common = _common_type([v.type for v in arrays.values()] or [TensorType("int64", (), ())])
    axes = tuple(arrays)
    order, before = indexed_order(len(kept), axes) if axes else (tuple(range(len(kept))), 0)
    rest = [a for a in order if a not in arrays]
    pattern = [b if b == "x" else rest.index(b) for b in basic]
    pattern = [p if p == "x" or p < before else p + common.ndim for p in pattern]
    at = array_position(index)
    pattern[at:at] = range(before, before + common.ndim)
    vectors = tuple(_flat(v, common.static_shape) for v in arrays.values())
    return _ResolvedKey(region, tuple(flags), vectors, axes, common, tuple(pattern), order, before)


def _step(step: Variable, host: HostValues) -> int:
    value = host.by_value(step)
    if value == 0:
        raise ShapeError("the step of a slice is 0")
    return value


def _flat(array: Variable, shape: tuple[int, ...]) -> Variable:
    """An index array repeated to the common shape, as a vector."""
    if array.type.shape == shape and array.ndim == 1:
        return array
    return static_reshape(static_broadcast(array, shape), (n_elements(shape),), (False,))


def _subtensor_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    x, *given = inputs
    resolved = _resolve(node.params["index"], node.inputs[1:], given, x.type, host)
    picked = static_slice(x, resolved.region, resolved.flags)
    if resolved.vectors:
        moved = dimshuffle(picked, *resolved.order)
        params = {"n_index": len(resolved.vectors), "axis": resolved.axis}
        rows = GATHER.rebuild([moved, *resolved.vectors], params).outputs[0]
        picked = static_reshape(rows, resolved.picked_shape, resolved.picked_flags)
    return [dimshuffle(picked, *resolved.pattern)]


def _subtensor_vjp(node: Node, g: Variable) -> list[Variable | None]:
    x, *given = node.inputs
    nothing = broadcast_like(constant(0, g.dtype), x)
    back = _INC(nothing, sum_to(g, node.outputs[0]), *given, index=node.params["index"])
    return [back, *(None for _ in given)]


def _subtensor_infix(node: Node, written: Written) -> Formula:
    x, *operands = node.inputs
    return _indexed(node, x, operands, written)


def _indexed(node: Node, x: Variable, operands: Sequence[Variable], written: Written) -> Formula:
    """`x[key]`, the key of a node that reads or writes there."""
    key = key_text(node.params["index"], [written(v).text for v in operands])
    return infix.method(x, written, key)


_SUBTENSOR = register_op(
    Op(
        "subtensor",
        _subtensor_infer,
        None,
        vjp=_subtensor_vjp,
        n_connected=1,
        specialise=_subtensor_specialise,
        infix=_subtensor_infix,
    )
)


# --- writing: `inc_subtensor`, `set_subtensor` --------------------------------------------------


def _write_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, value, *given = types
    _check_fits(value, _subtensor_infer(params, [x, *given])[0])
    return [x]


def _check_fits(value: TensorType, target: TensorType) -> None:
    for axis in range(target.ndim):
        n, m = value.shape[axis], target.shape[axis]
        if n != m and None not in (n, m) and not value.broadcastable[axis]:
            raise ShapeError(f"a value of shape {value.shape} doesn't fill {target.shape}")


def _write_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x, value, *given = inputs
    is_sum = node.op is _INC
    resolved = _resolve(node.params["index"], node.inputs[2:], given, x.type, host)
    shape = resolved.picked_shape
    target = TensorType(
        x.dtype,
        tuple(p == "x" or resolved.picked_flags[p] for p in resolved.pattern),
        tuple(1 if p == "x" else shape[p] for p in resolved.pattern),
    )
    _check_fits(value.type, target)
    filling = static_broadcast(value, target.static_shape, target.broadcastable)
    filling = dimshuffle(filling, *(resolved.pattern.index(axis) for axis in range(len(shape))))
    if resolved.vectors:
        rows = static_reshape(filling, resolved.rows, (False,) * len(resolved.rows))
        scatter = SCATTER_ADD if is_sum else SCATTER_SET
        params = {
            "region": resolved.region,
            "axes": resolved.axes,
            "n_index": len(resolved.vectors),
            "axis": resolved.axis,
        }
        return list(scatter.rebuild([x, rows, *resolved.vectors], params).outputs)
    if is_sum:
        filling = add(static_slice(x, resolved.region, resolved.flags), filling)
    whole = x.type.static_shape
    if resolved.region.covers(whole):
        return [static_broadcast(filling, whole, x.broadcastable)]
    return [assemble(x, [(filling, resolved.region)], whole, x.broadcastable)]


def _inc_vjp(node: Node, g: Variable) -> list[Variable | None]:
    _, value, *given = node.inputs
    picked = _SUBTENSOR(g, *given, index=node.params["index"])
    return [g, sum_to(picked, value), *(None for _ in given)]


def _set_vjp(node: Node, g: Variable) -> list[Variable | None]:
    x, value, *given = node.inputs
    index = node.params["index"]
    picked = _SUBTENSOR(g, *given, index=index)
    nothing = dimshuffle(constant(0, g.dtype), *("x",) * value.ndim)
    if ("array",) in index:
        picked = switch(_stays(index, x, given, picked.ndim), picked, 0)
    return [
        _SET(g, nothing, *given, index=index),
        sum_to(picked, value),
        *(None for _ in given),
    ]


def _stays(index: Sequence[Entry], x: Variable, given: Sequence[Variable], ndim: int) -> Variable:
    """Which elements that the index arrays name are the last ones written to their region, with
    axes of length 1 for the rest of the key."""
    pairs = with_operands(index, given)
    arrays = [operands[0] for entry, operands in pairs if entry[0] == "array"]
    axes = [entry[0] for entry in index if entry[0] in ("slice", "index", "array")]
    lengths = [length(x, axis) for axis, kind in enumerate(axes) if kind == "array"]
    common = _common_type([v.type for v in arrays])
    shape = [_common_length(arrays, axis - common.ndim) for axis in range(common.ndim)]
    count = as_variable(1)
    for n in shape:
        count = count * n
    numbers = reshape(arange(count), shape)
    only = (("array",),) * len(arrays)
    last = _SET(zeros(lengths, dtype="int64"), numbers, *arrays, index=only)
    stays = eq(_SUBTENSOR(last, *arrays, index=only), numbers)
    at = array_position(index)
    left = ndim - common.ndim - at
    return dimshuffle(stays, *("x",) * at, *range(common.ndim), *("x",) * left)


def _common_length(arrays: Sequence[Variable], axis: int) -> Variable:
    """The length of the common shape of index arrays along an axis, counted from the last."""
    given = [v for v in arrays if v.ndim >= -axis and not v.broadcastable[axis]]
    return length(given[0], axis) if given else as_variable(1)


def _write_infix(node: Node, written: Written) -> Formula:
    x, value, *operands = node.inputs
    target = _indexed(node, x, operands, written)
    return applied(node.op.name, target, written(infix.unpadded(value)))


def _define_write(name: str, vjp: Vjp) -> Op:
    return register_op(
        Op(
            name,
            _write_infer,
            None,
            vjp=vjp,
            n_connected=2,
            specialise=_write_specialise,
            infix=_write_infix,
        )
    )


# x, value (as many axes as x[key], broadcasting to it), operands of the key -> x with the value
# added
_INC = _define_write("inc_subtensor", _inc_vjp)
# The same with the elements replaced by the value; where the key repeats an element, the last one.
_SET = _define_write("set_subtensor", _set_vjp)


# --- API functions ------------------------------------------------------------------------------


@api_function
def getitem(x: Variable, key: Any) -> Variable:
    """`x[key]` as NumPy has it: integers, slices, `...`, None, integer arrays and boolean masks.

    Bounds of slices that the host can compute (numbers, function inputs, shapes, and arithmetic on
    these) move a view. Other bounds, and masks, are computed by a plan of their own first. Index
    arrays broadcast together, where their types allow it. Raises GraphTypeError for any other key,
    and ShapeError for arrays that don't fit each other; a function raises IndexOutOfRangeError for
    a mask of another shape than the axes that it is for.
    """
    if isinstance(key, list) and any(isinstance(item, slice) for item in key):
        key = tuple(key)  # as Theano has it
    index, operands = _whole_where_one(x.type, *parse_key(key, x))
    counts = _known_counts(x.type, index, operands)
    return _SUBTENSOR(x, *operands, index=index, **({"counts": counts} if counts else {}))


def _whole_where_one(
    x: TensorType, index: Sequence[Entry], operands: Sequence[Variable]
) -> tuple[tuple[Entry, ...], list[Variable]]:
    """The key with `:` for the slices that take the one element of an axis that broadcasts, so that
    the axis of the result broadcasts too."""
    entries: list[Entry] = []
    kept: list[Variable] = []
    axis = 0
    for entry, bounds in with_operands(index, operands):
        is_known = entry[0] == "slice" and all(isinstance(b, Constant) for b in bounds)
        if is_known and x.broadcastable[axis] and _count(entry, bounds, 1) == 1:
            entry, bounds = FULL, ()
        entries.append(entry)
        kept.extend(bounds)
        axis += entry[0] in ("slice", "index", "array")
    return tuple(entries), kept


def _count(entry: Entry, bounds: Sequence[Variable], n: int) -> int:
    """How many of `n` elements a slice takes whose bounds are numbers."""
    numbers = [int(b.known_value) for b in bounds]
    start = numbers.pop(0) if entry[1] else None
    stop = numbers.pop(0) if entry[2] else None
    step = numbers.pop(0) if entry[3] is None else entry[3]
    return len(range(n)[start:stop:step])


def _known_counts(
    x: TensorType, index: Sequence[Entry], operands: Sequence[Variable]
) -> tuple[tuple[int, int, int], ...]:
    """The axes along which the length of a slice is known, with the length of `x` and of the slice:
    its bounds are numbers, and so is that of `x`."""
    counts = []
    axis = 0
    for entry, bounds in with_operands(index, operands):
        n = x.shape[axis] if entry[0] == "slice" else None
        if n is not None and entry != FULL and all(isinstance(b, Constant) for b in bounds):
            counts.append((axis, n, _count(entry, bounds, n)))
        axis += entry[0] in ("slice", "index", "array")
    return tuple(counts)


def set_subtensor(x: Any, y: Any) -> Variable:
    """`set_subtensor(a[key], y)`: a copy of `a` that has `y` at the key.

    `y` may have fewer axes, or axes that broadcast, and a dtype that `a` can hold. Where the key
    names an element twice, the last value stays. An update `(w, set_subtensor(w[key], y))` writes
    only these elements.

    Raises GraphTypeError where `x` is not an indexed variable or `y` has too many axes or the wrong
    dtype, ShapeError where it doesn't fit.
    """
    return _write(_SET, x, y)


def inc_subtensor(x: Any, y: Any) -> Variable:
    """`inc_subtensor(a[key], y)`: a copy of `a` that has `y` added at the key, as often as the key
    names an element. Otherwise as `set_subtensor`."""
    return _write(_INC, x, y)


def _write(op: Op, x: Any, y: Any) -> Variable:
    node = x.node if isinstance(x, Variable) else None
    if node is None or node.op is not _SUBTENSOR:
        raise GraphTypeError(f"{op.name} takes an indexed variable, such as a[1:3], not {x}")
    value = _settled(as_variable(y), x.dtype, op.name)
    if value.ndim > x.ndim:
        raise GraphTypeError(f"{op.name}: the value has {value.ndim} axes; {x.ndim} are indexed")
    value = with_ndim(value, x.ndim)
    base, *given = node.inputs
    return op(base, value, *given, index=node.params["index"])


def _settled(value: Variable, dtype: str, name: str) -> Variable:
    """`value` in `dtype`, if that holds its values; a Python number only has to fit itself."""
    fits = np.can_cast(value.dtype, dtype, "safe")
    if isinstance(value, Constant) and value.weak:
        number = value.value.item()
        if dtype in INTEGERS and isinstance(number, int):
            fits = np.iinfo(dtype).min <= number <= np.iinfo(dtype).max
        else:
            fits = fits or dtype not in (*INTEGERS, BOOL)
    if not fits:
        raise GraphTypeError(
            f"{name}: a value of {value.dtype} doesn't go into an array of {dtype}; use "
            f"T.cast(..., {dtype!r})"
        )
    return cast(value, dtype)


@api_function
def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Variable:
    """The elements of `a` at integer indices along `axis` (None: of the flattened array).

    mode: what an index out of range is: 'raise' an error, 'wrap' takes it modulo the length,
    'clip' takes the nearest end.
    """
    variable = as_variable(a)
    if axis is None:
        variable, axis = flatten(variable), 0
    before = axis_number(axis, variable.ndim)
    if choice(mode, ("raise", "wrap", "clip"), "mode of take") != "raise":
        n = length(variable, before)
        wanted = as_variable(indices)
        indices = mod(wanted, n) if mode == "wrap" else minimum(maximum(wanted, 0), n - 1)
    return getitem(variable, (*(slice(None),) * before, indices))
