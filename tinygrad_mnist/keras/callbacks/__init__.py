"""`keras.callbacks`: what is called while a model trains."""

from tinygrad_mnist.keras.callbacks.callback import Callback
from tinygrad_mnist.keras.callbacks.callback_list import CallbackList
from tinygrad_mnist.keras.callbacks.csv_logger import CSVLogger
from tinygrad_mnist.keras.callbacks.early_stopping import EarlyStopping
from tinygrad_mnist.keras.callbacks.history import History
from tinygrad_mnist.keras.callbacks.lambda_callback import LambdaCallback
from tinygrad_mnist.keras.callbacks.learning_rates import LearningRateScheduler, ReduceLROnPlateau
from tinygrad_mnist.keras.callbacks.model_checkpoint import ModelCheckpoint
from tinygrad_mnist.keras.callbacks.plot_training import PlotTraining
from tinygrad_mnist.keras.callbacks.terminate_on_nan import TerminateOnNaN
from tinygrad_mnist.plots import plot_learning_rate

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "PlotTraining",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
    "plot_learning_rate",
]
