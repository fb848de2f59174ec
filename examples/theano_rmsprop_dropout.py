"""A net of two layers of rectified linear units, trained by RMSprop with dropout.

python -m tinygrad_mnist.theano examples/theano_rmsprop_dropout.py --epochs 20
"""

from itertools import pairwise

import numpy as np
import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano_data import arguments, load, zeros


class Net:
    """Two layers of rectified linear units, and softmax.

    keep: the probability with which a pixel, and a hidden unit, is kept while the net is trained.
    """

    def __init__(self, seed, sizes, keep):
        rng, self.streams = np.random.RandomState(seed), MRG_RandomStreams(seed=seed)
        self.keep, self.layers = keep, []
        for n_in, n_out in pairwise(sizes):
            start = rng.normal(0, np.sqrt(2.0 / n_in), (n_in, n_out))  # He's, for such units
            w = theano.shared(start.astype(theano.config.floatX), "w")
            self.layers.append((w, zeros(n_out, name="b")))
        self.params = [p for layer in self.layers for p in layer]

    def dropout(self, x, keep):
        """x with some units set to 0, and the others enlarged, so that the mean stays."""
        mask = self.streams.binomial(x.shape, p=keep, dtype=theano.config.floatX)
        return x * mask / keep

    def probabilities(self, x, training):
        for i, (w, b) in enumerate(self.layers):
            if training:
                x = self.dropout(x, self.keep[min(i, 1)])
            x = T.dot(x, w) + b
            x = T.nnet.softmax(x) if i == len(self.layers) - 1 else T.maximum(x, 0)
        return x


def rmsprop(cost, params, rate, decay=0.9, epsilon=1e-6):
    """Updates that divide a gradient by the root of a running mean of its squares."""
    updates = []
    for p in params:
        g = T.grad(cost, wrt=p)
        mean = theano.shared(np.zeros_like(p.get_value()), broadcastable=p.broadcastable)
        new_mean = decay * mean + (1 - decay) * T.sqr(g)
        updates += [(mean, new_mean), (p, p - rate * g / T.sqrt(new_mean + epsilon))]
    return updates


def main(options):
    training, _, test = load(options.data, options.images)
    net = Net(options.seed, (784, options.hidden, options.hidden, 10), keep=(0.8, 0.5))
    x, y = T.matrix("x"), T.ivector("y")
    cost = T.mean(T.nnet.categorical_crossentropy(net.probabilities(x, training=True), y))
    train = theano.function([x, y], cost, updates=rmsprop(cost, net.params, options.rate))
    answers = T.argmax(net.probabilities(x, training=False), axis=1)
    error = theano.function([x, y], T.mean(T.neq(answers, y)))

    rng, n_images = np.random.RandomState(options.seed), len(training[0])
    for epoch in range(1, options.epochs + 1):
        order = rng.permutation(n_images)
        batches = np.array_split(order, n_images // options.batch)
        cost = np.mean([train(training[0][chosen], training[1][chosen]) for chosen in batches])
        print(f"epoch {epoch}: cost {cost:.4f}, test error {error(*test):.2%}", flush=True)


if __name__ == "__main__":
    main(arguments(__doc__, epochs=20, batch=100, hidden=625, rate=0.001))
