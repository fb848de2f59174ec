"""Nine rules of descent on one net: each starts from the same weights and sees the same batches.

python -m tinygrad_mnist.theano examples/theano_updates.py --epochs 3
"""

import numpy as np
import theano
import theano.tensor as T
from theano.updates import OrderedUpdates
from theano_data import arguments, load, share, weights, zeros

# A rule takes a parameter p, its gradient g and the number t of the step, from 1 on. It returns
# updates; the last one is that of p.


def state(p):
    """A shared variable of zeros, of the type of p."""
    return theano.shared(np.zeros_like(p.get_value(borrow=True)), broadcastable=p.broadcastable)


def sgd(p, g, t, rate=0.5):
    return [(p, p - rate * g)]


def momentum(p, g, t, rate=0.1, mu=0.9):
    v = state(p)
    new_v = mu * v - rate * g
    return [(v, new_v), (p, p + new_v)]


def nesterov(p, g, t, rate=0.1, mu=0.9):
    v = state(p)
    new_v = mu * v - rate * g
    return [(v, new_v), (p, p + mu * new_v - rate * g)]


def adagrad(p, g, t, rate=0.05, epsilon=1e-6):
    total = state(p)
    new_total = total + g**2
    return [(total, new_total), (p, p - rate * g / T.sqrt(new_total + epsilon))]


def rmsprop(p, g, t, rate=0.003, rho=0.9, epsilon=1e-6):
    mean = state(p)
    new_mean = rho * mean + (1 - rho) * g**2
    return [(mean, new_mean), (p, p - rate * g / T.sqrt(new_mean + epsilon))]


def adadelta(p, g, t, rho=0.95, epsilon=1e-6):
    mean, mean_step = state(p), state(p)
    new_mean = rho * mean + (1 - rho) * g**2
    step = g * T.sqrt(mean_step + epsilon) / T.sqrt(new_mean + epsilon)
    return [(mean, new_mean), (mean_step, rho * mean_step + (1 - rho) * step**2), (p, p - step)]


def adam(p, g, t, rate=0.003, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m, v = state(p), state(p)
    new_m, new_v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
    step = rate * (new_m / (1 - beta1**t)) / (T.sqrt(new_v / (1 - beta2**t)) + epsilon)
    return [(m, new_m), (v, new_v), (p, p - step)]


def adamax(p, g, t, rate=0.005, beta1=0.9, beta2=0.999, epsilon=1e-8):
    m, u = state(p), state(p)
    new_m, new_u = beta1 * m + (1 - beta1) * g, T.maximum(beta2 * u, abs(g))
    return [(m, new_m), (u, new_u), (p, p - rate / (1 - beta1**t) * new_m / (new_u + epsilon))]


def norm_constraint(p, g, t, rate=0.5, most=1.5):
    """Gradient descent in which the weights into a unit keep a Euclidean norm of at most `most`."""
    new_p = p - rate * g
    if p.ndim == 2:
        norms = T.sqrt(T.sum(T.sqr(new_p), axis=0, keepdims=True))
        new_p *= T.clip(norms, 0, most) / (1e-7 + norms)
    return [(p, new_p)]


RULES = (sgd, momentum, nesterov, adagrad, rmsprop, adadelta, adam, adamax, norm_constraint)


def updates_of(rule, cost, params):
    t = theano.shared(np.asarray(0, theano.config.floatX), name="t")
    updates = OrderedUpdates({t: t + 1})
    for p, g in zip(params, T.grad(cost, params), strict=True):
        updates.update(rule(p, g, t + 1))
    return updates


def main(options):
    training, _, test = load(options.data, options.images)
    images, labels = share(*training)
    x, y, index = T.matrix("x"), T.ivector("y"), T.lscalar("index")
    batch = slice(index * options.batch, (index + 1) * options.batch)
    for rule in RULES:
        rng = np.random.RandomState(options.seed)
        w1, b1 = weights(rng, 784, options.hidden, "w1"), zeros(options.hidden, name="b1")
        w2, b2 = weights(rng, options.hidden, 10, "w2"), zeros(10, name="b2")
        params = [w1, b1, w2, b2]
        p_y = T.nnet.softmax(T.dot(T.tanh(T.dot(x, w1) + b1), w2) + b2)
        cost = T.nnet.categorical_crossentropy(p_y, y).mean()
        train = theano.function(
            [index],
            cost,
            updates=updates_of(rule, cost, params),
            givens={x: images[batch], y: labels[batch]},
        )
        error = theano.function([x, y], T.neq(p_y.argmax(axis=1), y).mean())
        for _ in range(options.epochs):
            costs = [train(i) for i in range(len(training[0]) // options.batch)]
        print(
            f"{rule.__name__:16} cost {np.mean(costs):.4f}, test error {error(*test):.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main(arguments(__doc__, epochs=5, batch=50, hidden=200))
