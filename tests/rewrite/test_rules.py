"""Each rule: the graph that it looks for becomes the graph that it promises, and no other does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate
from helpers.graphs import assert_same_graph, rewritten
from helpers.rules import Case, case, check_numbers, check_rule

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.op import OPS, constant
from tinygrad_mnist.ops.fused import SOFTMAX_XENT, SOFTMAX_XENT_GRAD
from tinygrad_mnist.ops.shape import static_broadcast, static_reshape
from tinygrad_mnist.ops.slices import STATIC_SLICE
from tinygrad_mnist.ops.softmax import log_softmax
from tinygrad_mnist.rewrite.cross_entropy import CROSS_ENTROPY
from tinygrad_mnist.rewrite.engine import Context, Rule, apply_rules
from tinygrad_mnist.rewrite.simplify import SIMPLIFY
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

RULES = {rule.name: rule for rule in [*SIMPLIFY, *CROSS_ENTROPY]}
XENT_IDENTITY = {"epilogue": Tape.identity("float64")}


def full(value: float, shape: tuple[int, ...] = (3, 4), ndim: int = 0) -> Variable:
    """A number, as a constant with `ndim` dimensions, repeated to a shape."""
    return static_broadcast(constant(np.full((1,) * ndim, value)), shape)


def labels(n: int = 3) -> Variable:
    return constant([1, 0, 3][:n], "int32")


def picked(scores: Variable) -> Variable:
    return scores[T.arange(3), labels()]


def scattered(values: Variable) -> Variable:
    return OPS["scatter_add"](
        full(0.0),
        values,
        constant([0, 1, 2], "int64"),
        labels(),
        n_index=2,
        axis=0,
        region=StaticSlice.whole((3, 4)),
        axes=(0, 1),
    )


def minus_share(x: Variable, s: Variable, axis: Any = 1) -> Variable:
    grad = T.grad(T.sum(picked(x)), x)
    return grad - s * T.sum(grad, axis=axis, keepdims=True)


def slice_of(x: Variable, start: int, n: int) -> Variable:
    return STATIC_SLICE(
        x,
        region=StaticSlice.whole(x.type.static_shape).along(0, start, n),
        broadcastable=x.broadcastable if n == 1 else (False, False),
    )


CASES = [
    case(
        "fold_constants",
        "matrix",
        lambda x: x * (constant([[1.0, 2, 3, 4]]) * 2),
        None,
        "was folded before",
    ),
    case(
        "fold_filled",
        "matrix",
        lambda x: x * (T.ones_like(x) + T.ones_like(x)),
        lambda x: x * full(2.0),
    ),
    case(
        "fold_filled",
        "matrix",
        lambda x: x * T.exp(T.zeros_like(x)),
        lambda x: x * full(1.0),
        "of one operand",
    ),
    case("neutral_element", "matrix", lambda x: T.exp(x + 0), T.exp, "x + 0"),
    case("neutral_element", "matrix", lambda x: T.exp(0 + x), T.exp, "0 + x"),
    case("neutral_element", "matrix", lambda x: T.exp(x - 0), T.exp, "x - 0"),
    case("neutral_element", "matrix", lambda x: T.exp(x * 1), T.exp, "x * 1"),
    case("neutral_element", "matrix", lambda x: T.exp(1 * x), T.exp, "1 * x"),
    case("neutral_element", "matrix", lambda x: T.exp(x / 1), T.exp, "x / 1"),
    case("neutral_element", "matrix", lambda x: T.exp(x**1), T.exp, "x ** 1"),
    case("neutral_element", "matrix", lambda x: x + T.zeros_like(x), lambda x: x, "filled"),
    case("neutral_element", "matrix", lambda x: 1 / x, None, "1 / x"),
    case("neutral_element", "matrix", lambda x: 1**x, None, "1 ** x"),
    case("neutral_element", "row matrix", lambda r, x: r + T.zeros_like(x), None, "that stretches"),
    case("neutral_element", "matrix", lambda x: T.cast(x, "int32") * 1.0, None, "of another dtype"),
    case("small_powers", "matrix", lambda x: x**2, T.sqr, "2"),
    case("small_powers", "matrix", lambda x: x**0.5, T.sqrt, "0.5"),
    case("small_powers", "matrix", lambda x: x**-1, lambda x: 1 / x, "-1"),
    case("small_powers", "matrix", lambda x: x**3, None, "3"),
    case("double_negation", "matrix", lambda x: T.exp(T.neg(-x)), T.exp),
    case("double_negation", "matrix", lambda x: -x, None, "once"),
    case("zero_minus", "matrix", lambda x: 0 - x, lambda x: -x),
    case("zero_minus", "matrix", lambda x: 1 - x, None, "1 - x"),
    case("zero_minus", "row matrix", lambda r, x: T.zeros_like(x) - r, None, "that stretches"),
    case(
        "compare_with_maximum",
        "matrix",
        lambda x: (T.maximum(0.5, x), x > 0.5),
        lambda x: (T.maximum(0.5, x), T.maximum(0.5, x) > 0.5),
    ),
    case(
        "compare_with_maximum",
        "matrix",
        lambda x: (T.maximum(x, 0.5), x > 0.5),
        lambda x: (T.maximum(x, 0.5), T.maximum(x, 0.5) > 0.5),
        "other order",
    ),
    case(
        "compare_with_maximum",
        "matrix",
        lambda x: (T.maximum(0.5, x), x > 0.25),
        None,
        "another number",
    ),
    case(
        "merge_dimshuffles",
        "matrix",
        lambda x: T.exp(x.T).T.T,
        lambda x: T.exp(x.T),
        "that undo each other",
    ),
    case(
        "merge_dimshuffles",
        "matrix",
        lambda x: x.dimshuffle("x", 1, 0).dimshuffle(2, 0, 1),
        lambda x: x.dimshuffle(0, "x", 1),
        "of an added axis",
    ),
    case(
        "merge_dimshuffles",
        "matrix",
        lambda x: x.dimshuffle("x", 1, 0).dimshuffle(2, 1),
        lambda x: x,
        "of a dropped axis",
    ),
    case(
        "merge_reshapes",
        "matrix",
        lambda x: x.reshape((2, 6)).reshape((12,)),
        lambda x: static_reshape(x, (12,), (False,)),
    ),
    case(
        "merge_reshapes",
        "matrix",
        lambda x: T.exp(x.reshape((2, 6)).reshape((3, 4))),
        T.exp,
        "to nothing",
    ),
    case(
        "unstretched_operands", "row matrix", lambda r, x: x + T.alloc(r, 3, 4), lambda r, x: x + r
    ),
    case(
        "unstretched_operands",
        "vector matrix",
        lambda v, x: x + T.alloc(v, 3, 4),
        lambda v, x: x + static_reshape(v, (1, 4), (True, False)),
        "of another rank",
    ),
    case(
        "unstretched_operands",
        "row",
        lambda r: T.exp(T.alloc(r, 3, 4)),
        None,
        "that give the shape",
    ),
    case("reduce_nothing", "row", lambda r: T.exp(T.sum(r, axis=0, keepdims=True)), T.exp),
    case(
        "reduce_nothing",
        "image",
        lambda x: T.max(x, axis=1, keepdims=True),
        lambda x: static_reshape(x, (2, 1, 4), (False, True, False)),
        "max",
    ),
    case("reduce_nothing", "matrix", lambda x: T.sum(x, axis=0), None, "of several"),
    case(
        "reduce_nothing",
        "row",
        lambda r: T.sum(T.cast(r, "int32"), axis=0),
        None,
        "of another dtype",
    ),
    case(
        "slice_before_elementwise",
        "matrix",
        lambda x: T.exp(x)[1:3],
        lambda x: T.exp(slice_of(x, 1, 2)),
    ),
    case(
        "slice_before_elementwise",
        "matrix row",
        lambda x, r: (x * r)[1:3],
        lambda x, r: slice_of(x, 1, 2) * slice_of(r, 0, 1),
        "of a stretched operand",
    ),
    case(
        "slice_before_elementwise", "matrix", lambda x: T.sum(x, axis=1)[1:], None, "of a reduction"
    ),
    case(
        "merge_casts",
        "matrix",
        lambda x: T.cast(T.cast(T.lt(x, 0), "int64"), "float64"),
        lambda x: T.cast(T.lt(x, 0), "float64"),
    ),
    case("merge_casts", "matrix", lambda x: T.cast(T.cast(x, "int64"), "float64"), None, "lossy"),
    case(
        "decided_switch",
        "matrix",
        lambda x: T.switch(constant([[True]]), x, T.exp(x)),
        lambda x: x,
    ),
    case(
        "decided_switch",
        "matrix",
        lambda x: T.switch(constant([[0]]), x, T.exp(x)),
        T.exp,
        "for the second",
    ),
    case("exp_of_log_softmax", "matrix", lambda x: T.exp(log_softmax(x)), T.nnet.softmax),
    case(
        "cross_entropy",
        "matrix",
        lambda x: picked(log_softmax(x)),
        lambda x: -SOFTMAX_XENT(x, labels()),
    ),
    case(
        "cross_entropy",
        "matrix",
        lambda x: log_softmax(x)[T.arange(3)[::-1], labels()],
        None,
        "of other rows",
    ),
    case("cross_entropy", "matrix", lambda x: log_softmax(x)[labels()[:2]], None, "of whole rows"),
    case(
        "gradient_of_cross_entropy",
        "matrix matrix",
        lambda x, z: minus_share(x, T.nnet.softmax(z)),
        lambda x, z: SOFTMAX_XENT_GRAD(
            T.nnet.softmax(z), labels(), -full(1.0, (3,), 1), **XENT_IDENTITY
        ),
    ),
    case(
        "gradient_of_cross_entropy",
        "matrix matrix",
        lambda x, z: minus_share(x, T.nnet.softmax(z), axis=0),
        None,
        "over columns",
    ),
    case(
        "gradient_of_cross_entropy",
        "matrix matrix",
        lambda x, z: minus_share(x, T.nnet.softmax(z), axis=(0, 1)),
        None,
        "over all",
    ),
    case(
        "gradient_of_cross_entropy",
        "matrix matrix",
        lambda x, z: minus_share(x, z),
        None,
        "of no softmax",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_rule(case: Case) -> None:
    check_rule(RULES[case.rule], case)


@pytest.mark.parametrize("case", CASES)
def test_numbers_stay(case: Case) -> None:
    check_numbers(case)


def test_constants_that_rules_leave_are_folded() -> None:
    x = T.dmatrix("x")
    made = OPS["add"](
        constant([[1.0, 2, 3, 4]]), constant([[2.0]]), dtype="float64", compute="float64"
    )
    (after,) = apply_rules([x * made], [RULES["fold_constants"]], Context(frozenset()))
    assert_same_graph(after, x * constant([[3.0, 4, 5, 6]]), x * made)


def test_a_draw_is_below_1_for_certain() -> None:
    stream = RandomStreams(1)
    outputs = [stream.binomial((3, 4), p=p, dtype="float64") for p in (1.0, 0.5)]
    shapes: dict[Variable, tuple[int, ...]] = {stream._counter: ()}
    _, after, _, context = rewritten(outputs, shapes, [RULES["certain_draw"]], lambda _: [])
    assert context.fired["certain_draw"] == 1
    assert [_depends_on_draw(v) for v in after] == [False, True]


def _depends_on_draw(v: Variable) -> bool:
    node = v.node
    if node is None:
        return False
    return node.op.name == "static_uniform" or any(map(_depends_on_draw, node.inputs))


def test_softmax_beside_cross_entropy() -> None:
    x = T.dmatrix("x")
    shapes = {x: (3, 4)}
    outputs = [SOFTMAX_XENT(x, labels()), T.nnet.softmax(x)]

    def expected(z: Variable) -> tuple[Variable, ...]:
        return SOFTMAX_XENT.node(z, labels()).outputs

    before, after, wanted, _ = rewritten(
        outputs, shapes, [RULES["softmax_beside_cross_entropy"]], expected
    )
    for triple in zip(after, wanted, before, strict=True):
        assert_same_graph(*triple)
    assert after[0].node is after[1].node


def test_cross_entropy_stays_where_the_backend_has_no_such_kernel() -> None:
    x = T.dmatrix("x")
    rules = [RULES["cross_entropy"], RULES["gradient_of_cross_entropy"]]
    outputs = [picked(log_softmax(x)), minus_share(x, T.nnet.softmax(x))]
    *_, context = rewritten(outputs, {x: (3, 4)}, rules, lambda _: [], frozenset({"gather"}))
    assert not context.fired


def test_equal_nodes_become_one() -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    outputs = [T.exp(x) + T.exp(x), T.exp(x), T.exp(y), T.sum(x, axis=0), T.sum(x, axis=1)]
    _, after, _, _ = rewritten(outputs, {x: (3, 3), y: (3, 3)}, [], lambda *_: [])
    total, first, other, *sums = after
    assert total.node is not None
    assert total.node.inputs == (first, first)
    assert other is not first
    assert sums[0].node is not sums[1].node


def test_every_rule_has_a_case() -> None:
    covered = {param.values[0].rule for param in CASES}
    apart = {"certain_draw", "softmax_beside_cross_entropy"}
    assert covered | apart == set(RULES)


def test_a_rule_that_changes_the_type_is_refused() -> None:
    x = T.dmatrix("x")
    wrong = Rule("wrong", ("exp",), lambda node, context: (T.cast(node.inputs[0], "float32"),))
    with pytest.raises(AssertionError, match=r"the rule wrong turns float64\(3, 4\) into float32"):
        rewritten([T.exp(x)], {x: (3, 4)}, [wrong], lambda _: [])


def test_rules_that_undo_each_other_are_noticed() -> None:
    x = T.dmatrix("x")
    there = Rule("there", ("exp",), lambda node, context: (T.tanh(node.inputs[0]),))
    back = Rule("back", ("tanh",), lambda node, context: (T.exp(node.inputs[0]),))
    with pytest.raises(AssertionError, match="rules undo each other"):
        rewritten([T.exp(x)], {x: (3, 4)}, [there, back], lambda _: [])


def test_a_slice_passes_any_number_of_nodes() -> None:
    x = T.dvector("x")
    y = x
    for _ in range(60):
        y = T.tanh(y)
    values = np.linspace(-1, 1, 5)
    plain, fused = (evaluate(device, [x], y[1:3], values) for device in ("reference", "fused"))
    np.testing.assert_allclose(fused, plain, rtol=1e-12)
