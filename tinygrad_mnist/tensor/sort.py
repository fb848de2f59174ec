"""Theano's `tensor.sort`."""

from __future__ import annotations

from tinygrad_mnist.ops.sort import argsort, argtopk, sort, topk, topk_and_argtopk

__all__ = ["argsort", "argtopk", "sort", "topk", "topk_and_argtopk"]
