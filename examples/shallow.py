"""The book's first network of chapter 6: 100 sigmoid neurons, no convolution.

60 epochs reach about 97.8 % on the validation data. They take about a minute on two cores.
"""

from tinygrad_mnist.network3 import FullyConnectedLayer, Network, SoftmaxLayer, load_data_shared

mini_batch_size = 10
training_data, validation_data, test_data = load_data_shared()

net = Network(
    [FullyConnectedLayer(n_in=784, n_out=100), SoftmaxLayer(n_in=100, n_out=10)],
    mini_batch_size,
)
net.SGD(training_data, 60, mini_batch_size, 0.1, validation_data, test_data)
