"""A program beside the book's file."""

import mnist_loader
import network3
import numpy as np
from network3 import ConvPoolLayer, FullyConnectedLayer, Network, ReLU, SoftmaxLayer

np.random.seed(0)
training_data, validation_data, test_data = network3.load_data_shared()
net = Network(
    [
        ConvPoolLayer((4, 1, 5, 5), (10, 1, 28, 28), poolsize=(2, 2), activation_fn=ReLU),
        FullyConnectedLayer(n_in=4 * 12 * 12, n_out=20, activation_fn=ReLU, p_dropout=0.1),
        SoftmaxLayer(n_in=20, n_out=10, p_dropout=0.1),
    ],
    10,
)
net.SGD(training_data, 30, 10, 0.03, validation_data, test_data, lmbda=0.1)
training, validation, test = mnist_loader.load_data_wrapper()
print(network3.__file__, [len(part) for part in (training, validation, test)])
