"""The images distorted anew for every epoch: turned, stretched, and bent (Simard et al., 2003).

A net of this size never sees an image twice, so it hardly overfits. The 60 epochs take some minutes
on two cores; the distortions add about half a second to each.
"""

from tinygrad_mnist.datasets import augmented
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    load_data_shared,
)

training_data, validation_data, test_data = load_data_shared()
distort = augmented(training_data, rotation=10, scale=0.1, elastic=(36, 6))
layers = [
    ConvPoolLayer((20, 1, 5, 5), (10, 1, 28, 28), activation_fn=ReLU),
    ConvPoolLayer((40, 20, 5, 5), (10, 20, 12, 12), activation_fn=ReLU),
    FullyConnectedLayer(40 * 4 * 4, 100, ReLU),
    SoftmaxLayer(100, 10),
]
net = Network(layers, 10, seed=1)
net.SGD(training_data, 60, 10, 0.03, validation_data, test_data, before_epoch=distort)
