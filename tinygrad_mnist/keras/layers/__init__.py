"""`keras.layers`."""

from tinygrad_mnist.keras.layers.activations import (
    ELU,
    Activation,
    LeakyReLU,
    PReLU,
    ReLU,
    Rescaling,
    Softmax,
)
from tinygrad_mnist.keras.layers.conv import Conv2D
from tinygrad_mnist.keras.layers.dense import Dense
from tinygrad_mnist.keras.layers.dropout import Dropout
from tinygrad_mnist.keras.layers.input import Input, InputLayer
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.normalization import BatchNormalization
from tinygrad_mnist.keras.layers.pooling import (
    AveragePooling2D,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    MaxPooling2D,
)
from tinygrad_mnist.keras.layers.reshaping import Flatten, Reshape, ZeroPadding2D
from tinygrad_mnist.keras.layers.serialization import deserialize, serialize

Convolution2D = Conv2D
MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D

__all__ = [
    "ELU",
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "PReLU",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "ZeroPadding2D",
    "deserialize",
    "serialize",
]
