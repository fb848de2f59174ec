"""`keras.models`."""

from tinygrad_mnist.keras.models.extractor import FeatureExtractor
from tinygrad_mnist.keras.models.loading import load_model, model_from_json, save_model
from tinygrad_mnist.keras.models.model import Model, Pass
from tinygrad_mnist.keras.models.sequential import Sequential

__all__ = [
    "FeatureExtractor",
    "Model",
    "Pass",
    "Sequential",
    "load_model",
    "model_from_json",
    "save_model",
]
