"""`keras.preprocessing.image`, which Keras has no longer."""

from __future__ import annotations

from typing import Any, NoReturn


def ImageDataGenerator(*arguments: Any, **options: Any) -> NoReturn:  # noqa: N802
    """Raises NotImplementedError, which says what does the same."""
    raise NotImplementedError(
        "ImageDataGenerator isn't here, nor in Keras's newest releases. "
        "tinygrad_mnist.datasets.augment(images, rotation=10, translation=3, scale=0.1) distorts "
        "images in the same way (docs/data.md): fit takes a generator that yields "
        "augment(x[i : i + n], rotation=10, seed=epoch, first=i), y[i : i + n]"
    )


__all__ = ["ImageDataGenerator"]
