"""Programs in Python 2 are recognised, and others are not."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

PYTHON2 = [
    "print 'x'",
    "print 1, 2",
    "    print x",
    "exec 'x = 1'",
    "try:\n    f()\nexcept ValueError, e:\n    g()",
    "try:\n    f()\nexcept (ValueError, KeyError), e:\n    g()",
    "raise ValueError, 'no'",
    "if 1 <> 2: pass",
    "x = `y`",
    "x = 0777",
    "x = 10L",
    "x = 0xFFL",
    "x = ur'text'",
    "if x:\n\ty = 1\n        z = 2",
    "def f(a, (b, c)):\n    pass",
    "f = lambda (a, b): a",
]
PYTHON3 = [
    "x = (1 +",
    "if x:\npass",
    "def f(:\n    pass",
    "x = 'text",
    "x = 1 2",
    "print('x'",
    "print(x y)",
    "print('say `x` <> 10L' y)",
    "for x in y print(x)",
    "return 1",
    "x = [1, 2",
    "class A\n    pass",
    "lambda x: (yield = 1)",
]


@pytest.fixture
def python2(drop_in: Any) -> Any:
    return import_module("tinygrad_mnist.theano.python2")


def syntax_error(text: str) -> SyntaxError | None:
    try:
        compile(text, "old.py", "exec")
    except SyntaxError as error:
        return error
    return None


@pytest.mark.parametrize("text", PYTHON2)
def test_python_2(text: str, python2: Any) -> None:
    error = syntax_error(text)
    assert error is not None
    sentence = python2.explain(error)
    assert sentence is not None
    assert sentence.startswith(f"old.py, line {error.lineno}, is Python 2; `2to3 -w old.py`")


@pytest.mark.parametrize("text", PYTHON3)
def test_mistakes_in_python_3(text: str, python2: Any) -> None:
    error = syntax_error(text)
    assert error is not None
    assert python2.explain(error) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("for i in xrange(3): pass", "xrange is a name"),
        ("unicode('x')", "unicode is a name"),
        ("{}.iteritems()", "iteritems is a method"),
        ("{}.has_key(1)", "has_key is a method"),
    ],
)
def test_names_and_methods(text: str, name: str, python2: Any) -> None:
    with pytest.raises((NameError, AttributeError)) as error:
        exec(text, {})
    assert python2.explain(error.value).startswith(f"{name} of Python 2; `2to3 -w FILE`")


def test_print_to_a_file(python2: Any) -> None:
    with pytest.raises(TypeError) as error:
        exec("import sys\nprint >>sys.stderr, 'x'", {})
    assert python2.explain(error.value).startswith("`print >>` is Python 2; `2to3 -w FILE`")


def test_other_errors(python2: Any) -> None:
    errors = (
        ValueError("no"),
        NameError("x", name="x"),
        AttributeError("y", name="y", obj={}),
        AttributeError("iteritems", name="iteritems", obj=python2),
    )
    for error in errors:
        assert python2.explain(error) is None
