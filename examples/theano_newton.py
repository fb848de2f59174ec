"""Logistic regression by Newton's method: the Hessian is an expression like any other.

Pictures are averaged over blocks of 4 x 4 pixels, so that there are 50 parameters. Each step solves
H s = g; the number of correct digits about doubles with every step.

python -m tinygrad_mnist.theano examples/theano_newton.py --digits 38
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.signal.pool import pool_2d
from theano.tensor.slinalg import solve
from theano_data import arguments, load


def features(x):
    """The means of blocks of 4 x 4 pixels, and a 1 for the bias: (n, 50)."""
    pictures = x.reshape((-1, 28, 28))
    means = pool_2d(pictures, ws=(4, 4), ignore_border=True, mode="average_exc_pad").flatten(2)
    return T.concatenate([means, T.ones_like(means[:, :1])], axis=1)


def main(options):
    first, second = options.digits
    training, _, test = load(options.data, options.images)
    chosen = []
    for images, labels in (training, test):
        of_two = (labels == int(first)) | (labels == int(second))
        chosen.append((images[of_two], (labels[of_two] == int(second)).astype("int32")))

    x, y = T.matrix("x"), T.ivector("y")
    w = theano.shared(np.zeros(50, theano.config.floatX), name="w")
    score = T.dot(features(x), w)
    cost = T.nnet.softplus(T.switch(y, -score, score)).mean() + 0.5 * options.l2 * T.sum(w**2)
    gradient = theano.gradient.grad(cost, w)
    hessian = theano.gradient.hessian(cost, w)
    step = theano.function(
        [x, y], [cost, gradient.norm(2)], updates=[(w, w - solve(hessian, gradient))]
    )
    error = theano.function([x, y], T.neq(score > 0, y).mean())

    for i in range(options.steps):
        cost, slope = step(*chosen[0])
        print(f"after {i} steps: cost {cost:.12f}, norm of the gradient {slope:.1e}", flush=True)
    print(f"test error {error(*chosen[1]):.2%}")


if __name__ == "__main__":
    main(arguments(__doc__, digits="38", l2=1e-4, steps=10))
