"""Theano's modules, built of this package's when they are used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tinygrad_mnist.names.version import version

_PACKAGE = "tinygrad_mnist"
_GRAPH = "graph.variables:Constant Variable Apply=Node"
_DTYPES = (
    "scalar:all_dtypes continuous_dtypes discrete_dtypes float_dtypes int_dtypes integer_dtypes "
    "uint_dtypes"
)
_TYPE = "graph.types:Type=TensorType"
_VARIABLES = (
    "graph.variables:TensorVariable=Variable TensorConstant=Constant Variable Constant",
    "graph.shared:TensorSharedVariable=SharedVariable ScalarSharedVariable=SharedVariable "
    "SharedVariable",
)
_COMPILE = (
    "functions:function In Out Param Function SymbolicInput=In SymbolicOutput=Out",
    "functions.mode",
    "functions.clone",
    "errors:UnusedInputError",
    "graph.shared:SharedVariable",
    "graph.variables:Variable",
    "sharedvalue:shared",
    "tensor:shape specify_shape",
    "gof:is_same_graph",
)
_GOF = ("gof", _GRAPH, _TYPE, "errors:MissingInputError")

# Where the names of a module of Theano are: in modules of this package, in order. After a colon:
# only these names; `theirs=ours` is a name that differs.
MODULES: dict[str, tuple[str, ...]] = {
    "theano": (
        "",
        "config:change_flags",
        "functions.mode:Mode predefined_modes",
        "functions.clone:clone",
        "functions.io:SymbolicInput=In SymbolicOutput=Out",
        "gradient:Rop Lop grad subgraph_grad",
        "ops.linalg:dot",
        "printing.text:pprint",
        "safe_asarray:_asarray",
        "tensor:get_scalar_constant_value",
        "updates:OrderedUpdates",
        _GRAPH,
        _TYPE,
    ),
    "theano.compile": _COMPILE,
    "theano.compile.builders": (),
    "theano.compile.debugmode": (),
    "theano.compile.function": _COMPILE,
    "theano.compile.function_module": _COMPILE,
    "theano.compile.io": _COMPILE,
    "theano.compile.mode": ("functions.mode",),
    "theano.compile.nanguardmode": ("functions.nanguard:NanGuardMode",),
    "theano.compile.ops": ("tensor:shape specify_shape",),
    "theano.compile.pfunc": _COMPILE,
    "theano.compile.sharedvalue": _COMPILE,
    "theano.configdefaults": ("config:config",),
    "theano.configparser": ("config:config change_flags TheanoConfigParser=Config",),
    "theano.gof": _GOF,
    "theano.gof.fg": _GOF,
    "theano.gof.graph": _GOF,
    "theano.gof.op": ("functions.test_values:get_test_value", "graph.variables:Op"),
    "theano.gof.utils": (),
    "theano.gradient": ("gradient", "autodiff:grad", "errors:DisconnectedInputError"),
    "theano.ifelse": ("ifelse",),
    "theano.misc": (),
    "theano.misc.safe_asarray": ("safe_asarray:_asarray",),
    "theano.printing": ("printing", "printing.text"),
    "theano.sandbox": (),
    "theano.sandbox.cuda": ("sandbox.cuda",),
    "theano.sandbox.cuda.dnn": ("sandbox.cuda:dnn_available",),
    "theano.sandbox.linalg": ("tensor.nlinalg", "tensor.slinalg"),
    "theano.sandbox.linalg.ops": ("tensor.nlinalg", "tensor.slinalg"),
    "theano.sandbox.neighbours": ("tensor.nnet.neighbours",),
    "theano.sandbox.rng_mrg": ("sandbox.rng_mrg",),
    "theano.sandbox.softsign": ("tensor.nnet:softsign",),
    "theano.scalar": ("scalar",),
    "theano.scalar.basic": ("scalar",),
    "theano.tensor": (
        "tensor",
        "config:config",
        "printing.text:min_informative_str",
        _DTYPES,
        _GRAPH,
        _TYPE,
        "gradient:Lop Rop consider_constant hessian jacobian numeric_grad verify_grad",
    ),
    "theano.tensor.basic": ("tensor", _DTYPES),
    "theano.tensor.elemwise": ("tensor", *_VARIABLES),
    "theano.tensor.extra_ops": ("tensor.extra_ops", "tensor"),
    "theano.tensor.nlinalg": ("tensor.nlinalg",),
    "theano.tensor.nnet": ("tensor.nnet",),
    "theano.tensor.nnet.abstract_conv": ("tensor.nnet.abstract_conv", "tensor.nnet"),
    "theano.tensor.nnet.bn": ("tensor.nnet.bn",),
    "theano.tensor.nnet.conv": ("tensor.nnet.conv",),
    "theano.tensor.nnet.conv3d2d": (),
    "theano.tensor.nnet.neighbours": ("tensor.nnet.neighbours",),
    "theano.tensor.nnet.nnet": ("tensor.nnet",),
    "theano.tensor.nnet.sigm": ("tensor.nnet",),
    "theano.tensor.opt": ("tensor.opt",),
    "theano.tensor.raw_random": (),
    "theano.tensor.shared_randomstreams": ("tensor.shared_randomstreams",),
    "theano.tensor.sharedvar": (*_VARIABLES, "sharedvalue:tensor_constructor=shared"),
    "theano.tensor.signal": ("tensor.signal",),
    "theano.tensor.signal.conv": ("tensor.signal.conv",),
    "theano.tensor.signal.downsample": ("tensor.signal.downsample",),
    "theano.tensor.signal.pool": ("tensor.signal.pool",),
    "theano.tensor.slinalg": ("tensor.slinalg",),
    "theano.tensor.sort": ("tensor",),
    "theano.tensor.subtensor": ("tensor",),
    "theano.tensor.type": ("tensor:TensorType",),
    "theano.tensor.utils": (),
    "theano.tensor.var": (*_VARIABLES,),
    "theano.updates": ("updates",),
    "theano.version": ("names.version:version short_version=version full_version=version",),
}


class TheanoModule(ModuleType):
    """A module of Theano. Its names are looked up in this package when they are used."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"Theano's {name}, of the package {_PACKAGE}.")
        self.__path__: list[str] = []  # so that `import` asks the finder for what isn't here
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        if name == "theano":
            self.__file__ = import_module(_PACKAGE).__file__
            self.__version__ = version

    def __getattr__(self, name: str) -> Any:
        value = _public(self.__name__) if name == "__all__" else find(self.__name__, name)
        if callable(value) or isinstance(value, ModuleType):  # others, as `cuda_enabled`, change
            vars(self)[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Python binds a submodule that is imported; a function of its name, as `var`, comes first.
        if not isinstance(value, TheanoModule):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *_children(self.__name__), *_public(self.__name__)})


@cache
def theano_module(name: str) -> TheanoModule:
    """The module of Theano of that name; KeyError for one that isn't in MODULES."""
    if name not in MODULES:
        raise KeyError(name)
    return TheanoModule(name)


def find(module: str, name: str, without: str | None = None) -> Any:
    """What `name` is in a module of Theano; AttributeError, which says what to use instead, if it
    is absent. without: a module of this package that has been searched already."""
    child = f"{module}.{name}"
    if not name.startswith("__"):
        for source in MODULES[module]:
            own, theirs = _split(source)
            if own == without or (theirs and name not in theirs):
                continue
            try:
                value = getattr(import_module(own), theirs.get(name, name))
            except AttributeError:
                continue
            if not (isinstance(value, ModuleType) and child in MODULES):
                return value
        if child in MODULES:
            return theano_module(child)
    raise AttributeError(absence(module, name), name=name)


def absence(module: str, name: str) -> str:
    """Why a module of Theano lacks a name here, and what to use instead."""
    text: str = import_module("tinygrad_mnist.names.table").absence(module, name)
    return text


def attribute_finder(module: str, own: str) -> Callable[[str], Any]:
    """A `__getattr__` for a module of this package, `own`, that has the names of `module` of
    Theano: it finds those that load when they are used."""

    def __getattr__(name: str) -> Any:  # noqa: N807
        return find(module, name, without=own)

    return __getattr__


@cache
def _split(source: str) -> tuple[str, dict[str, str]]:
    """A module of this package, and the names that it is searched for, by Theano's name."""
    own, _, listed = source.partition(":")
    names = (entry.partition("=") for entry in listed.split())
    return f"{_PACKAGE}.{own}".rstrip("."), {theirs: ours or theirs for theirs, _, ours in names}


def _public(module: str) -> list[str]:
    """The public names of a module of Theano."""
    return sorted({name for source in MODULES[module] for name in _names(source)})


def _names(source: str) -> Iterator[str]:
    """The public names of a source."""
    own, theirs = _split(source)
    found = import_module(own)
    if theirs:
        yield from theirs
    else:
        yield from getattr(found, "__all__", [n for n in vars(found) if not re.match("_", n)])


def _children(module: str) -> Iterator[str]:
    for name in MODULES:
        parent, _, child = name.rpartition(".")
        if parent == module:
            yield child
