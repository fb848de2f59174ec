"""Arrays and a description in one file, in the safetensors format."""

from tinygrad_mnist.saving.files import Saved, load_arrays, save_arrays

__all__ = ["Saved", "load_arrays", "save_arrays"]
