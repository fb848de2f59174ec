"""Logistic regression by SciPy's nonlinear conjugate gradient. All parameters are slices of one
shared vector, which SciPy sets and whose gradient it reads.

python -m tinygrad_mnist.theano examples/theano_conjugate_gradient.py --iterations 50
"""

import numpy as np
import scipy.optimize
import theano
import theano.tensor as T
from theano_data import arguments, load, share


def main(options):
    training, validation, test = load(options.data, options.images)
    images, labels = share(*training)
    n_in, n_out, batch = 784, 10, options.batch
    n_batches = len(training[0]) // batch

    theta = theano.shared(
        np.zeros((n_in + 1) * n_out, dtype=theano.config.floatX), name="theta", borrow=True
    )
    w = theta[: n_in * n_out].reshape((n_in, n_out))
    b = theta[n_in * n_out :]
    x, y, index = T.matrix("x"), T.ivector("y"), T.lscalar("index")
    p_y = T.nnet.softmax(T.dot(x, w) + b)
    cost = -T.mean(T.log(p_y)[T.arange(y.shape[0]), y]) + options.l2 * T.sum(w**2)
    givens = {
        x: images[index * batch : (index + 1) * batch],
        y: labels[index * batch : (index + 1) * batch],
    }
    batch_cost = theano.function([index], cost, givens=givens)
    batch_gradient = theano.function([index], T.grad(cost, theta), givens=givens)
    error = theano.function([x, y], T.mean(T.neq(T.argmax(p_y, axis=1), y)))

    def move_to(value):
        theta.set_value(value.astype(theano.config.floatX), borrow=True)

    def cost_at(value):
        move_to(value)
        return np.mean([batch_cost(i) for i in range(n_batches)], dtype="float64")

    def gradient_at(value):
        move_to(value)
        return np.mean([batch_gradient(i) for i in range(n_batches)], axis=0, dtype="float64")

    best = [1.0, theta.get_value()]

    def report(value):
        move_to(value)
        now = error(*validation)
        print(f"validation error {now:.2%}", flush=True)
        if now < best[0]:
            best[:] = now, theta.get_value()

    found = scipy.optimize.minimize(
        cost_at,
        np.zeros((n_in + 1) * n_out),
        method="CG",
        jac=gradient_at,
        callback=report,
        options={"maxiter": options.iterations},
    )
    slope = np.abs(gradient_at(found.x)).max()
    theta.set_value(best[1])
    print(
        f"{found.nit} iterations: cost {found.fun:.5f}, largest slope {slope:.1e},"
        f" test error {error(*test):.2%}"
    )


if __name__ == "__main__":
    main(arguments(__doc__, iterations=50, batch=1000, l2=1e-4))
