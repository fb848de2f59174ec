"""Facts about functions, graphs, printing, random numbers, settings and versions."""

from __future__ import annotations

import io
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import evaluate
from helpers.theano_names.case import fact, resolve

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import gof

V = np.random.default_rng(9).normal(size=4)


def made(device: str, *arguments: Any, **options: Any) -> Any:
    with making_functions_for(device):
        return theano.function(*arguments, **options)


# --- functions --------------------------------------------------------------------------------


@fact("function compile.Function")
def functions(device: str) -> None:
    x, s = T.dvector("x"), theano.shared(V, "s")
    given = x + 1
    options = (None, [(s, s + 1)], [(given, x * 2)], False, False, "f", True, None, None, "raise")
    f = made(device, [x], given * s, *options)
    assert isinstance(f, theano.compile.Function)
    assert f.name == "f"
    np.testing.assert_allclose(f(V), 2 * V * V)
    np.testing.assert_allclose(s.get_value(), V + 1)
    assert list(made(device, [x], {"double": x * 2})(V)) == ["double"]


@fact("In compile.In SymbolicInput compile.SymbolicInput compile.io.In compile.io.SymbolicInput")
def inputs_with_options(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    named = theano.In(x, "first", 3.0, x + 1, None, False, None, True, None, None)
    f = made(device, [named, theano.In(y, value=1, name="second")], x * y)
    assert [f(), f(), f(second=2.0)] == [3.0, 4.0, 10.0]
    strict = made(device, [theano.SymbolicInput(x, name="x", strict=True)], x)
    with pytest.raises(TypeError):
        strict(np.float32(1))
    narrow = T.fscalar("narrow")
    rounded = made(device, [theano.In(narrow, allow_downcast=True)], narrow)
    assert rounded(np.float64(0.1)) == np.float32(0.1)


@fact("Param compile.Param compile.pfunc.Param")
def older_inputs(device: str) -> None:
    x = T.dscalar("x")
    f = made(device, [theano.Param(x, 2.0, "value", False, False, None, None, None)], x * x)
    assert [f(), f(3.0), f(value=4.0)] == [4.0, 9.0, 16.0]


@fact(
    "Out compile.Out SymbolicOutput compile.SymbolicOutput compile.io.Out compile.io.SymbolicOutput"
)
def outputs_with_options(device: str) -> None:
    x = T.dvector("x")
    f = made(device, [x], theano.Out(variable=x * 2, borrow=True))
    np.testing.assert_array_equal(f(V), V * 2)
    np.testing.assert_array_equal(made(device, [x], [theano.SymbolicOutput(x + 1)])(V)[0], V + 1)


@fact(
    "Mode predefined_modes compile.FAST_RUN compile.FAST_COMPILE compile.Mode compile.get_mode "
    "compile.get_default_mode compile.mode.Mode compile.mode.get_mode"
)
def modes(device: str) -> None:
    x = T.dvector("x")
    mode = theano.Mode(linker="py", optimizer="fast_compile")
    for given in (mode, mode.including("fusion"), "FAST_RUN", theano.compile.FAST_COMPILE):
        np.testing.assert_allclose(made(device, [x], T.exp(x), mode=given)(V), np.exp(V))
    assert theano.compile.get_mode("FAST_RUN") is theano.compile.FAST_RUN
    assert set(theano.predefined_modes) >= {"FAST_RUN", "FAST_COMPILE"}
    assert isinstance(theano.compile.get_default_mode(), theano.Mode)


@fact("compile.nanguardmode.NanGuardMode")
def nan_guard(device: str) -> None:
    x = T.dvector("x")
    guard = theano.compile.nanguardmode.NanGuardMode
    f = made(
        device, [x], T.log(x), mode=guard(nan_is_error=True, inf_is_error=True, big_is_error=False)
    )
    np.testing.assert_allclose(f(np.abs(V)), np.log(np.abs(V)))
    with pytest.raises(AssertionError):
        f(-np.abs(V))


@fact("compile.UnusedInputError")
def unused_inputs(device: str) -> None:
    x, y = T.dvectors("x", "y")
    with pytest.raises(theano.compile.UnusedInputError):
        theano.function([x, y], x * 2)


@fact("gof.MissingInputError")
def missing_inputs(device: str) -> None:
    x, y = T.dvectors("x", "y")
    with pytest.raises(theano.gof.MissingInputError):
        theano.function([x], x * y)


@fact("clone")
def copies_with_replacements(device: str) -> None:
    x, y = T.dvectors("x", "y")
    copied = theano.clone(x * 2, replace={x: y + 1}, strict=True, share_inputs=True)
    np.testing.assert_allclose(evaluate(device, [y], copied, V), 2 * V + 2)


@fact("compile.rebuild_collect_shared")
def collected_shared_variables(device: str) -> None:
    x, s = T.dvector("x"), theano.shared(V)
    moved = x + 1
    inputs, output, others = theano.compile.rebuild_collect_shared(
        moved * s,
        [x],
        replace={moved: x * 2},
        updates=[(s, s * 2)],
        rebuild_strict=True,
        copy_inputs_over=True,
    )
    assert inputs == [x]
    assert s in others[-1] or s in others[1]
    np.testing.assert_allclose(evaluate(device, [x], output, V), 2 * V * V)


@fact("OrderedUpdates updates.OrderedUpdates")
def ordered_updates(device: str) -> None:
    a, b = theano.shared(1.0, "a"), theano.shared(2.0, "b")
    updates = theano.OrderedUpdates([(b, b * 2)]) + theano.OrderedUpdates({a: a + b})
    updates.update({})
    assert list(updates) == [b, a]
    made(device, [], [], updates=updates)()
    assert [v.get_value().item() for v in (a, b)] == [3.0, 4.0]
    with pytest.raises(KeyError):
        updates.update({a: a})
    with pytest.raises(TypeError):
        updates[1] = a


@fact("ifelse.ifelse ifelse.IfElse")
def lazy_choices(device: str) -> None:
    x, c = T.dvector("x"), T.iscalar("c")
    chosen = theano.ifelse.ifelse(
        condition=c, then_branch=x * 2, else_branch=T.log(x), name="choice"
    )
    several = theano.ifelse.IfElse(n_outs=2, name="both")(c, x, x + 1, x + 2, x + 3)
    f = made(device, [c, x], [chosen, *several, T.grad(chosen.sum(), x)])
    positive = np.abs(V)
    for result, expected in zip(
        f(1, positive), [2 * positive, positive, positive + 1, V * 0 + 2], strict=True
    ):
        np.testing.assert_allclose(result, expected)
    for result, expected in zip(
        f(0, positive), [np.log(positive), positive + 2, positive + 3, 1 / positive], strict=True
    ):
        np.testing.assert_allclose(result, expected)


# --- graphs -----------------------------------------------------------------------------------


@fact(
    "gof.graph.ancestors gof.graph.inputs gof.graph.variables gof.graph.orphans gof.graph.ops "
    "gof.graph.io_toposort gof.graph.list_of_nodes gof.graph.is_in_ancestors gof.graph.as_string"
)
def walks(device: str) -> None:
    x, w = T.dvector("x"), T.dvector("w")
    product = x * w
    cost = T.exp(product)
    assert gof.graph.inputs(variable_list=[cost]) == [x, w]
    assert (
        set(gof.graph.ancestors([cost]))
        == {x, w, product, cost}
        == set(gof.graph.variables([x], [cost]))
    )
    assert x not in gof.graph.ancestors([cost], blockers=[product])
    assert gof.graph.orphans(i=[x], o=[cost]) == [w]
    nodes = [product.owner, cost.owner]
    assert gof.graph.io_toposort([x, w], [cost]) == nodes
    assert (
        gof.graph.ops([x, w], [cost]) == set(nodes) == set(gof.graph.list_of_nodes([x, w], [cost]))
    )
    assert gof.graph.is_in_ancestors(l_node=cost.owner, f_node=product.owner)
    assert not gof.graph.is_in_ancestors(product.owner, cost.owner)
    assert len(gof.graph.as_string([x, w], [cost])) == 1


@fact("gof.graph.clone gof.graph.clone_get_equiv")
def copied_graphs(device: str) -> None:
    x = T.dvector("x")
    y = T.exp(x) * 2
    (inner,), (outer,) = gof.graph.clone(i=[x], o=[y], copy_inputs=True)
    assert inner is not x
    np.testing.assert_allclose(evaluate(device, [inner], outer, V), 2 * np.exp(V))
    equivalents = gof.graph.clone_get_equiv([x], [y], copy_inputs=False, copy_orphans=True)
    assert equivalents[x] is x
    assert equivalents[y] is not y


@fact("gof.graph.equal_computations gof.graph.is_same_graph compile.is_same_graph")
def equal_graphs(device: str) -> None:
    x, y = T.dvectors("x", "y")
    assert gof.graph.equal_computations([x + 1], [x + 1])
    assert not gof.graph.equal_computations([x + 1], [y + 1])
    assert gof.graph.equal_computations(xs=[x + 1], ys=[y + 1], in_xs=[x], in_ys=[y])
    assert gof.graph.is_same_graph(x * 2, y * 2, givens={x: y})
    assert not gof.graph.is_same_graph(x * 2, x * 3, debug=False)


# --- text -------------------------------------------------------------------------------------


@fact("pp pprint printing.pp printing.pprint")
def formulas(device: str) -> None:
    x, y = T.dscalars("x", "y")
    assert theano.pp(x * y) == theano.pprint(x * y)
    assert "x" in theano.pp(T.exp(x) + y)


@fact("printing.debugprint printing.min_informative_str tensor.min_informative_str")
def trees(device: str) -> None:
    x = T.dscalar("x")
    tree = theano.printing.debugprint(T.exp(x) + 1, -1, False, "str")
    assert tree is not None
    assert "exp" in tree
    assert "x" in tree
    stream = io.StringIO()
    theano.printing.debugprint(T.exp(x), depth=1, file=stream, ids="")
    assert stream.getvalue().strip()
    text = theano.printing.min_informative_str(T.exp(x), indent_level=1)
    assert all(line.startswith("\t") for line in text.splitlines())


@fact("printing.pydotprint")
def drawings(device: str) -> None:
    x = T.dvector("x")
    f = made(device, [x], T.exp(x))
    f(V)
    with TemporaryDirectory() as folder:
        path = os.path.join(folder, "graph.dot")
        theano.printing.pydotprint(f, path, format="dot", with_ids=True, print_output_file=False)
        assert "digraph" in Path(path).read_text()


@fact("printing.Print")
def printed_values(device: str) -> None:
    x, seen = T.dvector("x"), []
    show = theano.printing.Print(
        "x is", attrs=("shape",), global_fn=lambda op, value: seen.append(value)
    )
    y = show(x) * 2
    value, slope = evaluate(device, [x], [y, T.grad(y.sum(), x)], V)
    np.testing.assert_array_equal(value, 2 * V)
    np.testing.assert_array_equal(slope, 0 * V + 2)
    np.testing.assert_array_equal(seen[0], V)


# --- random numbers -----------------------------------------------------------------------------


def _moments(device: str, draws: Any, mean: float, std: float) -> None:
    f = made(device, [], draws)
    first, second = f(), f()
    assert first.shape == second.shape
    assert not np.array_equal(first, second)
    assert abs(np.mean(first) - mean) < 5 * std / np.sqrt(first.size)
    assert abs(np.std(first) - std) < 0.1 * std


@fact("tensor.shared_randomstreams.RandomStreams")
def random_streams(device: str) -> None:
    stream = T.shared_randomstreams.RandomStreams(seed=1)
    _moments(device, stream.uniform((40, 50), -1.0, 1.0, 2, "float64"), 0, 2 / 12**0.5)
    _moments(device, stream.normal(size=(40, 50), avg=1.0, std=3.0), 1, 3)
    _moments(device, stream.binomial((40, 50), 4, 0.3), 1.2, (4 * 0.3 * 0.7) ** 0.5)
    _moments(device, stream.poisson((2000,), 2.0), 2, 2**0.5)
    _moments(device, stream.random_integers((2000,), 1, 6), 3.5, (35 / 12) ** 0.5)
    rows = made(device, [], stream.multinomial((3,), 5, [0.2, 0.3, 0.5]))()
    assert rows.sum(1).tolist() == [5] * 3
    orders = made(device, [], stream.permutation((2,), 6))()
    np.testing.assert_array_equal(np.sort(orders), [range(6)] * 2)
    assert set(np.ravel(made(device, [], stream.choice((20,), 3))())) <= {0, 1, 2}
    m = T.dmatrix()
    shuffled = made(device, [m], stream.shuffle_row_elements(m))(V.reshape(1, 4))
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(V)[None])
    assert stream.updates()
    stream.seed(2)


@fact("sandbox.rng_mrg.MRG_RandomStreams sandbox.rng_mrg.M1 sandbox.rng_mrg.M2")
def mrg_streams(device: str) -> None:
    stream = theano.sandbox.rng_mrg.MRG_RandomStreams(seed=12345, use_cuda=None)
    _moments(device, stream.uniform((40, 50), 0.0, 2.0, 2, "float64", 60), 1, 2 / 12**0.5)
    _moments(device, stream.normal((40, 50), 1.0, 3.0, nstreams=7), 1, 3)
    _moments(device, stream.truncated_normal((40, 50), 0.0, 1.0), 0, 1)
    _moments(device, stream.binomial((40, 50), 1, 0.3), 0.3, 0.21**0.5)
    probabilities = np.full((4, 5), 0.2)
    hot = made(device, [], stream.multinomial(n=1, pvals=probabilities))()
    assert hot.sum(1).tolist() == [1] * 4
    chosen = made(device, [], stream.choice(3, None, False, T.constant(probabilities)))()
    assert [len(set(row)) for row in chosen.tolist()] == [3] * 4
    for name, modulus in (("M1", 2**31 - 1), ("M2", 2**31 - 21069)):
        assert resolve(f"sandbox.rng_mrg.{name}") == modulus
    with pytest.raises(ValueError, match="seed"):
        theano.sandbox.rng_mrg.MRG_RandomStreams(theano.sandbox.rng_mrg.M2)


# --- lengths, settings, versions ----------------------------------------------------------------


@fact(
    "tensor.nnet.abstract_conv.get_conv_output_shape tensor.nnet.abstract_conv.get_conv_shape_1axis"
)
def shapes_of_convolutions(device: str) -> None:
    shapes = T.nnet.abstract_conv
    of = shapes.get_conv_output_shape
    assert of((2, 3, 10, 9), (5, 3, 4, 3), "valid", (2, 1)) == (2, 5, 4, 7)
    assert of((2, 3, 10, 9), (5, 3, 4, 3), (1, 2), (1, 1), filter_dilation=(2, 1)) == (2, 5, 6, 11)
    assert [shapes.get_conv_shape_1axis(9, 3, mode, 2) for mode in ("half", "full", 1)] == [5, 6, 5]
    assert shapes.get_conv_shape_1axis(None, 3, "valid", 1, dilation=2) is None


@fact(
    "config change_flags configparser.config configparser.change_flags "
    "configparser.TheanoConfigParser"
)
def settings(device: str) -> None:
    assert isinstance(theano.config, theano.configparser.TheanoConfigParser)
    assert theano.configparser.config is theano.config
    with theano.change_flags(floatX="float64"):
        assert theano.config.floatX == T.vector().dtype == "float64"
    with theano.change_flags([("floatX", "float32")]):
        assert T.vector().dtype == "float32"
    theano.config.warn.round = False


@fact(
    "sandbox.cuda.cuda_available sandbox.cuda.cuda_enabled sandbox.cuda.dnn_available "
    "sandbox.cuda.use"
)
def the_older_module_of_the_gpu(device: str) -> None:
    theano.sandbox.cuda.use(device)
    assert theano.config.device == device
    assert resolve("sandbox.cuda.cuda_enabled") is False
    assert resolve("sandbox.cuda.cuda_available") in (True, False)
    assert theano.sandbox.cuda.dnn_available() is False


@fact("__version__ version.version version.short_version version.full_version")
def versions(device: str) -> None:
    numbers = [int(n) for n in resolve("__version__").split(".")]
    assert numbers == [1, 0, 5]
    assert resolve("version.full_version").startswith(resolve("version.short_version"))
