"""Logistic regression as Theano's tutorial writes it, with a sigmoid and a cross-entropy by hand.

The first scores are far beyond 88, where exp overflows in float32. The engine computes stable
forms of such expressions and of their gradients (docs/stability.md).

python -m tinygrad_mnist.theano examples/theano_logistic.py
"""

import numpy as np
import theano
import theano.tensor as T

STEPS = 500


def train(dtype, steps=STEPS):
    """Trains on separable data; returns the cost of every step, and the final accuracy."""
    theano.config.floatX = dtype
    rng = np.random.default_rng(0)
    n, feats = 400, 784
    data = (10 * rng.normal(size=(n, feats))).astype(dtype)
    labels = (data @ rng.normal(size=feats) > 0).astype(dtype)

    # Declare Theano symbolic variables
    x = T.matrix("x")
    y = T.vector("y")
    w = theano.shared(rng.normal(size=feats).astype(dtype), name="w")
    b = theano.shared(np.asarray(0, dtype), name="b")

    # Construct Theano expression graph
    p_1 = 1 / (1 + T.exp(-T.dot(x, w) - b))  # Probability that target = 1
    prediction = p_1 > 0.5  # The prediction thresholded
    xent = -y * T.log(p_1) - (1 - y) * T.log(1 - p_1)  # Cross-entropy loss function
    cost = xent.mean() + 0.01 * (w**2).sum()  # The cost to minimize
    gw, gb = T.grad(cost, [w, b])  # Compute the gradient of the cost

    # Compile
    step = theano.function(
        inputs=[x, y], outputs=cost, updates=[(w, w - 0.1 * gw), (b, b - 0.1 * gb)]
    )
    predict = theano.function(inputs=[x], outputs=prediction)

    costs = [float(step(data, labels)) for _ in range(steps)]
    return costs, float(np.mean(predict(data) == labels))


if __name__ == "__main__":
    for dtype in ("float32", "float64"):
        costs, accuracy = train(dtype)
        print(
            f"{dtype}: cost {costs[0]:.1f}, after {len(costs)} steps {costs[-1]:.3f}; "
            f"all costs finite: {np.isfinite(costs).all()}; accuracy {accuracy:.1%}"
        )
