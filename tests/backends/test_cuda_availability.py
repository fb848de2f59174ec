"""What is said where no GPU can be used."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from importlib import metadata

import pytest

from tinygrad_mnist.backends.cuda import api, availability
from tinygrad_mnist.backends.cuda.api import Device, chosen_device
from tinygrad_mnist.backends.cuda.availability import Missing, missing, refusal, usable
from tinygrad_mnist.errors import DeviceError

H100 = Device(0, "NVIDIA H100", (9, 0), 80 << 30, 132, 1.98e9, 2.619e9, 5120, 2)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Linux machine with everything."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    monkeypatch.setattr(availability, "_is_there", lambda module: True)
    monkeypatch.setattr(metadata, "version", lambda package: "1.0")
    monkeypatch.setattr(availability, "load_driver", lambda: None)
    monkeypatch.setattr(availability, "driver_version", lambda driver: (13, 0))
    monkeypatch.setattr(availability, "devices", lambda driver: [H100])
    for name in ("TINYGRAD_MNIST_GPU", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    missing.cache_clear()
    yield
    missing.cache_clear()


def no_library(name: str) -> None:
    raise OSError(name)


def raising(error: Exception) -> Callable[..., None]:
    def fail(*args: object) -> None:
        raise error

    return fail


def test_nothing_is_missing() -> None:
    assert usable()
    assert refusal() is None


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    assert not usable()
    assert refusal() == (
        "no GPU can be used: there is no NVIDIA driver (libcuda.so.1);"
        " install NVIDIA's driver, 580 or later, from https://www.nvidia.com/drivers"
    )


def test_no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "_is_there", lambda module: module == "numba")
    monkeypatch.setattr(metadata, "version", raising(metadata.PackageNotFoundError("x")))
    assert missing() == (
        Missing(
            "packages",
            "the packages numba-cuda, cuda-bindings and cuda-core are not installed",
            "pip install 'tinygrad_mnist[cuda]'",
        ),
        Missing(
            "compiler",
            "CUDA's compiler lacks nvidia-nvvm and nvidia-nvjitlink",
            "pip install 'tinygrad_mnist[cuda]'",
        ),
    )
    assert refusal() == (
        "no GPU can be used: the packages numba-cuda, cuda-bindings and cuda-core are not"
        " installed, and CUDA's compiler lacks nvidia-nvvm and nvidia-nvjitlink;"
        " pip install 'tinygrad_mnist[cuda]'"
    )


def test_a_compiler_of_the_system_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", raising(metadata.PackageNotFoundError("x")))
    asked = []

    class Pathfinder:
        @staticmethod
        def load_nvidia_dynamic_lib(name: str) -> None:
            asked.append(name)

    monkeypatch.setattr(availability, "import_module", lambda name: Pathfinder)
    assert usable()
    assert asked == ["nvvm", "nvJitLink"]


def test_neither_driver_nor_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    monkeypatch.setattr(availability, "_is_there", lambda module: module != "numba_cuda")
    assert refusal() == (
        "no GPU can be used: there is no NVIDIA driver (libcuda.so.1), and the package numba-cuda"
        " is not installed; install NVIDIA's driver, 580 or later, from"
        " https://www.nvidia.com/drivers, then pip install 'tinygrad_mnist[cuda]'"
    )


def test_a_driver_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "load_driver", raising(DeviceError("cuInit failed")))
    assert [(m.part, m.problem, m.remedy) for m in missing()] == [("driver", "cuInit failed", "")]
    assert refusal() == "no GPU can be used: cuInit failed"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    missing.cache_clear()
    assert refusal() == "no GPU can be used: cuInit failed (CUDA_VISIBLE_DEVICES is '')"


def test_an_old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "driver_version", lambda driver: (12, 8))
    assert refusal() == (
        "no GPU can be used: NVIDIA's driver supports CUDA 12.8, not 13.0;"
        " install NVIDIA's driver, 580 or later, from https://www.nvidia.com/drivers"
    )


def test_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert refusal() == "no GPU can be used: NVIDIA has no driver for macOS"


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [H100, H100._replace(number=1, name="NVIDIA H200")]
    assert chosen_device(both) is both[0]
    monkeypatch.setenv("TINYGRAD_MNIST_GPU", "1")
    assert chosen_device(both) is both[1]
    with pytest.raises(DeviceError, match="TINYGRAD_MNIST_GPU is '1'; the only GPU here is 0"):
        chosen_device(both[:1])
    with pytest.raises(DeviceError, match="finds no GPU"):
        chosen_device([])
    monkeypatch.setenv("TINYGRAD_MNIST_GPU", "0")
    with pytest.raises(DeviceError, match=r"capability 7.0; CUDA 13 supports 7.5 and later"):
        chosen_device([H100._replace(capability=(7, 0))])


@pytest.mark.parametrize(
    ("device", "dtype", "flops"),
    [
        (H100, "float32", 66.9e12),
        (H100, "float64", 33.5e12),
        (Device(0, "A100", (8, 0), 0, 108, 1.41e9, 0, 0, 2), "float32", 19.5e12),
        (Device(0, "T4", (7, 5), 0, 40, 1.59e9, 0, 0, 32), "float32", 8.1e12),
        (Device(0, "RTX 4090", (8, 9), 0, 128, 2.52e9, 0, 0, 64), "float32", 82.6e12),
    ],
)
def test_peaks_are_those_of_the_data_sheets(device: Device, dtype: str, flops: float) -> None:
    assert device.peak(dtype) == pytest.approx(flops, rel=0.01)


def test_a_driver_without_the_library_is_a_clear_error() -> None:
    class Bindings:
        cuInit = staticmethod(raising(RuntimeError("no such library")))  # noqa: N815

    driver = api.Driver.__new__(api.Driver)
    driver.functions = Bindings
    with pytest.raises(DeviceError, match="starting failed: no such library"):
        driver("starting", "cuInit", 0)
