"""A multilayer perceptron with L1 and L2 penalties, stopped early by its validation error.

python -m tinygrad_mnist.theano examples/theano_mlp.py --epochs 20
"""

import numpy as np
import theano
import theano.tensor as T
from theano_data import arguments, load, share, weights, zeros


def mlp(rng, x, n_hidden):
    """The probabilities of the ten classes for the images x, and the parameters: two matrices, two
    vectors."""
    w1, w2 = weights(rng, 784, n_hidden, "w1"), zeros(n_hidden, 10, name="w2")
    b1, b2 = zeros(n_hidden, name="b1"), zeros(10, name="b2")
    hidden = T.tanh(T.dot(x, w1) + b1)
    return T.nnet.softmax(T.dot(hidden, w2) + b2), [w1, w2, b1, b2]


def main(options):
    rng = np.random.RandomState(options.seed)
    training, validation, test = load(options.data, options.images)
    train_x, train_y = share(*training)
    n_batches = len(training[0]) // options.batch

    index = T.lscalar("index")
    x, y = T.matrix("x"), T.ivector("y")
    p_y, params = mlp(rng, x, options.hidden)
    cost = -T.mean(T.log(p_y)[T.arange(y.shape[0]), y])
    for w in params[:2]:
        cost += options.l1 * abs(w).sum() + options.l2 * (w**2).sum()
    batch = slice(index * options.batch, (index + 1) * options.batch)
    train = theano.function(
        inputs=[index],
        outputs=cost,
        updates=[(p, p - options.rate * T.grad(cost, p)) for p in params],
        givens={x: train_x[batch], y: train_y[batch]},
    )
    error = theano.function([x, y], T.mean(T.neq(T.argmax(p_y, axis=1), y)))

    best, best_values, since = 1.0, None, 0
    for epoch in range(1, options.epochs + 1):
        costs = [train(i) for i in range(n_batches)]
        now = error(*validation)
        print(f"epoch {epoch}: cost {np.mean(costs):.4f}, validation error {now:.2%}", flush=True)
        since += 1
        if now < best:
            best, since = now, 0
            best_values = [p.get_value(borrow=False) for p in params]
        if since == options.patience:
            print(f"no better for {since} epochs")
            break
    for p, value in zip(params, best_values, strict=True):
        p.set_value(value, borrow=True)
    print(f"validation error {best:.2%}, test error {error(*test):.2%}")


if __name__ == "__main__":
    main(
        arguments(__doc__, epochs=100, batch=20, hidden=500, rate=0.05, l1=0.0, l2=1e-4, patience=5)
    )
