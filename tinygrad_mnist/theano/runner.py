"""Runs a script, a module or a text as Python does, with Theano's modules to import.

`sys.argv`, `__main__`, `__file__`, `sys.path[0]` and the exit status are those that Python gives;
tracebacks begin with the program's own lines.
"""

from __future__ import annotations

import builtins
import os
import runpy
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from tinygrad_mnist import names
from tinygrad_mnist.theano.bookdata import offer_book_data
from tinygrad_mnist.theano.python2 import explain

_USAGE = "usage: python -m tinygrad_mnist.theano SCRIPT | -m MODULE | -c TEXT | -  [arguments]"
_OURS = {os.path.dirname(file) for file in (__file__, names.__file__)}


def main(arguments: Sequence[str]) -> None:
    """Runs the program that the arguments of the command name."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        sys.exit(0 if arguments else 2)
    kind, *rest = arguments
    if kind in ("-m", "-c") and not rest:
        sys.exit(_USAGE)
    sys.excepthook = _show_error
    offer_book_data()
    if kind == "-m":
        sys.argv = list(rest)
        sys.path[0] = os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path[0] = ""
        _run(rest[0], "<string>", {})
    elif kind == "-":
        sys.argv = list(arguments)
        sys.path[0] = ""
        _run(sys.stdin.read(), "<stdin>", {})
    else:
        sys.argv = list(arguments)
        _run_file(os.path.abspath(kind))


def _run_file(path: str) -> None:
    """Runs a script, or a folder or archive that has a `__main__.py`."""
    try:
        source = Path(path).read_bytes()
    except IsADirectoryError:
        source = b"PK"  # as an archive begins
    except OSError as error:
        print(f"{sys.executable}: can't open file {path!r}: {error}", file=sys.stderr)
        sys.exit(2)
    if source.startswith(b"PK"):
        del sys.path[0]
        runpy.run_path(path, run_name="__main__")
        return
    sys.path[0] = os.path.dirname(os.path.realpath(path))
    loader = SourceFileLoader("__main__", path)
    _run(source, path, {"__file__": path, "__loader__": loader, "__cached__": None})


def _run(source: str | bytes, file: str, variables: dict[str, Any]) -> None:
    """Runs a text as the module `__main__`."""
    module = ModuleType("__main__")
    vars(module).update(variables, __builtins__=builtins)
    sys.modules["__main__"] = module
    exec(compile(source, file, "exec", dont_inherit=True), vars(module))


def _show_error(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Shows an error as Python does; one that comes of Python 2 with what to do about it."""
    advice = explain(error)
    if advice is not None and isinstance(error, SyntaxError):
        print(advice, file=sys.stderr)
        return
    if advice is not None:
        error.add_note(advice)
    error.__traceback__ = _without_ours(traceback)
    sys.__excepthook__(kind, error, error.__traceback__)


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that run the program or look up Theano's names."""
    frames = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    for frame in reversed(frames):
        file = frame.tb_frame.f_code.co_filename
        if file != "<frozen runpy>" and os.path.dirname(file) not in _OURS:
            traceback = TracebackType(traceback, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return traceback
