"""A net that is trained until five epochs in a row bring nothing, and that can be stopped.

Press Ctrl-C, and start the program again: it goes on from `early_stopping.safetensors`, bit for bit
as if it had never stopped. Usually 15 to 40 epochs, of a few seconds each on two cores.
"""

from tinygrad_mnist.network3 import (
    Checkpoint,
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    load_data_shared,
)

training_data, validation_data, test_data = load_data_shared()
layers = [
    ConvPoolLayer((20, 1, 5, 5), (10, 1, 28, 28), activation_fn=ReLU),
    FullyConnectedLayer(20 * 12 * 12, 100, ReLU),
    SoftmaxLayer(100, 10),
]
net = Network(layers, 10, seed=1)
history = net.SGD(
    training_data,
    100,
    10,
    0.03,
    validation_data,
    test_data,
    lmbda=0.1,
    early_stopping=5,
    checkpoint=Checkpoint("early_stopping.safetensors", every=1000, resume=True),
)
best = Network.load("early_stopping.safetensors", best=True)
print(f"{history}; the best epoch: {best.evaluate(test_data)}")
