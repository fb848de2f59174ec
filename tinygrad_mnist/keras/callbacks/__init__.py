"""`keras.callbacks`: what is called while a model trains."""

from tinygrad_mnist.keras.callbacks.callback import Callback
from tinygrad_mnist.keras.callbacks.callback_list import CallbackList
from tinygrad_mnist.keras.callbacks.history import History

__all__ = ["Callback", "CallbackList", "History"]
