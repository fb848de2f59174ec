"""Inputs, givens and updates when a function is made."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest
from helpers.lines import line_of, made_in
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import (
    GivensError,
    GraphTypeError,
    MissingInputError,
    UnusedInputError,
)

HERE = made_in(__file__)


def test_an_unused_input(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    with pytest.raises(UnusedInputError, match="depends on the input y" + HERE):
        theano.function([x, y], x)
    assert theano.function([x, y], x, on_unused_input="ignore")(1, 2) == 1
    with pytest.warns(UserWarning, match="depends on the input y"):
        theano.function([x, y], x, on_unused_input="warn")
    with pytest.raises(GraphTypeError, match="on_unused_input is 'no'"):
        theano.function([x], x, on_unused_input="no")


SCALAR, ROW, MATRIX, WHOLE = T.dscalar("s"), T.drow("r"), T.dmatrix("m"), T.lscalar("i")
FOLDED: dict[str, tuple[theano.Variable, theano.Variable]] = {
    "zeros of a scalar": (SCALAR, T.zeros_like(SCALAR)),
    "their sum": (SCALAR, T.zeros_like(SCALAR).sum() + 1),
    "ones": (SCALAR, T.ones_like(SCALAR)),
    "fill": (SCALAR, T.fill(SCALAR, 3.0)),
    "times 0": (SCALAR, SCALAR * 0),
    "a constant gradient": (SCALAR, T.grad(3 * SCALAR, SCALAR)),
    "a gradient of it": (SCALAR, T.grad(T.grad(SCALAR**2, SCALAR), SCALAR)),
    "a gradient that is not asked for": (MATRIX, T.grad(3 * SCALAR + MATRIX.sum(), SCALAR)),
    "a gradient of a sum": (MATRIX, T.grad(MATRIX.sum(), MATRIX)),
    "isnan of integers": (WHOLE, T.isnan(WHOLE)),
    "an axis of length 1": (ROW, T.zeros_like(ROW[:, 0])),
    "a shape": (MATRIX, T.zeros_like(MATRIX).sum() + MATRIX.shape[0] * 0),
}


@pytest.mark.parametrize("name", FOLDED)
def test_an_input_that_folds_away_is_used(name: str) -> None:
    x, y = FOLDED[name]
    value = np.ones((1, 2)[: x.ndim], x.dtype)
    computed = theano.function([x], y)(value)
    unchecked = theano.function([x], y, on_unused_input="ignore")(value)
    np.testing.assert_array_equal(computed, unchecked)
    with pytest.raises(UnusedInputError):
        theano.function([x, T.dscalar()], y)


def test_an_input_behind_a_given_that_folds_away_is_used() -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    assert theano.function([y], T.ones_like(x), givens={x: y * 2})(3) == 1
    with pytest.raises(UnusedInputError):
        theano.function([x, y], T.ones_like(x))


def test_an_unused_input_is_reported_before_a_missing_one() -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    with pytest.raises(UnusedInputError, match="depends on the input y"):
        theano.function([y], x)
    with pytest.raises(MissingInputError):
        theano.function([y], x, on_unused_input="ignore")


def test_a_missing_input() -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    with pytest.raises(MissingInputError, match="depend on y, which is neither" + HERE):
        theano.function([x], x * y)


def test_inputs_that_are_none() -> None:
    x = T.dscalar("x")
    for wrong in (theano.shared(1.0), T.as_tensor_variable(1.0), 3.0, "x"):
        with pytest.raises(GraphTypeError, match="can't be an input of a function"):
            theano.function([wrong], x)  # type: ignore[list-item]
    for kind in (GraphTypeError, UnusedInputError):
        with pytest.raises(kind, match="twice among the inputs"):
            theano.function([x, theano.In(x)], x)


def test_an_expression_as_input_is_not_computed(device: str) -> None:
    x, y, z = T.dvectors("x", "y", "z")
    hidden = T.exp(x) * y
    w = theano.shared(np.zeros(2))
    function = theano.function(
        [hidden, y], T.sum(hidden * z), updates=[(w, w + hidden)], givens={z: y * 2}
    )
    assert function([1.0, 2.0], [10.0, 20.0]) == 2 * (10 + 40)
    np.testing.assert_array_equal(w.get_value(), [1, 2])
    with pytest.raises(MissingInputError, match="depend on x, which is neither"):
        theano.function([hidden], hidden + x)
    e = T.exp(x)
    with pytest.raises(GivensError, match="exp is an input and among the givens" + HERE):
        theano.function([e], e + 1, givens={e: x})


def test_options_that_theano_has(device: str) -> None:
    x = T.dscalar("x")
    mode_object = SimpleNamespace(linker="cvm", optimizer="fast_run")
    for mode in (None, "FAST_RUN", "FAST_COMPILE", "DebugMode", "DEBUG_MODE", "Mode", mode_object):
        options = {"mode": mode, "profile": False, "accept_inplace": True}
        assert theano.function([x], x + 1, **options)(1) == 2  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no mode 'quick'; there are None, 'FAST"):
        theano.function([x], x, mode="quick")
    w = theano.shared(1.0)
    with pytest.raises(GraphTypeError, match="it comes third, so give updates by name"):
        theano.function([x], x, [(w, w + x)])  # type: ignore[arg-type]


def test_arguments_stand_in_theanos_order(device: str) -> None:
    x, y, w = T.dscalar("x"), T.dscalar("y"), theano.shared(1.0)
    updates, givens = [(w, w + x)], {y: w * 2}
    step = theano.function([x], x + y, None, updates, givens, False, False, "step", True, True)
    assert (step(3), step.name, w.get_value()) == (5, "step", 4)


def test_givens_as_dict_and_as_pairs(device: str) -> None:
    x, y, i = T.dvector("x"), T.dvector("y"), T.lscalar("i")
    data = theano.shared(np.arange(10.0))
    batch = data[i * 2 : (i + 1) * 2]
    cost = T.sum(x * y)
    pairs = [(x, batch), (y, batch + 1)]
    for givens in (dict(pairs), pairs, tuple(pairs), [[x, batch], [y, batch + 1]], iter(pairs)):
        function = theano.function([i], cost, givens=givens)
        assert function(2) == 4 * 5 + 5 * 6


def test_givens_reach_updates_and_intermediate_expressions(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(np.zeros(3))
    hidden = T.exp(x)
    function = theano.function(
        [x], T.sum(hidden), updates=[(w, w + hidden)], givens={hidden: x * 2}
    )
    assert function(np.arange(3.0)) == 6
    np.testing.assert_array_equal(w.get_value(), [0, 2, 4])


def test_a_given_shared_variable(device: str) -> None:
    w, x = theano.shared(np.ones(3)), T.dvector("x")
    assert theano.function([x], T.sum(w * 2), givens={w: x})(np.arange(3.0)) == 6


def test_givens_that_do_not_fit() -> None:
    x, y = T.fvector("x"), T.dvector("y")
    with pytest.raises(GraphTypeError, match="the replacement of x is float64; it needs float32"):
        theano.function([y], x, givens={x: y})
    with pytest.raises(GraphTypeError, match="the replacement of x has 2 dimensions; it needs 1"):
        theano.function([], x, givens={x: T.matrix()})
    with pytest.raises(GraphTypeError, match="'x' among the givens is not a variable"):
        theano.function([x], x, givens={"x": y})
    with pytest.raises(GraphTypeError, match="x is given twice"):
        theano.function([y], x, givens=[(x, T.fvector()), (x, T.fvector())])
    for wrong in (x, [x], [(x,)]):
        with pytest.raises(GraphTypeError, match="givens are a dict or pairs"):
            theano.function([y], x, givens=wrong)  # type: ignore[arg-type]


def test_givens_are_put_in_in_order(device: str) -> None:
    a, b, c, d = T.dscalars("abcd")
    w = theano.shared(3.0, "w")
    for pairs, expected in (
        ([(b, a + 1), (c, b * 2)], [1, 2, 4, 3]),
        ([(w, w + a), (b, w * 2), (c, b + w)], [1, 8, 12, 4]),
        ([(b, c + 1), (c, d), (d, a)], None),
        ([(b, w), (w, a), (c, w)], None),
        ([(b, c), (c, b)], None),
    ):
        if expected is None:
            with pytest.raises(AssertionError, match="is given after a replacement"):
                theano.function([a], [a, b, c, w], givens=pairs)
            continue
        assert theano.function([a], [a, b, c, w], givens=pairs)(1) == expected
        assert theano.function([a], [a, b, c, w], givens=OrderedDict(pairs))(1) == expected


@hypothesis.given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=5))
def test_any_givens_in_order(choices: list[tuple[int, int]]) -> None:
    """Each replaces a variable by ten times one and 1; against the same with numbers."""
    v = [theano.shared(float(i)) for i in range(4)]
    given: dict[int, int] = {}
    used: set[int] = set()  # what replacements are made of that was not given before them
    fits = True
    for target, source in choices:
        fits = fits and target not in used and target not in given
        if source not in given:
            used.add(source)
        given[target] = given.get(source, source) * 10 + 1
    pairs = [(v[target], v[source] * 10 + 1) for target, source in choices]
    if fits:
        assert theano.function([], v, givens=pairs)() == [given.get(i, i) for i in range(4)]
    else:
        with pytest.raises(GraphTypeError, match=r"is given (after|twice)"):
            theano.function([], v, givens=pairs)


def test_a_given_expression_is_seen_by_later_ones(device: str) -> None:
    a, b, c = T.dscalars("abc")
    e = T.exp(b)
    assert theano.function([a], c + e, givens=[(e, a), (c, e * 2)])(5) == 15
    with pytest.raises(GivensError, match="exp is given after a replacement"):
        theano.function([a, b], c + e, givens=[(c, e * 2), (e, a)])


@pytest.mark.parametrize("kind", [RuntimeError, TypeError])
def test_an_input_is_not_given(kind: type[Exception]) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    for givens in ({x: x + 1}, {x: y}, {y: 1.0, x: 2.0}):
        with pytest.raises(kind, match="x is an input and among the givens" + HERE):
            theano.function([x], x * 2 + y, givens=givens)


def test_a_given_may_be_made_of_what_it_replaces(device: str) -> None:
    w = theano.shared(1.0)
    w.default_update = w + 3
    function = theano.function([], w + 10, givens={w: w + 10})
    assert [function(), function()] == [21, 34]


def test_values_as_givens(device: str) -> None:
    x, n = T.fvector("x"), T.lscalar("n")
    for value in (np.float32([1, 2]), [np.float32(1), np.float32(2)]):
        assert theano.function([], T.sum(x * n), givens={x: value, n: 3})() == 9


def test_givens_of_another_dtype(device: str) -> None:
    x, y = T.fvector("x"), T.dvector("y")
    w = theano.shared(np.zeros(3))
    function = theano.function(
        [y], T.exp(x), updates=[(w, x * 2)], givens={x: y}, rebuild_strict=False
    )
    value = np.arange(3.0) + 0.1
    result = function(value)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, np.exp(value), rtol=1e-6)
    np.testing.assert_array_equal(w.get_value(), 2 * value.astype("float32"))
    with pytest.raises(GraphTypeError, match="the replacement of x has 2 dimensions; it needs 1"):
        theano.function([], x, givens={x: T.dmatrix()}, rebuild_strict=False)


def test_what_a_given_cuts_off_is_left_alone(device: str) -> None:
    """What only the replaced expression needs is neither an input nor has to fit."""
    x, y, i = T.dvector("x"), T.dvector("y"), T.lscalar("i")
    hidden = y[i : i + 2] * 3
    givens = {hidden: x, i: T.dscalar("j")}
    function = theano.function([x], hidden * 2, givens=givens, rebuild_strict=False)
    np.testing.assert_array_equal(function([1.0, 2.0]), [2, 4])


def test_default_updates_see_the_givens(device: str) -> None:
    by = T.lscalar("by")
    c = theano.shared(np.int64(0))
    c.default_update = c + by
    function = theano.function([], c * 2, givens={by: np.int64(5)})
    assert [int(function()) for _ in range(3)] == [0, 10, 20]


def test_updates_that_do_not_fit() -> None:
    w, x = theano.shared(np.float32([1, 2]), "w"), T.dvector("x")
    with pytest.raises(
        GraphTypeError, match=r"the update of w is float64; it needs float32: use"
    ) as e:
        theano.function([x], [], updates=[(w, w - 0.1 * x)])
    assert "T.cast(..., 'float32')" in str(e.value)
    assert f"made at {line_of(test_updates_that_do_not_fit, 5)}" in str(e.value)
    with pytest.raises(GraphTypeError, match="the update of w has 0 dimensions; it needs 1"):
        theano.function([], [], updates=[(w, T.sum(w))])
    with pytest.raises(GraphTypeError, match="x can't be updated; only shared variables can"):
        theano.function([x], [], updates=[(x, x)])
    for kind in (GraphTypeError, ValueError):
        with pytest.raises(kind, match="w is updated twice"):
            theano.function([], [], updates=[(w, w), (w, w)])
    for wrong in (w, [(w, w, w)], 3):
        with pytest.raises(GraphTypeError, match="updates are a dict or pairs"):
            theano.function([], [], updates=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "number"), [("int64", 2.5), ("int8", 300), ("bool", 2)])
def test_numbers_that_a_variable_can_not_hold(dtype: str, number: float) -> None:
    w, x = theano.shared(np.zeros((), dtype), "w"), T.scalar("x", dtype)
    for options in ({"updates": [(w, number)]}, {"givens": {w: number}}, {"givens": {x: number}}):
        with pytest.raises(TypeError, match=rf"is {number}; {dtype} can't hold it"):
            theano.function([], [w + 0, x + 0], **options)
    theano.function([], [], updates=[(w, 1.0)])()
    assert w.get_value() == 1


def test_an_update_of_a_matrix_does_not_broadcast() -> None:
    w = theano.shared(np.ones((2, 3)), "w")
    for value in (w.sum().dimshuffle("x", "x"), w.sum(axis=0, keepdims=True), T.drow("r")):
        with pytest.raises(TypeError, match=r"the update of w broadcasts along .*T.unbroadcast"):
            theano.function([], [], updates=[(w, value)])
    theano.function([], [], updates=[(w, np.zeros((1, 3)))])()
    np.testing.assert_array_equal(w.get_value(), [[0, 0, 0]])


def test_a_given_of_a_row_broadcasts() -> None:
    r, m, w = T.drow("r"), T.dmatrix("m"), theano.shared(np.ones((1, 3)))
    with pytest.raises(TypeError, match=r"the replacement of r .*T.addbroadcast\(..., 0\)"):
        theano.function([], r * 2, givens={r: w})
    row = theano.shared(np.ones((1, 3)), broadcastable=(True, False))
    assert theano.function([], m * 2, givens={m: row})().shape == (1, 3)


def test_updates_as_dicts_and_pairs(device: str) -> None:
    a, b = theano.shared(1.0), theano.shared(2.0)
    pairs = [(a, a + b), (b, b * 2)]
    for updates in (dict(pairs), OrderedDict(pairs), pairs, tuple(pairs), iter(pairs)):
        a.set_value(1.0)
        b.set_value(2.0)
        theano.function([], updates=updates)()
        assert (a.get_value(), b.get_value()) == (3, 4)


def test_narrower_updates_are_converted(device: str) -> None:
    w, n = theano.shared(np.zeros(2)), theano.shared(np.int64(0))
    x, i = T.fvector("x"), T.iscalar("i")
    updates = {w: x * 2, n: i}
    theano.function([x, i], [], updates=updates)(np.float32([1, 2]), 3)
    np.testing.assert_array_equal(w.get_value(), [2, 4])
    assert w.get_value().dtype == "float64"
    assert n.get_value() == 3


def test_inputs_are_a_list() -> None:
    x = T.dscalar("x")
    with pytest.raises(GraphTypeError, match="the inputs of a function are a list"):
        theano.function(x, x)


def test_eval(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(2.0)
    np.testing.assert_array_equal((x * w).eval({x: [1, 2]}), [2, 4])
    assert (w + 1).eval() == 3
