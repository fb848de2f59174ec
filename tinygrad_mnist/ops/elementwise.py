"""Elementwise ops: one table row each. This module defines the rows, and has arithmetic,
comparisons, `switch`, and the functions that networks need. `exponential`, `trigonometry`,
`special`, `rounding` and `logical` have the others.

A row has the op's name, its vector-Jacobian product, the tape instruction that computes it, and how
the result's dtype follows from the operands'. All ops broadcast as in Theano: only dimensions whose
type says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.contracts.core.tape import Instruction, Tape, run_tape
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.match import constant_value
from tinygrad_mnist.graph.op import OPS, as_variable, constant, named, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import BOOL, FLOATS, TensorType, check_dtype, compute_dtype, upcast
from tinygrad_mnist.graph.variables import Constant, Node, Op, Variable, Vjp, no_slope
from tinygrad_mnist.ops import infix

# (gradient of the result, result, operands) -> gradients of the operands
ElementwiseVjp = Callable[[Variable, Variable, tuple[Variable, ...]], Sequence[Variable | None]]
ApiFunction = Callable[..., Variable]


def broadcast_types(types: Sequence[TensorType], dtype: str) -> TensorType:
    """The type of a result over operands with the same number of dimensions."""
    broadcastable, shape = [], []
    for axis in range(types[0].ndim):
        lengths = {t.shape[axis] for t in types if not t.broadcastable[axis]}
        known = lengths - {None}
        if len(known) > 1:
            raise ShapeError(
                f"shapes {', '.join(str(t.shape) for t in types)} differ along axis {axis}"
            )
        broadcastable.append(not lengths)
        shape.append(1 if not lengths else known.pop() if known else None)
    return TensorType(dtype, tuple(broadcastable), tuple(shape))


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [broadcast_types(types, params["dtype"])]


def single_tape(node: Node) -> Tape:
    """The tape of one instruction that computes an elementwise node."""
    assert node.op.tape_op is not None
    return _tape(node.op.tape_op, len(node.inputs), node.params)


def _tape(tape_op: str, arity: int, params: Params) -> Tape:
    if tape_op == "identity":
        return Tape.identity(params["compute"])
    instruction = Instruction(tape_op, tuple(range(arity)))
    return Tape(params["compute"], arity, (instruction,), (arity,))


def _reference(tape_op: str) -> Callable[..., list[Array]]:
    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        shape = outputs[0].shape
        operands = [np.broadcast_to(array, shape) for array in inputs]
        return run_tape(_tape(tape_op, len(inputs), params), operands, outputs)

    return reference


def sum_to(cotangent: Variable, like: Variable) -> Variable:
    """A gradient summed over the dimensions along which `like` was broadcast, in its dtype."""
    axes = tuple(
        axis
        for axis, (ours, theirs) in enumerate(
            zip(cotangent.broadcastable, like.broadcastable, strict=True)
        )
        if theirs and not ours
    )
    if axes:
        cotangent = OPS["sum"](cotangent, axes=axes)
    return cast(cotangent, like.dtype)


def pull_back(rule: ElementwiseVjp, masked: bool = False) -> Vjp:
    """The vjp by a rule. masked: a gradient that is 0 stays 0 beside an infinite slope."""

    def vjp(node: Node, g: Variable) -> list[Variable | None]:
        terms = rule(g, node.outputs[0], node.inputs)
        return [
            None
            if term is None or x.type.is_discrete
            else sum_to(switch(eq(g, 0), 0, term) if masked else term, x)
            for term, x in zip(terms, node.inputs, strict=True)
        ]

    return vjp


# --- dtypes ---------------------------------------------------------------------------------


# A rule gives the dtype of the result and the dtype of the tape that computes it.
DtypeRule = Callable[[Sequence[str]], tuple[str, str]]


def common(dtypes: Sequence[str]) -> tuple[str, str]:
    """The dtype that holds values of all operands."""
    dtype = upcast(*dtypes)
    return dtype, compute_dtype(dtype)


def numeric(dtypes: Sequence[str]) -> tuple[str, str]:
    """As `common`; only bools are an error, as in NumPy and Theano."""
    if set(dtypes) == {BOOL}:
        raise GraphTypeError("not defined for bools; use ~x and x ^ y, or cast to a number first")
    return common(dtypes)


def upgraded(dtypes: Sequence[str]) -> tuple[str, str]:
    """A float: integers of 32 or 64 bits count as float64, narrower ones and bool as float32."""
    dtype = upcast(*(_UPGRADES.get(d, d) for d in dtypes))
    return dtype, dtype


_UPGRADES = {
    **dict.fromkeys(("int32", "int64", "uint32"), "float64"),
    **dict.fromkeys((BOOL, "int8", "int16", "uint8", "uint16"), "float32"),
}


def truth(dtypes: Sequence[str]) -> tuple[str, str]:
    """A bool, computed in the operands' common dtype."""
    return BOOL, common(dtypes)[1]


def _quotient(dtypes: Sequence[str]) -> tuple[str, str]:
    dtype = upcast(*dtypes)
    dtype = dtype if dtype in FLOATS else config.floatX
    return dtype, dtype


def _choice(dtypes: Sequence[str]) -> tuple[str, str]:
    return common(dtypes[1:])


def _power(dtypes: Sequence[str]) -> tuple[str, str]:
    dtype, compute = common(dtypes)
    return ("int8" if dtype == BOOL else dtype), compute


def settle_constants(variables: Sequence[Variable]) -> list[Variable]:
    """Gives every weak constant (a Python number) its dtype, which depends on the others.

    A Python int beside a float takes the float's dtype; beside integers, or alone, it keeps the
    narrowest dtype that holds it. A Python float beside a float takes the float's dtype, except for
    one that float32 can't hold exactly if floatX is float64: then it is float64. Beside integers,
    or alone, it is floatX.
    """
    strong = [v.dtype for v in variables if not (isinstance(v, Constant) and v.weak)]
    common = upcast(*strong) if strong else BOOL
    settled: list[Variable] = []
    for v in variables:
        if isinstance(v, Constant) and v.weak:
            if common in FLOATS and (v.dtype not in FLOATS or _holds(common, v.value)):
                settled.append(constant(v.value, common))
            elif v.dtype in FLOATS:
                settled.append(constant(v.value, config.floatX))
            else:
                settled.append(constant(v.value))
        else:
            settled.append(v)
    return settled


def _holds(dtype: str, value: Array) -> bool:
    """Whether a Python float beside floats of `dtype` is rounded to it; see `settle_constants`."""
    if dtype == config.floatX or dtype == "float64":
        return True
    with np.errstate(over="ignore"):
        return bool(np.array_equal(value.astype(dtype), value, equal_nan=True))


def _settle_branches(variables: Sequence[Variable]) -> list[Variable]:
    """The condition of a switch as a bool, and its branches with their constants settled."""
    condition, *branches = variables
    if condition.dtype != BOOL:
        condition = neq(condition, 0)
    return [condition, *settle_constants(branches)]


def _align(variables: Sequence[Variable]) -> list[Variable]:
    """Adds broadcastable dimensions on the left until all have the same number."""
    ndim = max(v.ndim for v in variables)
    return [
        v if v.ndim == ndim
        else OPS["dimshuffle"](v, pattern=("x",) * (ndim - v.ndim) + tuple(range(v.ndim)))
        for v in variables
    ]  # fmt: skip


def define(
    name: str,
    arity: int,
    dtypes: DtypeRule,
    vjp: ElementwiseVjp | None,
    tape_op: str | None = None,
    doc: str = "",
    settle: Callable[[Sequence[Variable]], list[Variable]] = settle_constants,
    n_connected: int | None = None,
    many: bool = False,
) -> ApiFunction:
    """Registers an elementwise op and returns the function that applies it.

    dtypes: of the result and its tape, by the operands'. vjp: None for a step function, whose
    gradient is zero. n_connected: 0 where no gradient leads to the operands at all. tape_op: the
    instruction, by default that of the op's name. settle: gives weak constants their dtypes.
    many: the function takes one operand or more, and applies an op of two from left to right.
    """
    tape_op = tape_op or name
    op = register_op(
        Op(
            name,
            _infer,
            _reference(tape_op),
            vjp=pull_back(vjp) if vjp else no_slope,
            masked_vjp=pull_back(vjp, masked=True) if vjp else None,
            n_connected=n_connected,
            tape_op=tape_op,
        )
    )

    def apply(*args: Any) -> Variable:
        if len(args) != arity:
            if many and args:
                return reduce(apply, settle([as_variable(a) for a in args]))
            wanted = "at least 1 argument" if many else f"{arity} arguments"
            raise GraphTypeError(f"{name} takes {wanted}; {len(args)} were given")
        inputs = _align(settle([as_variable(a) for a in args]))
        try:
            dtype, compute = dtypes([v.dtype for v in inputs])
        except GraphTypeError as error:
            raise GraphTypeError(f"{name}: {error}{at(user_source())}") from None
        return op(*inputs, dtype=dtype, compute=compute)

    apply.__doc__ = doc
    return api_function(named(apply, name))


# --- the table ------------------------------------------------------------------------------

add: ApiFunction = define("add", 2, common, lambda g, z, i: (g, g), doc="x + y + ...", many=True)
sub: ApiFunction = define("sub", 2, numeric, lambda g, z, i: (g, -g), doc="x - y")
mul: ApiFunction = define(
    "mul", 2, common, lambda g, z, i: (g * i[1], g * i[0]), doc="x * y * ...", many=True
)
true_div: ApiFunction = define(
    "true_div", 2, _quotient, lambda g, z, i: (g / i[1], -(g * z) / i[1]), "div",
    doc="x / y; integers give floatX",
)  # fmt: skip


def _along_base(g: Variable, x: Variable, p: Variable) -> Variable:
    """The gradient of x ** p with respect to x: 0 where p is 0, also at x = 0."""
    number = constant_value(p)
    if number is None or number == 0:
        return switch(eq(p, 0), 0, g * p * pow_(x, cast(p, g.dtype) - 1))
    return g * p * pow_(x, constant(np.asarray(number, g.dtype) - 1))


int_div: ApiFunction = define("int_div", 2, common, None, doc="x // y, rounded down")
mod: ApiFunction = define(
    "mod", 2, common, lambda g, z, i: (g, -(g * int_div(i[0], i[1]))),
    doc="x % y, with the sign of y",
)  # fmt: skip
pow_: ApiFunction = define(
    "pow", 2, _power,
    lambda g, z, i: (
        _along_base(g, i[0], i[1]),
        None if isinstance(i[1], Constant) else g * switch(gt(i[0], 0), z * log(i[0]), 0),
    ),
    doc="x ** y; of integers it wraps, bools give int8",
)  # fmt: skip
# At x = y the first argument is the winner, so `maximum(0.0, z)` has slope 0 at z = 0.
maximum: ApiFunction = define(
    "maximum", 2, common,
    lambda g, z, i: (switch(ge(i[0], i[1]), g, 0), switch(gt(i[1], i[0]), g, 0)),
    doc="the largest of x, y, ...; NaN where one of them is", many=True,
)  # fmt: skip
minimum: ApiFunction = define(
    "minimum", 2, common,
    lambda g, z, i: (switch(le(i[0], i[1]), g, 0), switch(lt(i[1], i[0]), g, 0)),
    doc="the smallest of x, y, ...; NaN where one of them is", many=True,
)  # fmt: skip


@api_function
def clip(x: Any, min: Any, max: Any) -> Variable:
    """x where it lies between `min` and `max`, else the nearer of them; NaN stays NaN."""
    return minimum(maximum(x, min), max)


@api_function
def divmod_(x: Any, y: Any) -> tuple[Variable, Variable]:
    """(x // y, x % y)."""
    return int_div(x, y), mod(x, y)


eq: ApiFunction = define("eq", 2, truth, None, doc="x equals y")
neq: ApiFunction = define("neq", 2, truth, None, doc="x differs from y")
lt: ApiFunction = define("lt", 2, truth, None, doc="x < y")
le: ApiFunction = define("le", 2, truth, None, doc="x <= y")
gt: ApiFunction = define("gt", 2, truth, None, doc="x > y")
ge: ApiFunction = define("ge", 2, truth, None, doc="x >= y")
switch: ApiFunction = define(
    "switch", 3, _choice,
    lambda g, z, i: (None, switch(i[0], g, 0), switch(i[0], 0, g)),
    doc="y where x is true, else z",
    settle=_settle_branches,
)  # fmt: skip

identity: ApiFunction = define(
    "identity", 1, common, lambda g, z, i: (g,), doc="x, as a new variable"
)
stop_gradient: ApiFunction = define(
    "stop_gradient", 1, common, None, "identity", n_connected=0,
    doc="x, to which no gradient leads",
)  # fmt: skip
neg: ApiFunction = define("neg", 1, numeric, lambda g, z, i: (-g,), doc="-x")
abs_: ApiFunction = define("abs", 1, common, lambda g, z, i: (g * sgn(i[0]),), doc="|x|")
sgn: ApiFunction = define("sgn", 1, common, None, "sign", doc="-1, 0 or 1")
sqr: ApiFunction = define("sqr", 1, common, lambda g, z, i: (g * 2 * i[0],), doc="x squared")
sqrt: ApiFunction = define("sqrt", 1, upgraded, lambda g, z, i: (g * 0.5 / z,), doc="square root")
exp: ApiFunction = define("exp", 1, upgraded, lambda g, z, i: (g * z,), doc="e to the x")
log: ApiFunction = define("log", 1, upgraded, lambda g, z, i: (g / i[0],), doc="natural logarithm")
log1p: ApiFunction = define(
    "log1p", 1, upgraded, lambda g, z, i: (g / (i[0] + 1),), doc="log(1 + x)"
)
sigmoid: ApiFunction = define(
    "sigmoid", 1, upgraded, lambda g, z, i: (g * z * _one_minus(z),), doc="1 / (1 + exp(-x))"
)
tanh: ApiFunction = define(
    "tanh", 1, upgraded, lambda g, z, i: (g * (1 - sqr(z)),), doc="hyperbolic tangent"
)
softplus: ApiFunction = define(
    "softplus", 1, upgraded, lambda g, z, i: (g * sigmoid(i[0]),), doc="log(1 + exp(x))"
)

# 1 - sigmoid(x) of a user becomes sigmoid(-x); in the gradient of every layer that would cost an
# exponential more, where the factor sigmoid(x) hides what is gained.
_COMPLEMENT = register_op(
    Op(
        "complement",
        _infer,
        _reference("sub"),
        pull_back(lambda g, z, i: (g, -g)),
        tape_op="sub",
        infix=infix.difference,
    )
)


def _one_minus(z: Variable) -> Variable:
    """1 - z, which stays as it is."""
    return _COMPLEMENT(
        *_align(settle_constants([as_variable(1), z])), dtype=z.dtype, compute=z.dtype
    )


# --- cast: the one row whose dtype is the user's choice ----------------------------------------

_CAST = register_op(
    Op(
        "cast",
        _infer,
        _reference("identity"),
        pull_back(lambda g, z, i: (g,)),
        tape_op="identity",
        shown="dtype",
        infix=infix.cast,
    )
)


@api_function
def cast(x: Any, dtype: str) -> Variable:
    """`x` as another dtype: floats lose their fraction, bool is "not zero".

    'floatX' names the configured float.
    """
    variable = as_variable(x)
    dtype = check_dtype(dtype)
    if isinstance(variable, Constant) and variable.weak:
        return constant(variable.value, dtype)
    if variable.dtype == dtype:
        return variable
    compute = upcast(variable.dtype, dtype)
    return _CAST(variable, dtype=dtype, compute=compute if compute in FLOATS else "int64")


def number_like(number: float, x: Variable) -> Constant:
    """A number of a formula in the dtype of `x`, or in floatX if that is no float. A number that a
    user writes may be wider; see `settle_constants`."""
    return constant(number, x.dtype if x.type.is_float else config.floatX)


def as_float(x: Any) -> Variable:
    """`x`, or its counterpart in a float dtype where it is an integer or bool."""
    variable = as_variable(x)
    return cast(variable, upgraded([variable.dtype])[0])
