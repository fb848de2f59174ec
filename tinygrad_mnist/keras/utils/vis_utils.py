"""`keras.utils.vis_utils`: pictures of a model's architecture."""

from __future__ import annotations

from typing import Any, NoReturn


def plot_model(model: Any, *arguments: Any, **options: Any) -> NoReturn:
    """Raises NotImplementedError, which says what does nearly the same."""
    raise NotImplementedError(
        "plot_model isn't here. model.summary() prints the layers; model.export('model.onnx') "
        "writes a file whose graph Netron (netron.app) draws"
    )


__all__ = ["plot_model"]
