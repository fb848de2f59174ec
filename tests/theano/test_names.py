"""The table of Theano's names: it agrees with the package and with the document."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tinygrad_mnist
from tinygrad_mnist.names import MODULES, theano_module
from tinygrad_mnist.names.table import table

DOCS = Path(__file__).parents[2] / "docs"


def script() -> ModuleType:
    """docs/theano_names.py."""
    spec = importlib.util.spec_from_file_location("theano_names", DOCS / "theano_names.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_is_up_to_date() -> None:
    """If not: `python docs/theano_names.py` writes it."""
    made = script()
    text = (DOCS / "theano.md").read_text()
    assert text.partition(made.BEGIN)[2].partition(made.END)[0] == made.document()


@pytest.mark.parametrize("module", table().names)
def test_every_name_is_here_or_says_what_to_use(module: str) -> None:
    theanos = theano_module(module)
    for name in table().names[module]:
        if hasattr(theanos, name):
            continue
        why = table().absence(module, name)
        assert why, f"{module}.{name} is absent without a reason"
        with pytest.raises(AttributeError) as error:
            getattr(theanos, name)
        assert str(error.value) == f"{module} has no {name!r} here: {why}"


@pytest.mark.usefixtures("drop_in")
def test_the_function_stays_where_a_module_has_its_name() -> None:
    """`import theano.tensor.var` leaves `theano.tensor.var` a function, as in Theano."""
    functions = set()
    for module in MODULES:
        importlib.import_module(module)
        parent, _, name = module.rpartition(".")
        if parent:
            found = getattr(importlib.import_module(parent), name)
            functions |= set() if isinstance(found, ModuleType) else {module}
    assert functions >= {"theano.tensor.var", "theano.tensor.sort", "theano.compile.function"}


def test_modules_are_built_of_modules_that_exist() -> None:
    assert set(table().names) <= set(MODULES)
    for module in MODULES:
        assert theano_module(module).__name__ == module
        assert all(isinstance(name, str) for name in dir(theano_module(module)))


@pytest.mark.parametrize("group", table().differs, ids=lambda group: group.names[0])
def test_every_difference_is_about_a_name(group: Any) -> None:
    listed = [(m, n) for m, names in table().names.items() for n in names]
    assert any(group.has(module, name) for module, name in listed)


def test_patterns_of_absent_names_are_about_names() -> None:
    listed = [(m, n) for m, names in table().names.items() for n in names]
    unused = [g.names for g in table().absent if not any(g.has(m, n) for m, n in listed)]
    assert unused == [
        ("compat",),
        ("typed_list", "d3viz", "raise_op", "pathparse", "tests"),
        ("*",),
    ]  # modules that the lists don't have


def test_what_the_plain_package_offers() -> None:
    theano: Any = tinygrad_mnist
    assert theano.gof.graph.inputs is theano.gof.inputs
    assert theano.compile.SharedVariable is theano.SharedVariable
    assert theano.compile.function is theano.function
    assert theano.compile.mode.Mode is theano.compile.Mode is theano.Mode
    assert theano.compile.io.In is theano.In
    assert theano.scalar.upcast("int32", "float32") == "float64"
    assert theano.updates.OrderedUpdates is theano.OrderedUpdates
    assert theano.tensor.basic.exp is theano.tensor.exp
    assert theano.tensor.nnet.nnet.relu is theano.tensor.nnet.relu
    assert theano.tensor.sharedvar.TensorSharedVariable is theano.SharedVariable
    assert theano.config.floatX == "float32"
    with pytest.raises(AttributeError, match="has no 'MPIRecv' here: graphs read no files"):
        _ = theano.tensor.MPIRecv
    with pytest.raises(AttributeError, match=r"has no 'tanhh' here; docs/theano\.md lists"):
        _ = theano.tensor.tanhh
