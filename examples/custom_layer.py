"""A layer of your own, written with Theano's API: a maxout layer before the softmax.

Each of its outputs is the largest of `pieces` linear functions of the inputs
(Goodfellow et al., Maxout Networks, 2013). A layer needs `params` and `set_inpt`;
the engine derives the gradient. The ten epochs take less than a minute on two cores.
"""

import numpy as np

import tinygrad_mnist.tensor as T
from tinygrad_mnist import config, shared
from tinygrad_mnist.network3 import Network, SoftmaxLayer, load_data_shared


class MaxoutLayer:
    def __init__(self, n_in, n_out, pieces=3):
        self.n_in, self.n_out, self.pieces = n_in, n_out, pieces
        rng = np.random.default_rng(1)
        w = rng.normal(0, np.sqrt(1 / n_in), (n_in, n_out * pieces))
        self.w = shared(w.astype(config.floatX), name="w")
        self.b = shared(np.zeros(n_out * pieces, dtype=config.floatX), name="b")
        self.params = [self.w, self.b]

    def set_inpt(self, inpt, inpt_dropout, mini_batch_size):
        def output(x):
            z = T.dot(x.reshape((mini_batch_size, self.n_in)), self.w) + self.b
            return T.max(z.reshape((mini_batch_size, self.n_out, self.pieces)), axis=2)

        self.output = output(inpt)
        self.output_dropout = output(inpt_dropout)


training_data, validation_data, test_data = load_data_shared()
net = Network([MaxoutLayer(784, 60), SoftmaxLayer(60, 10)], 10)
net.SGD(training_data, 10, 10, 0.05, validation_data, test_data, lmbda=1.0)
