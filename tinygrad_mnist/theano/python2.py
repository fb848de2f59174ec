"""Programs in Python 2: how they are recognised, and what to do about them."""

from __future__ import annotations

import re

MODULES = {
    *("ConfigParser", "Queue", "SocketServer", "StringIO", "Tkinter", "__builtin__", "cPickle"),
    *("cStringIO", "commands", "copy_reg", "dummy_thread", "exceptions", "htmlentitydefs"),
    *("httplib", "robotparser", "thread", "urllib2", "urlparse", "xmlrpclib"),
}
NAMES = {
    *("basestring", "cmp", "execfile", "long", "raw_input", "reduce", "unichr", "unicode"),
    "xrange",
}
METHODS = {  # of dicts
    "has_key",
    "iteritems",
    "iterkeys",
    "itervalues",
}

# What Python 3 says about syntax of Python 2, and lines that it only calls invalid.
_MESSAGES = re.compile(
    r"Missing parentheses in call to|multiple exception types must be parenthesized"
    r"|leading zeros in decimal integer literals|inconsistent use of tabs"
    r"|parameters cannot be parenthesized"
)
_LINES = re.compile(
    r"^\s*(print|exec)\b(?!\s*[(=.\[])"  # a statement
    r"|^\s*except\b[^:]*,\s*\w+\s*:"
    r"|^\s*raise\s+[\w.]+\s*,"
    r"|<>|`|\b0[0-7]+\b|\b(0x[0-9a-fA-F]+|\d+)[lL]\b|\bur''"
)
_STRINGS = re.compile(r"'[^']*'|\"[^\"]*\"")


def is_python2(error: SyntaxError) -> bool:
    """Whether the line of a syntax error is Python 2."""
    line = _STRINGS.sub("''", error.text or "")
    return bool(_MESSAGES.search(error.msg or "") or _LINES.search(line))


def use_2to3(file: str = "FILE") -> str:
    """The advice, as the end of a sentence."""
    return f"`2to3 -w {file}`, which comes with Python up to 3.12, converts a program to Python 3"


def explain(error: BaseException) -> str | None:
    """A sentence about an error that comes of a program in Python 2; None for any other."""
    if isinstance(error, SyntaxError) and is_python2(error):
        return (
            f"{error.filename}, line {error.lineno}, is Python 2; {use_2to3(str(error.filename))}"
        )
    if isinstance(error, TypeError) and 'Did you mean "print(' in str(error):
        return f"`print >>` is Python 2; {use_2to3()}"
    if isinstance(error, NameError) and error.name in NAMES:
        return f"{error.name} is a name of Python 2; {use_2to3()}"
    if isinstance(error, AttributeError) and isinstance(error.obj, dict) and error.name in METHODS:
        return f"{error.name} is a method of Python 2; {use_2to3()}"
    return None
