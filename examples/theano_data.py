"""What the programs theano_*.py share: their command line, and MNIST in shared variables."""

import argparse

import numpy as np
import theano
import theano.tensor as T

from tinygrad_mnist.datasets import load_data, load_digits


def arguments(description, **defaults):
    """The command line: --data, --images, --seed, and an option for each of `defaults`."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--data", help="a file or folder of MNIST, or 'digits' for generated ones")
    defaults = {"images": 50_000, "seed": 1} | defaults
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"default: {value}")
    return parser.parse_args()


def load(data, images):
    """Pairs (pixels, labels) for training, validation and test: float (n, 784), int32 (n,).

    data: see `arguments`. images: how many to train with; the other parts have a fifth of that.
    """
    parts = (images, images // 5, images // 5)
    splits = load_digits(0, *parts) if data == "digits" else load_data(data)
    return [
        (np.asarray(x[:n], theano.config.floatX), np.asarray(y[:n], "int32"))
        for (x, y), n in zip(splits, parts, strict=True)
    ]


def share(x, y):
    """Both in shared variables. A GPU of Theano's time held floats only, hence the cast."""
    x = theano.shared(np.asarray(x, theano.config.floatX), borrow=True)
    y = theano.shared(np.asarray(y, theano.config.floatX), borrow=True)
    return x, T.cast(y, "int32")


def weights(rng, n_in, n_out, name):
    """A shared matrix of Glorot and Bengio's uniform distribution, which suits tanh."""
    bound = np.sqrt(6.0 / (n_in + n_out))
    value = rng.uniform(-bound, bound, (n_in, n_out))
    return theano.shared(np.asarray(value, theano.config.floatX), name=name, borrow=True)


def zeros(*shape, name=None):
    """A shared array of zeros."""
    return theano.shared(np.zeros(shape, theano.config.floatX), name=name, borrow=True)
