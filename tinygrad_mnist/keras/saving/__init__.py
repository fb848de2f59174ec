"""Models as files: what `model.save` and `keras.models.load_model` write and read.

A file in the safetensors format has arrays, named by layer and weight in Keras's shapes, and as
JSON the layers, the arguments of `compile` and the names of the arrays in order.
"""

from tinygrad_mnist.keras.saving.saver import Saver

__all__ = ["Saver"]
