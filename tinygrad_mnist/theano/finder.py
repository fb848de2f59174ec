"""Importing Theano's modules, and the modules that programs of its time have beside them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from tinygrad_mnist.config import config
from tinygrad_mnist.names import MODULES, absence, theano_module
from tinygrad_mnist.theano.flags import start
from tinygrad_mnist.theano.python2 import MODULES as PYTHON2_MODULES
from tinygrad_mnist.theano.python2 import use_2to3

_DROP_IN = __name__.rpartition(".")[0]
# Modules of the book's programs, for those that have none of their own.
_BOOK = {
    "network3": "tinygrad_mnist.network3",
    "mnist_loader": "tinygrad_mnist.datasets.mnist_loader",
}


class _Alias(Loader):
    """Loads a module of this package under another name."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        sys.modules[module.__spec__.name] = import_module(self._target)


class TheanoFinder(MetaPathFinder):
    """Finds Theano, whose modules are in `sys.modules` from then on.

    Of modules that are absent, and of absent names in `from theano.tensor import ...`, it says what
    to use instead.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "theano":
            begin()
            if target is None:  # an import, which puts it back; else it would ask for its loader
                del sys.modules[fullname]
            return ModuleSpec(fullname, _TheanoAlias(fullname), is_package=True)
        if fullname.partition(".")[0] == "theano":
            module, _, name = fullname.rpartition(".")
            if module in MODULES:
                raise ImportError(absence(module, name), name=fullname)
            raise ModuleNotFoundError(f"there is no module {fullname!r}", name=fullname)
        if fullname.startswith(f"{_DROP_IN}."):
            name = fullname.removeprefix(f"{_DROP_IN}.")
            if f"theano.{name}" in MODULES:
                begin()
                return ModuleSpec(fullname, _TheanoAlias(f"theano.{name}"), is_package=True)
        return None


class _TheanoAlias(_Alias):
    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        sys.modules[module.__spec__.name] = theano_module(self._target)


class BookFinder(MetaPathFinder):
    """Finds the book's modules where a program has none of its own: it is asked last."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in _BOOK:
            begin()  # the book's network3 imports theano
            return ModuleSpec(fullname, _Alias(_BOOK[fullname]))
        if fullname in PYTHON2_MODULES:
            raise ModuleNotFoundError(
                f"{fullname} is a module of Python 2; {use_2to3()}", name=fullname
            )
        return None


def install() -> None:
    """From now on, `import theano` gets this package; `begin` is called when it is imported."""
    if not any(isinstance(finder, TheanoFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TheanoFinder())
        sys.meta_path.append(BookFinder())


def begin() -> None:
    """What importing Theano does, once: settings are read, and its modules are there.

    Raises ImportError if another Theano has been imported, and the errors of `flags.start`.
    """
    if sys.modules.get("theano") is theano_module("theano"):
        return
    if "theano" in sys.modules:
        raise ImportError(
            "another theano has been imported; import tinygrad_mnist.theano before it",
            name="theano",
        )
    start(config)
    for name in MODULES:
        sys.modules[name] = theano_module(name)
