"""`device_lib`, which TensorFlow has in tensorflow.python.client."""

from tinygrad_mnist.keras.backend import list_local_devices

__all__ = ["list_local_devices"]
