"""The flag `network3.GPU`: a setting that programs assign to the module."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import ModuleType

from tinygrad_mnist.training import check_gpu, on_gpu


class _Flag:
    wanted = False


class ModuleWithFlag(ModuleType):
    """A module whose attribute `GPU` is the flag, so that all files of the package read one."""

    @property
    def GPU(self) -> bool:  # noqa: N802
        """Whether to train on a GPU; False uses `config.device`. It is read when data, layers and
        functions are made. True is an error there if no GPU can be used."""
        return _Flag.wanted

    @GPU.setter
    def GPU(self, wanted: bool) -> None:  # noqa: N802
        _Flag.wanted = wanted


def check_flag() -> None:
    """Raises DeviceError if a GPU is wanted and can't be used."""
    check_gpu(_Flag.wanted)


def on_wanted_device() -> AbstractContextManager[None]:
    """Functions made inside run on a GPU if the flag is set, else on `config.device`."""
    return on_gpu(_Flag.wanted)
