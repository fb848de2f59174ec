"""A stack of denoising autoencoders: each layer learns to restore the output of the one below from
a corrupted copy; then labels train all layers together.

python -m tinygrad_mnist.theano examples/theano_stacked_autoencoder.py --pretraining 10 --epochs 20
"""

from itertools import pairwise

import numpy as np
import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano_data import arguments, load, share, weights, zeros


class Layer:
    """Sigmoid units, of which a denoising autoencoder can be made."""

    def __init__(self, rng, x, n_in, n_out):
        self.x = x
        self.w, self.b = weights(rng, n_in, n_out, "w"), zeros(n_out, name="b")
        self.w.set_value(4 * self.w.get_value())
        self.b_in = zeros(n_in, name="b_in")
        self.output = self.encode(x)
        self.params = [self.w, self.b]

    def encode(self, x):
        return T.nnet.sigmoid(T.dot(x, self.w) + self.b)

    def denoising_cost(self, streams, level):
        """The mean cross-entropy of the layer's input, restored from a corrupted copy."""
        keep = streams.binomial(size=self.x.shape, n=1, p=1 - level, dtype=theano.config.floatX)
        z = T.nnet.sigmoid(T.dot(self.encode(keep * self.x), self.w.T) + self.b_in)
        return T.nnet.binary_crossentropy(z, self.x).sum(axis=1).mean()


def descent(cost, params, rate):
    """The updates of one step of gradient descent."""
    return [(p, p - T.cast(rate, p.dtype) * T.grad(cost, p)) for p in params]


def pretrain(layers, images, options):
    """Trains the layers one after the other, each on the output of those below."""
    streams = MRG_RandomStreams(options.seed)
    index, level, rate = T.lscalar("index"), T.scalar("corruption"), T.scalar("rate")
    n_batches = images.get_value(borrow=True).shape[0] // options.batch
    for i, layer in enumerate(layers):
        cost = layer.denoising_cost(streams, level)
        train = theano.function(
            [index, theano.In(level, value=0.2), theano.In(rate, value=0.1)],
            cost,
            updates=descent(cost, [*layer.params, layer.b_in], rate),
            givens={layers[0].x: images[index * options.batch : (index + 1) * options.batch]},
        )
        for epoch in range(1, options.pretraining + 1):
            costs = [
                train(b, corruption=0.1 * (i + 1), rate=options.pretraining_rate)
                for b in range(n_batches)
            ]
            print(f"layer {i + 1}, epoch {epoch}: cost {np.mean(costs):.2f}", flush=True)


def main(options):
    rng = np.random.RandomState(options.seed)
    training, validation, test = load(options.data, options.images)
    images, labels = share(*training)
    x, y, index = T.matrix("x"), T.ivector("y"), T.lscalar("index")

    sizes = [784] + [options.hidden] * options.layers
    layers, h = [], x
    for n_in, n_out in pairwise(sizes):
        layers.append(Layer(rng, h, n_in, n_out))
        h = layers[-1].output
    pretrain(layers, images, options)

    w, b = zeros(sizes[-1], 10, name="w_out"), zeros(10, name="b_out")
    p_y = T.nnet.softmax(T.dot(h, w) + b)
    cost = -T.mean(T.log(p_y)[T.arange(y.shape[0]), y])
    params = [p for layer in layers for p in layer.params] + [w, b]
    batch = slice(index * options.batch, (index + 1) * options.batch)
    tune = theano.function(
        [index],
        cost,
        updates=descent(cost, params, options.rate),
        givens={x: images[batch], y: labels[batch]},
    )
    error = theano.function([x, y], T.mean(T.neq(T.argmax(p_y, axis=1), y)))
    for epoch in range(1, options.epochs + 1):
        costs = [tune(i) for i in range(len(training[0]) // options.batch)]
        print(
            f"epoch {epoch}: cost {np.mean(costs):.4f}, validation error {error(*validation):.2%}",
            flush=True,
        )
    print(f"test error {error(*test):.2%}")


if __name__ == "__main__":
    main(
        arguments(
            __doc__,
            pretraining=10,
            pretraining_rate=0.01,
            epochs=20,
            batch=10,
            hidden=500,
            layers=3,
            rate=0.1,
        )
    )
