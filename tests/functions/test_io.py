"""`In`, `Out` and `Param`: defaults, inputs that keep their value, borrowed outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.lines import made_in

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import In, Out, Param
from tinygrad_mnist.errors import GraphTypeError, IndexOutOfRangeError, MissingInputError

HERE = made_in(__file__)


# --- defaults -------------------------------------------------------------------------------------


def test_inputs_with_defaults_may_be_left_out(device: str) -> None:
    x, y, w = map(T.dscalar, "xyw")
    function = theano.function([x, In(y, value=1), In(w, name="w_by_name", value=2)], (x + y) * w)
    assert function(33) == 68
    assert function(33, 2) == 70
    assert function(33, 0, 1) == 33
    assert function(33, w_by_name=1) == 34
    assert function(33, w_by_name=1, y=0) == function(w_by_name=1, y=0, x=33) == 33
    with pytest.raises(GraphTypeError, match=r"needs a value for input 0 \(x\)$"):
        function(y=1)
    with pytest.raises(GraphTypeError, match="has no input 'w' left to set"):
        function(33, w=1)


def test_a_default_before_an_input_without(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    function = theano.function([In(x, value=10), y], x - y)
    assert (function(y=3), function(1, 3), function(y=1, x=2)) == (7, -2, 1)
    with pytest.raises(GraphTypeError, match=r"needs a value for input 1 \(y\)"):
        function(3)


def test_a_default_is_an_array_of_its_own(device: str) -> None:
    x = T.dvector("x")
    value = np.array([1.0, 2.0])
    function = theano.function([In(x, value=value)], x * 2)
    value[0] = 100
    np.testing.assert_array_equal(function(), [2, 4])
    np.testing.assert_array_equal(function([5]), [10])
    np.testing.assert_array_equal(function(), [2, 4])


def test_a_default_of_a_bound(device: str) -> None:
    """Integers that slices and shapes depend on may have defaults, too."""
    i, n = T.lscalar("i"), T.iscalar("n")
    data = theano.shared(np.arange(12.0))
    function = theano.function([i, In(n, value=3)], data[i * n : (i + 1) * n])
    np.testing.assert_array_equal(function(2), [6, 7, 8])
    np.testing.assert_array_equal(function(1, 5), [5, 6, 7, 8, 9])
    np.testing.assert_array_equal(function(1), [3, 4, 5])


def test_a_default_has_to_fit() -> None:
    x = T.fvector("x")
    with pytest.raises(GraphTypeError, match=r"input 0 \(x\) of step has 1 dimensions" + HERE):
        theano.function([In(x, value=1.0)], x, name="step")
    with pytest.raises(GraphTypeError, match=r"input 0 \(rate\) is float32; the value is float64"):
        theano.function([In(x, name="rate", value=np.array([0.1]))], x)
    assert theano.function([In(x, value=np.array([0.1]))], x, allow_input_downcast=True)() == (
        np.float32([0.1])
    )


def test_names_that_stand_twice(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("x")
    function = theano.function([x, y], x - y)
    assert function(3, 1) == 2
    with pytest.raises(GraphTypeError, match="several inputs called 'x'; give them by position"):
        function(3, x=1)


def test_param_is_an_input_with_a_default(device: str) -> None:
    x, rate = T.dscalar("x"), T.dscalar("rate")
    function = theano.function([x, Param(rate, default=0.5)], x * rate)
    assert (function(4), function(4, 2), function(4, rate=1)) == (2, 8, 4)


# --- what a value has to be -----------------------------------------------------------------------


def test_strict_inputs_take_arrays_of_their_dtype(device: str) -> None:
    x, i = T.fvector("x"), T.lscalar("i")
    function = theano.function([In(x, strict=True), In(i, strict=True)], x * i)
    np.testing.assert_array_equal(function(np.float32([1, 2]), np.int64(3)), [3, 6])
    for value, kind in (([1, 2], "list"), (np.array([1.0]), "float64"), (np.int8([1]), "int8")):
        with pytest.raises(GraphTypeError, match=f"takes only float32 arrays, not {kind}" + HERE):
            function(value, np.int64(3))
    for value, kind in ((3, "int"), (np.int32(3), "int32")):
        with pytest.raises(GraphTypeError, match=f"takes only int64 arrays, not {kind}"):
            function(np.float32([1, 2]), value)


def test_every_input_has_its_own_downcast(device: str) -> None:
    x, y, z = T.fscalar("x"), T.fscalar("y"), T.fscalar("z")
    inputs = [In(x, allow_downcast=True), In(y, allow_downcast=False), z]
    function = theano.function(inputs, x + y + z, allow_input_downcast=None)
    assert function(np.float64(0.1), 0.5, 0.1) == np.float32(0.1) + np.float32(0.5) + np.float32(
        0.1
    )
    with pytest.raises(GraphTypeError, match=r"input 1 \(y\) is float32; the value is float64"):
        function(0.1, 0.1, 0.1)
    with pytest.raises(GraphTypeError, match=r"input 2 \(z\) is float32; the value is float64"):
        function(0.1, 0.5, np.float64(0.1))
    lenient = theano.function([x, In(y, allow_downcast=False)], x + y, allow_input_downcast=True)
    assert lenient(np.float64(0.1), 0.5) == np.float32(0.1) + np.float32(0.5)
    with pytest.raises(GraphTypeError, match=r"input 1 \(y\) is float32"):
        lenient(0.1, np.array(0.1))


# --- inputs that keep their value -----------------------------------------------------------------


def accumulator(**options: Any) -> theano.Function:
    state, by = T.dscalar("state"), T.dscalar("by")
    inputs = [by, In(state, value=10, update=state + by)]
    return theano.function(inputs, state, **options)


def test_an_input_with_an_update_keeps_its_value(device: str) -> None:
    add = accumulator()
    assert [float(add(n)) for n in (1, 2, 3)] == [10, 11, 13]
    assert add["state"] == add[1] == 16
    add["state"] = 100
    assert add(5) == 100
    assert add["state"] == 105
    assert add(5, 0) == 0  # a caller's value is kept, and updated
    assert add["state"] == 5
    assert add(1, state=-1) == -1
    assert add["state"] == 0
    assert add.get_shared() == []


def test_two_functions_keep_values_apart(device: str) -> None:
    one, two = accumulator(), accumulator()
    one(5)
    assert (one["state"], two["state"]) == (15, 10)


def test_values_that_a_function_does_not_keep() -> None:
    add = accumulator(name="add")
    with pytest.raises(KeyError, match=r"input 0 \(by\) of add keeps no value"):
        _ = add["by"]
    for key in ("no", 2, -1, T.dscalar()):
        with pytest.raises(KeyError, match="add has no input"):
            add[key] = 3
    with pytest.raises(TypeError, match="0 dimensions; the new value has 1"):
        add["state"] = [1, 2]


def test_a_default_is_read_and_set(device: str) -> None:
    x, a, s = T.dscalars("x", "a", "s")
    new = s + a * x
    function = theano.function(
        [x, theano.In(a, value=1.0), theano.In(s, value=0.0, update=new)], new
    )
    assert (function[a], function["s"]) == (1, 0)
    assert (function(3.0), function(3.0, a=2.0)) == (3, 9)
    assert (function[a], function[s]) == (1, 9)
    function["a"] = 5.0
    assert function[1] == 5
    assert function(3.0) == 24
    with pytest.raises(TypeError):
        function[a] = [1.0]
    with pytest.raises(KeyError, match="keeps no value"):
        function[x] = 1.0


def test_a_failed_call_keeps_the_value_before(device: str) -> None:
    state, index = T.dvector("state"), T.lvector("index")
    values = theano.shared(np.arange(3.0))
    function = theano.function(
        [index, In(state, value=[1.0], update=state * 2)], T.sum(values[index]) + T.sum(state)
    )
    assert function([0], [5.0, 6.0]) == 11
    np.testing.assert_array_equal(function["state"], [10, 12])
    with pytest.raises(IndexOutOfRangeError):
        function([3], [7.0])
    np.testing.assert_array_equal(function["state"], [10, 12])


def test_a_shared_variable_as_value(device: str) -> None:
    x, by = T.dvector("x"), T.dscalar("by")
    w = theano.shared(np.array([1.0, 2.0]), "w")
    scale = theano.function([by, In(x, value=w, update=x * by)], T.sum(x))
    read = theano.function([In(x, value=w)], x + 1)
    assert scale(3) == 3
    np.testing.assert_array_equal(w.get_value(), [3, 6])
    np.testing.assert_array_equal(read(), [4, 7])
    np.testing.assert_array_equal(scale["x"], [3, 6])
    assert scale.get_shared() == [w]
    for call in (lambda: scale(3, [1.0, 1.0]), lambda: scale(3, x=[1.0, 1.0]), lambda: read([1.0])):
        with pytest.raises(GraphTypeError, match=r"input \d \(x\) is implicit: it can't be given"):
            call()


def test_a_shared_variable_that_callers_may_overwrite(device: str) -> None:
    x = T.dvector("x")
    w = theano.shared(np.array([1.0, 2.0]))
    function = theano.function([In(x, value=w, implicit=False)], x * 2)
    np.testing.assert_array_equal(function(), [2, 4])
    np.testing.assert_array_equal(function([5.0]), [10])
    np.testing.assert_array_equal(w.get_value(), [5])


def test_an_implicit_default_can_not_be_given() -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    function = theano.function([x, In(y, value=2, implicit=True)], x * y)
    assert function(3) == 6
    with pytest.raises(GraphTypeError, match=r"input 1 \(y\) is implicit"):
        function(3, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"update": T.dscalar()}, "x needs a value to start from" + HERE),
        ({"implicit": True}, "x needs a value to start from"),
        ({"name": 3}, "the name of an input is text, not 3"),
        ({"value": T.dscalar("y")}, "the value of the input x is y, which is symbolic"),
        ({"mutable": True, "borrow": False}, "x is mutable, but must not be borrowed"),
    ],
)
def test_inputs_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphTypeError, match=message):
        In(T.dscalar("x"), **options)


def test_two_functions_keep_one_value(device: str) -> None:
    x, s = T.dscalars("xs")
    up = theano.function([x, theano.In(s, value=0.0, update=s + x)], s)
    down = theano.function([x, theano.In(s, value=up.container[s], update=s - x)], s)
    assert (up(5), up["s"], down[s]) == (0, 5, 5)
    assert (down(2), up[s]) == (5, 3)
    assert up.container["s"] is up.container[s]
    with pytest.raises(KeyError):
        _ = up.container[x]


def test_an_input_without_its_variables_name() -> None:
    x = T.dscalar("x")
    function = theano.function([theano.In(x, autoname=False)], x * 2)
    assert function(2) == 4
    with pytest.raises(TypeError, match="no input 'x'"):
        function(x=2)


def test_an_update_without_a_value_to_start_from() -> None:
    x, s = T.dscalars("xs")
    with pytest.raises(MissingInputError, match="the input x needs a value to start from"):
        theano.function([theano.In(x, update=s + x)], x)


def test_a_shared_value_of_another_type() -> None:
    x = T.dvector("x")
    for value in (np.float32([1]), 1.0):
        with pytest.raises(GraphTypeError, match=r"\(x\) is a float64 vector; its value w"):
            theano.function([In(x, value=theano.shared(value, "w"))], x)


def test_an_update_of_an_input_has_to_fit() -> None:
    x = T.fvector("x")
    with pytest.raises(GraphTypeError, match="the update of x is float64; it needs float32"):
        theano.function([In(x, value=np.float32([1]), update=x * T.dvector())], x)
    w = theano.shared(np.float32([1]), "w")
    with pytest.raises(GraphTypeError, match="w is updated twice"):
        theano.function([In(x, value=w, update=x * 2)], x, updates=[(w, w)])


# --- outputs --------------------------------------------------------------------------------------


def test_a_borrowed_output_is_overwritten(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], [Out(x + 1, borrow=True), x + 1, Out(x * 2)])
    first = function([1.0, 2.0])
    second = function([5.0, 6.0])
    assert second[0] is first[0]
    np.testing.assert_array_equal(first[0], [6, 7])
    np.testing.assert_array_equal(first[1], [2, 3])
    np.testing.assert_array_equal(first[2], [2, 4])
    other = function([1.0])
    assert other[0].shape == (1,)
    np.testing.assert_array_equal(first[0], [6, 7])


def test_a_borrowed_output_as_the_next_input(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], Out(x[::-1] + T.sum(x), borrow=True))
    value = np.array([1.0, 2.0, 3.0])
    result = value
    for _ in range(3):
        value = value[::-1] + value.sum()
        result = function(result)
        np.testing.assert_array_equal(result, value)


def test_a_borrowed_output_is_never_shared_storage(device: str) -> None:
    w = theano.shared(np.array([1.0, 2.0]))
    x = T.dvector("x")
    function = theano.function([x], [Out(w, borrow=True), Out(x, borrow=True)])
    value = np.array([3.0, 4.0])
    first, second = function(value)
    first += 10
    second += 10
    np.testing.assert_array_equal(w.get_value(), [1, 2])
    np.testing.assert_array_equal(value, [3, 4])


def test_outputs_by_name(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], {"sum": T.sum(x), "double": Out(x * 2, borrow=True), "one": 1})
    result = function([1.0, 2.0])
    assert list(result) == ["sum", "double", "one"]
    assert result["sum"] == 3
    np.testing.assert_array_equal(result["double"], [2, 4])
    assert result["one"] == 1
    swept = function.sweep(np.ones((3, 2)))
    assert swept["double"].shape == (3, 2)
    assert theano.function([x], {}, on_unused_input="ignore")([1.0]) == {}
    with pytest.raises(GraphTypeError, match="the keys of a dict of outputs are strings"):
        theano.function([x], {1: x})
