"""A convolutional net in the manner of LeNet-5: convolution, max-pool and tanh, twice, then a dense
layer and softmax.

python -m tinygrad_mnist.theano examples/theano_lenet.py --epochs 5
"""

import numpy as np
import theano
import theano.tensor as T
from theano.tensor.nnet import conv2d
from theano.tensor.signal import pool
from theano_data import arguments, load, share, weights, zeros


def conv_pool(rng, images, filter_shape, image_shape, poolsize=(2, 2)):
    """A layer: the feature maps, and its parameters.

    filter_shape: (filters, input maps, height, width). image_shape: (batch, maps, height, width).
    """
    assert image_shape[1] == filter_shape[1]
    fan_in = np.prod(filter_shape[1:])
    fan_out = filter_shape[0] * np.prod(filter_shape[2:]) // np.prod(poolsize)
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    value = rng.uniform(-bound, bound, filter_shape)
    w = theano.shared(np.asarray(value, theano.config.floatX), name="filters", borrow=True)
    b = zeros(filter_shape[0], name="b")
    maps = conv2d(input=images, filters=w, filter_shape=filter_shape, input_shape=image_shape)
    pooled = pool.pool_2d(input=maps, ws=poolsize, ignore_border=True)
    return T.tanh(pooled + b.dimshuffle("x", 0, "x", "x")), [w, b]


def lenet(rng, x, batch, kernels=(20, 50), hidden=500):
    """The probabilities of the ten classes, (batch, 10), and all parameters."""
    images = x.reshape((batch, 1, 28, 28))
    first, params1 = conv_pool(rng, images, (kernels[0], 1, 5, 5), (batch, 1, 28, 28))
    second, params2 = conv_pool(
        rng, first, (kernels[1], kernels[0], 5, 5), (batch, kernels[0], 12, 12)
    )
    features = second.flatten(2)
    w3, b3 = weights(rng, kernels[1] * 4 * 4, hidden, "w3"), zeros(hidden, name="b3")
    w4, b4 = zeros(hidden, 10, name="w4"), zeros(10, name="b4")
    dense = T.tanh(T.dot(features, w3) + b3)
    return T.nnet.softmax(T.dot(dense, w4) + b4), [*params1, *params2, w3, b3, w4, b4]


def main(options):
    rng = np.random.RandomState(options.seed)
    parts = load(options.data, options.images)
    index = T.lscalar("index")
    x, y = T.matrix("x"), T.ivector("y")
    p_y, params = lenet(rng, x, options.batch, (options.maps, 5 * options.maps // 2))
    cost = T.nnet.categorical_crossentropy(p_y, y).mean()
    errors = T.mean(T.neq(p_y.argmax(axis=1), y))
    updates = [(p, p - options.rate * g) for p, g in zip(params, T.grad(cost, params), strict=True)]

    functions = []
    for outputs, changes, part in zip(
        (cost, errors, errors), (updates, None, None), parts, strict=True
    ):
        images, labels = share(*part)
        start, stop = index * options.batch, (index + 1) * options.batch
        f = theano.function(
            [index], outputs, updates=changes, givens={x: images[start:stop], y: labels[start:stop]}
        )
        functions.append((f, len(part[0]) // options.batch))

    for epoch in range(1, options.epochs + 1):
        cost, validation, test = (np.mean([f(i) for i in range(n)]) for f, n in functions)
        print(
            f"epoch {epoch}: cost {cost:.4f}, validation error {validation:.2%},"
            f" test error {test:.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main(arguments(__doc__, epochs=10, batch=50, maps=20, rate=0.1))
