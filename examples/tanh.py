"""Two nets that differ in their neurons: sigmoid and tanh; their curves in one picture.

Needs matplotlib for the picture (the extra `plot`). The tanh net learns faster at first. The
20 epochs of both take some minutes on two cores.
"""

from importlib.util import find_spec

from tinygrad_mnist import plots
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    SoftmaxLayer,
    load_data_shared,
    sigmoid,
    tanh,
)

EPOCHS = 20
training_data, validation_data, test_data = load_data_shared()

curves = {}
for fn, eta in ((sigmoid, 0.1), (tanh, 0.03)):
    layers = [
        ConvPoolLayer((20, 1, 5, 5), (10, 1, 28, 28), activation_fn=fn),
        ConvPoolLayer((40, 20, 5, 5), (10, 20, 12, 12), activation_fn=fn),
        FullyConnectedLayer(40 * 4 * 4, 100, fn),
        SoftmaxLayer(100, 10),
    ]
    net = Network(layers, 10, seed=1)
    history = net.SGD(training_data, EPOCHS, 10, eta, validation_data, test_data)
    curves[f"accuracy_{fn.__name__}"] = history.validation_accuracies
if find_spec("matplotlib"):
    plots.plot_history(curves, "tanh.png")
