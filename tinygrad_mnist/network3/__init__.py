"""Convolutional networks as in chapter 6 of Nielsen's book, on this package's engine.

The names and arguments are those of the book's network3, so a program written for it runs with
`from tinygrad_mnist import network3` in place of `import network3`:

    training_data, validation_data, test_data = load_data_shared()
    net = Network([FullyConnectedLayer(n_in=784, n_out=100), SoftmaxLayer(n_in=100, n_out=10)], 10)
    net.SGD(training_data, 60, 10, 0.1, validation_data, test_data)

A layer is any object with `params`, `set_inpt(inpt, inpt_dropout, mini_batch_size)` and, after that
call, `output` and `output_dropout`; the last one also needs `cost(net)`, `accuracy(y)` and `y_out`.
An activation function is a callable on symbolic variables, a name such as "relu" (see
`training.activations`), or None for `linear`.

Source: M. Nielsen, Neural Networks and Deep Learning (2015), chapter 6.
"""

import sys

from tinygrad_mnist.network3.checkpoint import Checkpoint
from tinygrad_mnist.network3.data import Data, load_data_shared, share_data, size
from tinygrad_mnist.network3.ensemble import Ensemble
from tinygrad_mnist.network3.gpu import ModuleWithFlag
from tinygrad_mnist.network3.inference import Evaluation
from tinygrad_mnist.network3.layers import ConvPoolLayer, FullyConnectedLayer, SoftmaxLayer
from tinygrad_mnist.network3.network import Network
from tinygrad_mnist.tensor import tanh
from tinygrad_mnist.tensor.nnet import sigmoid
from tinygrad_mnist.training import History, Reporter
from tinygrad_mnist.training.activations import Activation, ReLU, linear
from tinygrad_mnist.training.dropout import dropout_layer

__all__ = [
    "GPU",
    "Activation",
    "Checkpoint",
    "ConvPoolLayer",
    "Data",
    "Ensemble",
    "Evaluation",
    "FullyConnectedLayer",
    "History",
    "Network",
    "ReLU",
    "Reporter",
    "SoftmaxLayer",
    "dropout_layer",
    "linear",
    "load_data_shared",
    "share_data",
    "sigmoid",
    "size",
    "tanh",
]

GPU: bool
sys.modules[__name__].__class__ = ModuleWithFlag
