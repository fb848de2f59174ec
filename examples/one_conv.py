"""The book's first convolutional network: 20 filters of 5 x 5, and 100 sigmoid neurons behind them.

Draws the filters, if matplotlib is installed (the extra `plot`). 60 epochs reach about 98.8 %. They
take some minutes on two cores; set EPOCHS to 5 for a first look.
"""

from importlib.util import find_spec

from tinygrad_mnist import plots
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    SoftmaxLayer,
    load_data_shared,
)

EPOCHS = 60
mini_batch_size = 10
training_data, validation_data, test_data = load_data_shared()

net = Network(
    [
        ConvPoolLayer(image_shape=(mini_batch_size, 1, 28, 28), filter_shape=(20, 1, 5, 5)),
        FullyConnectedLayer(n_in=20 * 12 * 12, n_out=100),
        SoftmaxLayer(n_in=100, n_out=10),
    ],
    mini_batch_size,
)
net.SGD(training_data, EPOCHS, mini_batch_size, 0.1, validation_data, test_data)
if find_spec("matplotlib"):
    plots.plot_filters(net.layers[0], "filters.png")
