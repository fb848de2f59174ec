"""A denoising autoencoder with tied weights: it learns to restore images of which a part is erased.

python -m tinygrad_mnist.theano examples/theano_autoencoder.py --epochs 15
"""

import numpy as np
import theano
import theano.tensor as T
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano_data import arguments, load, share, weights, zeros


class DenoisingAutoencoder:
    """Hidden units of sigmoid; the decoder's weights are the encoder's, transposed."""

    def __init__(self, rng, n_visible, n_hidden):
        self.streams = MRG_RandomStreams(rng.randint(2**30))
        self.w = weights(rng, n_visible, n_hidden, "w")
        self.w.set_value(4 * self.w.get_value())  # sigmoid is four times flatter than tanh
        self.b, self.b_visible = zeros(n_hidden, name="b"), zeros(n_visible, name="b_visible")
        self.params = [self.w, self.b, self.b_visible]

    def corrupt(self, x, level):
        """`x` with the share `level` of its pixels set to 0."""
        kept = self.streams.binomial(size=x.shape, n=1, p=1 - level, dtype=theano.config.floatX)
        return kept * x

    def reconstruct(self, x):
        hidden = T.nnet.sigmoid(T.dot(x, self.w) + self.b)
        return T.nnet.sigmoid(T.dot(hidden, self.w.T) + self.b_visible)

    def cost(self, x, level):
        """The cross-entropy of an image and its reconstruction, in nats: the mean."""
        z = self.reconstruct(self.corrupt(x, level))
        return T.mean(T.sum(T.nnet.binary_crossentropy(z, x), axis=1))


def main(options):
    rng = np.random.RandomState(options.seed)
    training, _, test = load(options.data, options.images)
    images, _ = share(*training)
    x, index = T.matrix("x"), T.lscalar("index")
    model = DenoisingAutoencoder(rng, 784, options.hidden)
    cost = model.cost(x, options.corruption)
    gradients = T.grad(cost, model.params)
    updates = [(p, p - options.rate * g) for p, g in zip(model.params, gradients, strict=True)]
    train = theano.function(
        [index],
        cost,
        updates=updates,
        givens={x: images[index * options.batch : (index + 1) * options.batch]},
    )
    # The squared error of a restored image, and that of the corrupted image itself.
    noisy = model.corrupt(x, options.corruption)
    restored = model.reconstruct(noisy)
    measure = theano.function([x], [T.sqr(v - x).sum(axis=1).mean() for v in (restored, noisy)])

    for epoch in range(1, options.epochs + 1):
        costs = [train(i) for i in range(len(training[0]) // options.batch)]
        print(f"epoch {epoch}: cost {np.mean(costs):.2f}", flush=True)
    after, before = measure(test[0])
    print(f"squared error of a test image: {before:.1f} with erased pixels, {after:.1f} restored")


if __name__ == "__main__":
    main(arguments(__doc__, epochs=15, batch=20, hidden=500, rate=0.1, corruption=0.3))
