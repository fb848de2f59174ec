"""`import theano` is this package: the drop-in for programs that were written for Theano.

    python -m tinygrad_mnist.theano script.py arguments

runs a script whose `import theano`, and whose imports of Theano's modules, get this package.
Inside a program, `import tinygrad_mnist.theano as theano` does the same: Theano's modules can be
imported after it.

It starts as Theano does, when a program first imports it: settings are read from THEANO_FLAGS and
.theanorc, and floatX is float64 unless they say otherwise. `network3` and `mnist_loader` are this
package's where a program has none of its own.
"""

import sys
from typing import Any

from tinygrad_mnist.names import theano_module
from tinygrad_mnist.theano.finder import begin, install

install()
# The command is imported before the program that it runs, which may set THEANO_FLAGS itself.
if not (sys.argv[:1] == ["-m"] and __name__ in sys.orig_argv):
    begin()


def __getattr__(name: str) -> Any:
    begin()
    return getattr(theano_module("theano"), name)


def __dir__() -> list[str]:
    return dir(theano_module("theano"))
