"""Optimizers: updates for `function` that move parameters against the gradient of a cost.

from tinygrad_mnist import optimizers
updates = optimizers.adam(cost, params, learning_rate=0.001)
train = theano.function([x, y], cost, updates=updates)

The classes keep their state: `optimizers.Adam().updates(cost, params)`. Rules, defaults and names
are Keras's.
"""

from tinygrad_mnist.optimizers import schedules
from tinygrad_mnist.optimizers.base import Optimizer
from tinygrad_mnist.optimizers.functional import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    nadam,
    rmsprop,
    sgd,
)
from tinygrad_mnist.optimizers.rules import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    RMSprop,
)

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "nadam",
    "rmsprop",
    "schedules",
    "sgd",
]
