"""Pickles and copies of variables, nodes, graphs, ops and types."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import HOMES, OPS
from tinygrad_mnist.graph.pickling import find_op
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.traversal import leaves, toposort
from tinygrad_mnist.graph.types import tensor_type
from tinygrad_mnist.graph.variables import Constant, Op, Variable
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

A = np.arange(6, dtype="float32").reshape(2, 3)

Again = Callable[[Any], Any]


def _pickled(protocol: int) -> Again:
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


AGAIN: list[Any] = [
    *(pytest.param(_pickled(n), id=f"protocol {n}") for n in range(pickle.HIGHEST_PROTOCOL + 1)),
    pytest.param(lambda value: pickle.loads(pickle._dumps(value)), id="pickle in Python"),  # type: ignore[attr-defined]
    pytest.param(copy.deepcopy, id="deepcopy"),
]


@pytest.fixture(params=AGAIN)
def again(request: pytest.FixtureRequest) -> Again:
    """A value pickled and loaded, with every protocol, or copied deeply."""
    return request.param  # type: ignore[no-any-return]


def graph() -> dict[str, Any]:
    """Variables of every kind, and expressions of many ops over them."""
    x, i, w = T.fmatrix("x"), T.lscalar("i"), theano.shared(A, "w")
    b = theano.shared(A[:1], "b", broadcastable=(True, False))
    hidden = T.tanh(T.dot(x, w) + b)
    hidden.name = "hidden"
    drawn = RandomStreams(3).normal((2, 3), avg=hidden[:2])
    top = T.nnet.softmax(hidden)[T.arange(2), [0, 1]].sum()
    cost = top + T.set_subtensor(w[i], 3).mean() + drawn.max(axis=0, keepdims=True).sum()
    return {"inputs": [x, i], "w": w, "hidden": hidden, "cost": cost, "grad": T.grad(cost, w)}


def values(of: dict[str, Any]) -> list[Any]:
    """What the expressions of `graph` compute."""
    function = theano.function(of["inputs"], [of["hidden"], of["cost"], of["grad"]])
    return [function(A[:, :2], 1), of["w"].get_value()]


def same(a: Any, b: Any) -> None:
    """Asserts that nested lists of arrays are equal, bit for bit."""
    assert type(a) is type(b)
    if isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        np.testing.assert_array_equal(a, b)


def test_a_graph_computes_the_same(device: str) -> None:
    expected = values(graph())
    for protocol in (2, 5):
        same(values(_pickled(protocol)(graph())), expected)
    same(values(copy.deepcopy(graph())), expected)


def test_what_is_written_together_is_shared(again: Again) -> None:
    of = again(graph())
    x, w = of["inputs"][0], of["w"]
    found = leaves([of["cost"], of["grad"]])
    assert x in found
    assert w in found
    assert of["hidden"] in [v for node in toposort([of["cost"]]) for v in node.inputs]
    counters = [v for v in found if v.name == "random_step"]
    assert len(counters) == 1
    assert isinstance(counters[0], SharedVariable)
    assert counters[0] in leaves([counters[0].default_update])


def test_names_types_lines_and_nodes_stay(again: Again) -> None:
    before, after = graph()["cost"], None
    after = again(before)
    old, new = toposort([before]), toposort([after])
    assert [node.op for node in new] == [node.op for node in old]
    assert [node.origins for node in new] == [node.origins for node in old]
    for a, b in zip(old, new, strict=True):
        assert a is not b
        assert dict(a.params) == dict(b.params)
        assert [(v.type, v.type.shape, v.name) for v in a.outputs] == [
            (v.type, v.type.shape, v.name) for v in b.outputs
        ]
        assert all(v.node is b for v in b.outputs)
    assert [(type(v), v.type, v.name, v.origins) for v in leaves([before])] == [
        (type(v), v.type, v.name, v.origins) for v in leaves([after])
    ]


def test_a_node_and_its_results(again: Again) -> None:
    y = T.exp(T.dvector("x"))
    node, result, also = again([y.node, y, y.node])
    assert node is also
    assert result is node.outputs[0]
    assert result.node is node
    result, node = again((y, y.node))
    assert result.node is node


@pytest.mark.parametrize(
    "value", [2, 2.5, True, np.float32(1), np.ones((1, 3), "int8"), np.zeros((0, 2)), np.array(3)]
)
def test_constants(again: Again, value: Any) -> None:
    before = T.as_tensor_variable(value)
    after = again(before)
    assert isinstance(before, Constant)
    assert isinstance(after, Constant)
    assert (after.type, after.weak, after.name) == (before.type, before.weak, before.name)
    np.testing.assert_array_equal(after.value, before.value)
    assert not after.value.flags.writeable
    assert (again(T.fscalar() + before)).dtype == (T.fscalar() + before).dtype


def test_shared_variables_hold_values_of_their_own(again: Again) -> None:
    w = theano.shared(A, "w")
    w.default_update = w + 1
    v, expression = again((w, T.exp(w)))
    assert isinstance(v, SharedVariable)
    assert leaves([expression]) == [v]
    assert v.default_update is not None
    assert v in leaves([v.default_update])
    theano.function([], v)()
    np.testing.assert_array_equal(v.get_value(), A + 1)
    np.testing.assert_array_equal(w.get_value(), A)
    assert not np.shares_memory(v.get_value(borrow=True), w.get_value(borrow=True))


def test_two_deep_graphs_over_one_input(again: Again) -> None:
    x = T.dscalar("x")
    up, down = x, x
    for _ in range(1500):
        up, down = T.sqr(up), T.neg(down)
    first, second = again((up, down))
    assert leaves([first]) == leaves([second])
    assert [len(toposort([v])) for v in (first, second)] == [1500, 1500]


@pytest.mark.parametrize("again", [_pickled(2), copy.deepcopy])
def test_20_000_nodes(again: Again) -> None:
    y = T.dscalar("x")
    for _ in range(20_000):
        y = T.neg(y)
    assert sys.getrecursionlimit() < 20_000
    (found,) = leaves([again(y)])
    assert found.name == "x"


@pytest.mark.parametrize("again", [_pickled(2), copy.deepcopy])
def test_a_long_chain_of_default_updates(again: Again) -> None:
    first = after = theano.shared(1.0, "s0")
    for k in range(1, 1000):
        before = theano.shared(1.0, f"s{k}")
        after.default_update = after + before
        after = before
    after.default_update = after + first
    found, last = again([first, after])
    count, v = 1, found
    while v is not last:
        assert v.default_update is not None
        (v,) = (leaf for leaf in leaves([v.default_update]) if leaf is not v)
        count += 1
    assert count == 1000
    assert found in leaves([last.default_update])


def test_all_results_of_a_deep_graph() -> None:
    every = [T.dscalar("x")]
    for _ in range(3000):
        every.append(T.neg(every[-1]))
    for order in (every, every[::-1]):
        found = _pickled(4)(order)
        if order is not every:
            found.reverse()
        for before, after in itertools.pairwise(found):
            assert after.node is not None
            assert after.node.inputs == (before,)


def test_a_part_is_written_without_the_rest() -> None:
    big = theano.shared(np.zeros(100_000), "big")
    part = T.dvector("x") * 2
    whole = part + big
    assert len(pickle.dumps(whole)) > 800_000
    assert len(pickle.dumps(part)) < 5000
    pickler = pickle.Pickler(io.BytesIO())  # which keeps what it has written
    pickler.dump(whole)
    assert [v.name for v in leaves([_pickled(4)(part)])] == [None, "x"]


def test_pickles_of_several_threads() -> None:
    y = T.dvector("x")
    for _ in range(500):
        y = T.tanh(y) + y
    expected = len(toposort([y]))
    counts: list[int] = []

    def work() -> None:
        for _ in range(5):
            counts.append(len(toposort([_pickled(4)(y)])))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [expected] * 20


# --- attributes -----------------------------------------------------------------------------------


class Layer:
    """As libraries hang them on variables: it leads back to them."""

    def __init__(self, inputs: list[Variable], output: Variable) -> None:
        self.inputs, self.output = inputs, output


def test_attributes_that_lead_back(again: Again) -> None:
    x = T.dmatrix("x")
    y = T.exp(x)
    z = T.neg(y)
    layer = Layer([x], y)
    for v in (x, y):
        v._layer = layer  # type: ignore[attr-defined]
        v.tag.test_value = A
    assert y.node is not None
    y.node.tag.cost = z  # type: ignore[attr-defined]
    for wanted in (x, y, z, layer):
        found = again(wanted)
        if isinstance(found, Layer):
            found = found.output
        elif found.name == "x":
            found = found._layer.output
        elif found.node.op.name == "neg":
            found = found.node.inputs[0]
        assert found.node.op.name == "exp"
        (top,) = found.node.inputs
        assert top._layer is found._layer
        assert found._layer.output is found
        assert found._layer.inputs == [top]
        assert found.node.tag.cost.node.inputs == (found,)
        np.testing.assert_array_equal(found.tag.test_value, A)


def test_updates_as_a_dict(again: Again) -> None:
    w, v = theano.shared(A, "w"), theano.shared(A * 0, "v")
    x = T.fvector("x")
    updates = again({w: w - v, v: 0.9 * v + x})
    (w2, v2), new = list(updates), list(updates.values())
    assert (w2.name, v2.name) == ("w", "v")
    assert leaves([new[0]]) == [w2, v2]
    (x2,) = (leaf for leaf in leaves([new[1]]) if leaf.name == "x")
    step = theano.function([x2], [], updates=updates)
    step(np.ones(3, "float32"))
    step(np.ones(3, "float32"))
    np.testing.assert_array_equal(w2.get_value(), A - 1)
    np.testing.assert_array_equal(w.get_value(), A)


def test_random_streams_go_on(again: Again) -> None:
    stream = RandomStreams(5)
    draw = stream.uniform((4,))
    theano.function([], draw)()
    other, its_draw = again((stream, draw))
    new, its_new = stream.normal((3,)), other.normal((3,))
    function, its_function = (
        theano.function([], [draw, new]),
        theano.function([], [its_draw, its_new]),
    )
    for _ in range(2):
        same(its_function(), function())
    other.seed(1)
    stream.seed(1)
    same(its_function(), function())


# --- shallow copies -------------------------------------------------------------------------------


def test_shallow_copies() -> None:
    x, w = T.fmatrix("x"), theano.shared(A, "w")
    x.role = "data"  # type: ignore[attr-defined]
    y = T.exp(x * w)
    y.name = "y"
    for v in (x, w, y, T.as_tensor_variable(2.5)):
        other = copy.copy(v)
        assert other is not v
        assert (type(other), other.type, other.name) == (type(v), v.type, v.name)
        assert other.origins == v.origins
    assert copy.copy(x).role == "data"  # type: ignore[attr-defined]
    twin = copy.copy(y)
    assert twin.node is not None
    assert y.node is not None
    assert twin.node is not y.node
    assert twin.node.inputs == y.node.inputs
    same(*theano.function([x], [twin, y])(A))
    other_w = copy.copy(w)
    other_w.set_value(A + 1)
    np.testing.assert_array_equal(w.get_value(), A)
    assert copy.copy(y.node).inputs == y.node.inputs


# --- ops and types --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OPS))
def test_an_op_is_itself(name: str) -> None:
    op = OPS[name]
    assert _pickled(2)(op) is copy.deepcopy(op) is copy.copy(op) is op
    assert HOMES[name] in sys.modules


def test_ops_that_a_pickle_lacks() -> None:
    with pytest.raises(GraphTypeError, match="the op 'loose' is not registered"):
        pickle.dumps(Op("loose", OPS["exp"].infer, None))
    with pytest.raises(GraphTypeError, match="json registers no op 'gone'"):
        find_op("gone", "json")


def test_types_intern(again: Again) -> None:
    first, second = tensor_type("int8", (True, False)), tensor_type("int8", (True, False))
    a, b = again((first, second))
    assert a == b == first
    assert a is b


@pytest.mark.parametrize("module", [T, T.nnet, T.signal, theano], ids=lambda m: m.__name__)
def test_functions_are_written_by_name(module: Any) -> None:
    """Layers keep functions such as `T.tanh`."""
    for name in module.__all__:
        function = getattr(module, name)
        if isinstance(function, FunctionType):
            assert pickle.loads(pickle.dumps(function)) is function, name


# --- other processes ------------------------------------------------------------------------------


def test_from_one_process_to_another(tmp_path: Path) -> None:
    program = """
import pickle, numpy as np
from pathlib import Path
from types import FunctionType
import tinygrad_mnist as theano
of = pickle.loads(Path("graph.pkl").read_bytes())
value = of["y"](np.ones((2, 3), "float32"))
of["w"].set_value(of["w"].get_value() * 2)
again = of["y"](np.ones((2, 3), "float32"))
line = str(of["z"].source)
Path("back.pkl").write_bytes(pickle.dumps((value, again, line, of["z"])))
"""
    x, w = T.fmatrix("x"), theano.shared(A, "w")
    z = T.sum(x * w)
    of = {"w": w, "z": z, "y": theano.function([x], z)}
    (tmp_path / "graph.pkl").write_bytes(pickle.dumps(of))
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    value, after, line, back = pickle.loads((tmp_path / "back.pkl").read_bytes())
    assert (value, after) == (15, 30)
    assert line == str(z.source)
    assert [v.name for v in leaves([back])] == ["x", "w"]


def test_an_op_of_a_program_is_found_in_its_module(tmp_path: Path) -> None:
    (tmp_path / "own_ops.py").write_text("""
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.variables import Op

def define(name):
    return register_op(Op(name, lambda params, types: types, lambda p, inputs, o: [2 * inputs[0]]))

twice = define("twice")
""")
    (tmp_path / "written.py").write_text("""
import pickle, sys
import own_ops, tinygrad_mnist.tensor as T
pickle.dump(own_ops.twice(T.dvector("x")), open("twice.pkl", "wb"))
""")
    (tmp_path / "read.py").write_text("""
import pickle, sys
y = pickle.load(open("twice.pkl", "rb"))
assert y.node.op is sys.modules["own_ops"].twice
""")
    for name in ("written.py", "read.py"):
        subprocess.run([sys.executable, name], cwd=tmp_path, check=True)


def test_arrays_beside_the_pickle() -> None:
    w = theano.shared(np.arange(1000.0), "w")
    y = T.exp(w) + np.arange(1000.0)
    buffers: list[pickle.PickleBuffer] = []
    written = pickle.dumps((w, y), 5, buffer_callback=buffers.append)
    assert len(written) < 5000
    v, z = pickle.loads(written, buffers=[bytes(b) for b in buffers])
    v.set_value(v.get_value() * 0)
    np.testing.assert_array_equal(theano.function([], z)(), 1 + np.arange(1000.0))
    np.testing.assert_array_equal(w.get_value(), np.arange(1000.0))
