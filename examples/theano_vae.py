"""A variational autoencoder: it learns to write digits, and a code of few numbers for each.

The bound of the log-likelihood (ELBO) is an expectation over random codes z. They are written as
mean + deviation * noise, so that the bound can be differentiated.

python -m tinygrad_mnist.theano examples/theano_vae.py --epochs 20
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.shared_randomstreams import RandomStreams
from theano_data import arguments, load, weights, zeros


class Dense:
    """A layer without its nonlinearity."""

    def __init__(self, rng, n_in, n_out):
        self.params = [weights(rng, n_in, n_out, "w"), zeros(n_out, name="b")]

    def __call__(self, x):
        w, b = self.params
        return T.dot(x, w) + b


class VAE:
    """Bernoulli pixels, Gaussian codes, and a hidden layer on each side.

    ink: how often each pixel is set, between 0 and 1.
    """

    def __init__(self, rng, ink, n_hidden, n_code):
        self.streams = RandomStreams(rng.randint(2**30))
        self.hidden = Dense(rng, len(ink), n_hidden)
        self.mean, self.log_variance = Dense(rng, n_hidden, n_code), Dense(rng, n_hidden, n_code)
        self.code_hidden, self.logits = Dense(rng, n_code, n_hidden), Dense(rng, n_hidden, len(ink))
        self.logits.params[1].set_value(np.log(ink / (1 - ink)))  # the mean picture to begin with
        layers = (self.hidden, self.mean, self.log_variance, self.code_hidden, self.logits)
        self.params = [p for layer in layers for p in layer.params]

    def decode(self, z):
        return T.nnet.sigmoid(self.logits(T.tanh(self.code_hidden(z))))

    def negative_elbo(self, x):
        """The mean over images, in nats: that of the restored pixels, and that of the code."""
        h = T.tanh(self.hidden(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        noise = self.streams.normal(mean.shape, dtype=theano.config.floatX)
        z = mean + T.exp(0.5 * log_variance) * noise
        pixels = T.nnet.binary_crossentropy(self.decode(z), x).sum(axis=1)
        code = -0.5 * T.sum(1 + log_variance - mean**2 - T.exp(log_variance), axis=1)
        return T.mean(pixels), T.mean(code)


def adam(cost, params, rate, b1=0.9, b2=0.999):
    """The updates of one step of Adam."""
    t = theano.shared(np.asarray(1.0, theano.config.floatX))
    updates = [(t, t + 1)]
    for p, g in zip(params, T.grad(cost, params), strict=True):
        m, v = (theano.shared(np.zeros_like(p.get_value())) for _ in range(2))
        new_m, new_v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * T.sqr(g)
        step = rate * new_m / (1 - b1**t) / (T.sqrt(new_v / (1 - b2**t)) + 1e-8)
        updates += [(m, new_m), (v, new_v), (p, p - step)]
    return updates


def show(picture):
    """A picture of 28 x 28 numbers from 0 to 1, in characters."""
    rows = (picture.reshape(14, 2, 28).mean(axis=1) * 9.99).astype(int)
    return "\n".join("".join(" .:-=+*#%@"[value] for value in row) for row in rows)


def main(options):
    rng = np.random.RandomState(options.seed)
    parts = load(options.data, options.images)
    training, test = ((x > 0.5).astype(theano.config.floatX) for x in (parts[0][0], parts[2][0]))
    images = theano.shared(training, borrow=True)
    model = VAE(rng, np.clip(training.mean(axis=0), 0.01, 0.99), options.hidden, options.code)
    x, index, z = T.matrix("x"), T.lscalar("index"), T.matrix("z")
    pixels, code = model.negative_elbo(x)
    train = theano.function(
        [index],
        pixels + code,
        updates=adam(pixels + code, model.params, options.rate),
        givens={x: images[index * options.batch : (index + 1) * options.batch]},
    )
    measure = theano.function([x], [pixels, code])
    write = theano.function([z], model.decode(z))

    for epoch in range(1, options.epochs + 1):
        bounds = [train(i) for i in range(len(training) // options.batch)]
        print(f"epoch {epoch}: -ELBO {np.mean(bounds):.2f}", flush=True)
    pixels, code = measure(test)
    print(show(write(rng.normal(size=(1, options.code)).astype(theano.config.floatX))[0]))
    print(f"test images: -ELBO {pixels + code:.2f} nats, of which code {code:.2f}")


if __name__ == "__main__":
    main(arguments(__doc__, epochs=20, batch=100, hidden=400, code=20, rate=0.001))
