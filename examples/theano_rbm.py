"""A restricted Boltzmann machine, trained by persistent contrastive divergence.

The cost is the difference of two free energies: of the images, and of pictures that the machine
makes itself. These come from Markov chains, whose hidden units are kept from step to step in a
shared variable; the gradient takes them as constant.

python -m tinygrad_mnist.theano examples/theano_rbm.py --epochs 15
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams
from theano_data import arguments, load, zeros


class RBM:
    """Binary units, visible and hidden."""

    def __init__(self, rng, n_visible, n_hidden):
        self.streams, self.n_visible = RandomStreams(seed=rng.randint(2**30)), n_visible
        start = rng.normal(0, 0.01, (n_visible, n_hidden))
        self.w = theano.shared(start.astype(theano.config.floatX), name="w", borrow=True)
        self.b_hidden, self.b_visible = zeros(n_hidden), zeros(n_visible)
        self.params = [self.w, self.b_hidden, self.b_visible]

    def free_energy(self, v):
        hidden = T.sum(T.nnet.softplus(T.dot(v, self.w) + self.b_hidden), axis=1)
        return -hidden - T.dot(v, self.b_visible)

    def draw(self, p):
        return self.streams.binomial(size=p.shape, n=1, p=p, dtype=theano.config.floatX)

    def gibbs_step(self, hidden):
        """From hidden units to visible units and back: probabilities, samples, hidden samples."""
        p_visible = T.nnet.sigmoid(T.dot(hidden, self.w.T) + self.b_visible)
        visible = self.draw(p_visible)
        p_hidden = T.nnet.sigmoid(T.dot(visible, self.w) + self.b_hidden)
        return p_visible, visible, self.draw(p_hidden)

    def pseudo_likelihood(self, x, updates):
        """An estimate of the log pseudo-likelihood, from one pixel, another one at each step."""
        pixel = theano.shared(0, name="pixel")
        x = T.round(x)
        flipped = T.set_subtensor(x[:, pixel], 1 - x[:, pixel])
        difference = self.free_energy(flipped) - self.free_energy(x)
        updates[pixel] = (pixel + 97) % self.n_visible  # all in turn, as 97 is prime
        return T.mean(self.n_visible * T.log(T.nnet.sigmoid(difference)))


def main(options):
    rng = np.random.RandomState(options.seed)
    training, _, test = load(options.data, options.images)
    images = theano.shared(training[0], borrow=True)
    x, index = T.matrix("x"), T.lscalar("index")
    model = RBM(rng, 784, options.hidden)

    chains = zeros(options.batch, options.hidden, name="chains")
    p_visible, visible, hidden = model.gibbs_step(chains)
    for _ in range(options.steps - 1):
        p_visible, visible, hidden = model.gibbs_step(hidden)
    cost = T.mean(model.free_energy(x)) - T.mean(model.free_energy(visible))
    gradients = T.grad(cost, model.params, consider_constant=[visible])
    rate = T.cast(options.rate, dtype=theano.config.floatX)
    updates = {p: p - rate * g for p, g in zip(model.params, gradients, strict=True)}
    updates[chains] = hidden
    monitor = model.pseudo_likelihood(x, updates)
    batch = images[index * options.batch : (index + 1) * options.batch]
    train = theano.function([index], monitor, updates=updates, givens={x: batch})
    # How far the machine finds a test image more likely than the same pixels in another order.
    shuffled = x[:, rng.permutation(784)]
    gap = theano.function([x], T.mean(model.free_energy(shuffled) - model.free_energy(x)))
    dream = theano.function([], p_visible, updates=[(chains, hidden)])

    for epoch in range(1, options.epochs + 1):
        values = [train(i) for i in range(len(training[0]) // options.batch)]
        print(f"epoch {epoch}: log pseudo-likelihood {np.mean(values):.1f}", flush=True)
    for _ in range(100):
        picture = dream()[0]
    rows = (picture.reshape(14, 2, 28).mean(axis=1) * 9.99).astype(int)
    print("\n".join("".join(" .:-=+*#%@"[value] for value in row) for row in rows))
    print(f"a test image is more likely than its shuffled pixels by {gap(test[0]):.0f} nats")


if __name__ == "__main__":
    main(arguments(__doc__, epochs=15, batch=20, hidden=500, steps=1, rate=0.1))
