"""A stand-in for the book's file of this name: its names and rules, in the Theano of its time."""

import gzip
import pickle

import numpy as np
import theano
import theano.tensor as T
from theano.tensor import shared_randomstreams, tanh  # noqa: F401
from theano.tensor.nnet import (
    conv,
    sigmoid,
    softmax,
)
from theano.tensor.signal import downsample

GPU = True
if GPU:
    print("On a GPU, if there is one.")
    try:
        theano.config.device = "gpu"
    except:
        pass
    theano.config.floatX = "float32"


def linear(z):
    return z


def ReLU(z):
    return T.maximum(0.0, z)


def load_data_shared(filename="../data/mnist.pkl.gz"):
    with gzip.open(filename, "rb") as file:
        parts = pickle.load(file, encoding="latin1")

    def share(part):
        x = theano.shared(np.asarray(part[0], dtype=theano.config.floatX), borrow=True)
        y = theano.shared(np.asarray(part[1], dtype=theano.config.floatX), borrow=True)
        return x, T.cast(y, "int32")

    return [share(part) for part in parts]


def size(data):
    return data[0].get_value(borrow=True).shape[0]


def dropout_layer(layer, p_dropout):
    streams = shared_randomstreams.RandomStreams(np.random.RandomState(0).randint(999999))
    return layer * T.cast(streams.binomial(n=1, p=1 - p_dropout, size=layer.shape), layer.dtype)


def parameter(values, name):
    return theano.shared(np.asarray(values, dtype=theano.config.floatX), name=name, borrow=True)


class ConvPoolLayer:
    def __init__(self, filter_shape, image_shape, poolsize=(2, 2), activation_fn=sigmoid):
        self.filter_shape, self.image_shape = filter_shape, image_shape
        self.poolsize, self.activation_fn = poolsize, activation_fn
        n_out = filter_shape[0] * np.prod(filter_shape[2:]) // np.prod(poolsize)
        self.w = parameter(np.random.normal(0, np.sqrt(1.0 / n_out), filter_shape), "w")
        self.b = parameter(np.random.normal(0, 1.0, (filter_shape[0],)), "b")
        self.params = [self.w, self.b]

    def set_inpt(self, inpt, inpt_dropout, mini_batch_size):
        self.inpt = inpt.reshape(self.image_shape)
        maps = conv.conv2d(
            input=self.inpt,
            filters=self.w,
            filter_shape=self.filter_shape,
            image_shape=self.image_shape,
        )
        pooled = downsample.max_pool_2d(input=maps, ds=self.poolsize, ignore_border=True)
        self.output = self.activation_fn(pooled + self.b.dimshuffle("x", 0, "x", "x"))
        self.output_dropout = self.output


class FullyConnectedLayer:
    def __init__(self, n_in, n_out, activation_fn=sigmoid, p_dropout=0.0):
        self.n_in, self.n_out = n_in, n_out
        self.activation_fn, self.p_dropout = activation_fn, p_dropout
        self.w = parameter(np.random.normal(0, np.sqrt(1.0 / n_out), (n_in, n_out)), "w")
        self.b = parameter(np.random.normal(0, 1.0, (n_out,)), "b")
        self.params = [self.w, self.b]

    def set_inpt(self, inpt, inpt_dropout, mini_batch_size):
        self.inpt = inpt.reshape((mini_batch_size, self.n_in))
        scaled = (1 - self.p_dropout) * T.dot(self.inpt, self.w)
        self.output = self.activation_fn(scaled + self.b)
        self.y_out = T.argmax(self.output, axis=1)
        self.inpt_dropout = dropout_layer(
            inpt_dropout.reshape((mini_batch_size, self.n_in)), self.p_dropout
        )
        self.output_dropout = self.activation_fn(T.dot(self.inpt_dropout, self.w) + self.b)

    def accuracy(self, y):
        return T.mean(T.eq(y, self.y_out))


class SoftmaxLayer(FullyConnectedLayer):
    def __init__(self, n_in, n_out, p_dropout=0.0):
        super().__init__(n_in, n_out, softmax, p_dropout)
        for variable in self.params:
            variable.set_value(np.zeros_like(variable.get_value()))

    def cost(self, net):
        return -T.mean(T.log(self.output_dropout)[T.arange(net.y.shape[0]), net.y])


class Network:
    def __init__(self, layers, mini_batch_size):
        self.layers, self.mini_batch_size = layers, mini_batch_size
        self.params = [param for layer in layers for param in layer.params]
        self.x, self.y = T.matrix("x"), T.ivector("y")
        inpt = inpt_dropout = self.x
        for layer in layers:
            layer.set_inpt(inpt, inpt_dropout, mini_batch_size)
            inpt, inpt_dropout = layer.output, layer.output_dropout

    def SGD(
        self, training_data, epochs, mini_batch_size, eta, validation_data, test_data, lmbda=0.0
    ):
        n_batches = size(training_data) // mini_batch_size
        l2 = sum((layer.w**2).sum() for layer in self.layers)
        cost = self.layers[-1].cost(self) + 0.5 * lmbda * l2 / n_batches
        gradients = T.grad(cost, self.params)
        i = T.lscalar()
        batch = slice(i * mini_batch_size, (i + 1) * mini_batch_size)

        def givens(data):
            return {self.x: data[0][batch], self.y: data[1][batch]}

        train_mb = theano.function(
            [i],
            cost,
            updates=[(p, p - eta * g) for p, g in zip(self.params, gradients)],
            givens=givens(training_data),
        )
        accuracy = theano.function(
            [i], self.layers[-1].accuracy(self.y), givens=givens(validation_data)
        )
        costs = []
        for epoch in range(epochs):
            costs.append(np.mean([train_mb(index) for index in range(n_batches)]))
            n = size(validation_data) // mini_batch_size
            print("Epoch", epoch, np.mean([accuracy(index) for index in range(n)]) >= 0)
        print("costs fall:", costs[-1] < costs[0] - 0.1, train_mb(0).dtype)
