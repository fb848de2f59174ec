"""Theano's `theano.sandbox`."""
