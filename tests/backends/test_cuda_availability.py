"""What is said where no GPU can be used."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tinygrad_mnist.backends.cuda import api, availability, toolkit
from tinygrad_mnist.backends.cuda.ahead import capability_of
from tinygrad_mnist.backends.cuda.api import Device, chosen_device
from tinygrad_mnist.backends.cuda.availability import missing, refusal, usable, usable_for_all
from tinygrad_mnist.backends.cuda.toolkit import Missing, compiler_missing
from tinygrad_mnist.errors import DeviceError

H100 = Device(0, "NVIDIA H100", (9, 0), 80 << 30, 132, 1.98e9, 2.619e9, 5120, 2)


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Linux machine with everything."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    monkeypatch.setattr(availability, "is_there", lambda module: True)
    monkeypatch.setattr(toolkit, "is_there", lambda module: True)
    monkeypatch.setattr(metadata, "version", lambda package: "13.0.88")
    monkeypatch.setattr(availability, "load_driver", lambda: None)
    monkeypatch.setattr(availability, "driver_version", lambda driver: (13, 0))
    monkeypatch.setattr(availability, "devices", lambda driver: [H100])
    for name in (
        "TINYGRAD_MNIST_GPU",
        "CUDA_VISIBLE_DEVICES",
        "TINYGRAD_MNIST_CUDA_CODE",
        "TINYGRAD_MNIST_CUDA_COMPILE_FOR",
    ):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield
    forget()


def forget() -> None:
    """Has everything looked for again."""
    for function in (missing, compiler_missing, toolkit.version):
        function.cache_clear()


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Only these packages are installed; `_` stands for `-` in their names."""

    def version(package: str) -> str:
        try:
            return versions[package.replace("-", "_")]
        except KeyError:
            raise metadata.PackageNotFoundError(package) from None

    monkeypatch.setattr(metadata, "version", version)
    forget()


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


def test_only_the_bindings_are_needed_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler a GPU runs what is in the cache, but `auto` doesn't choose it."""
    for module in (availability, toolkit):
        monkeypatch.setattr(module, "is_there", lambda module: module == "cuda.bindings")
    installed(monkeypatch, cuda_bindings="13.0.1")
    assert usable()
    assert not usable_for_all()
    assert compiler_missing() == (
        Missing(
            "packages",
            "the packages numba, numba-cuda and cuda-core are not installed",
            "pip install 'tinygrad_mnist[cuda]'",
        ),
        Missing(
            "compiler",
            "CUDA's compiler lacks nvidia-nvvm and nvidia-nvjitlink",
            "pip install 'tinygrad_mnist[cuda]'",
        ),
    )
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CODE", "/carried")
    assert usable_for_all()


@pytest.mark.parametrize(
    ("supports", "extra"), [(None, "cuda"), (12060, "cuda12"), (13000, "cuda"), (13010, "cuda")]
)
def test_no_bindings(monkeypatch: pytest.MonkeyPatch, supports: int | None, extra: str) -> None:
    """The extra that the driver can serve is named."""

    class Library:
        @staticmethod
        def cuDriverGetVersion(number: Any) -> int:  # noqa: N802
            if supports is None:
                return 999
            number._obj.value = supports
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    monkeypatch.setattr(availability, "is_there", lambda module: False)
    assert refusal() == (
        "no GPU can be used: the package cuda-bindings is not installed;"
        f" pip install 'tinygrad_mnist[{extra}]'"
    )


def test_the_packages_of_cuda_12_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(
        monkeypatch,
        cuda_bindings="12.9.4",
        nvidia_cuda_nvcc_cu12="12.9.86",
        nvidia_nvjitlink_cu12="12.9.86",
    )
    monkeypatch.setattr(availability, "driver_version", lambda driver: (12, 4))
    assert usable_for_all()
    assert toolkit.toolkit() == (12, 9)
    assert toolkit.mismatch() is None
    monkeypatch.setattr(availability, "driver_version", lambda driver: (12, 2))
    missing.cache_clear()
    assert refusal() == (
        "no GPU can be used: NVIDIA's driver supports CUDA 12.2, not 12.4; install NVIDIA's driver,"
        " 550 or later, from https://www.nvidia.com/drivers"
    )
    installed(monkeypatch, cuda_bindings="12.9.4")
    monkeypatch.setattr(toolkit, "is_there", lambda module: False)
    forget()
    assert compiler_missing()[1] == Missing(
        "compiler",
        "CUDA's compiler lacks nvidia-cuda-nvcc-cu12 and nvidia-nvjitlink-cu12",
        "pip install 'tinygrad_mnist[cuda12]'",
    )


@pytest.mark.parametrize(
    ("compiler", "linker", "fits"),
    [
        ("13.0.88", "13.0.88", True),
        ("13.0.88", "13.5.37", True),
        ("13.5.37", "13.0.88", False),
        ("13.0.88", "12.9.86", False),
        ("12.9.86", "13.0.88", False),
    ],
)
def test_a_linker_that_reads_the_compilers_output(
    monkeypatch: pytest.MonkeyPatch, compiler: str, linker: str, fits: bool
) -> None:
    installed(monkeypatch, nvidia_nvvm=compiler, nvidia_nvjitlink=linker)
    problem = toolkit.mismatch()
    if fits:
        assert problem is None
    else:
        wanted, other = (".".join(v.split(".")[:2]) for v in (compiler, linker))
        assert problem is not None
        assert f"NVVM is of CUDA {wanted}, but the linker nvJitLink is of CUDA {other}" in problem
        assert f"=={wanted}.*'" in problem


def test_a_compiler_of_the_system_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its versions are those that the libraries answer; another build of it is another version."""
    library = tmp_path / "libnvvm.so.4"
    library.write_bytes(bytes(100))

    class Library:
        abs_path = str(library)

        @staticmethod
        def load_nvidia_dynamic_lib(name: str) -> type:
            return Library

        @staticmethod
        def version() -> tuple[int, ...]:
            return 13, 1

        @staticmethod
        def ir_version() -> tuple[int, ...]:
            return 2, 0, 3, 2

    monkeypatch.setattr(toolkit, "import_module", lambda name: Library)
    installed(monkeypatch)
    assert usable_for_all()
    assert toolkit.version("nvJitLink") == "13.1"
    assert toolkit.version("nvvm") == "13.1 (IR 2.0.3.2, 100 bytes)"
    assert toolkit.toolkit() == (13, 1)
    before = toolkit.tools()
    library.write_bytes(bytes(101))
    forget()
    assert toolkit.tools() != before


def test_neither_driver_nor_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    monkeypatch.setattr(availability, "is_there", lambda module: module != "cuda.bindings")
    installed(monkeypatch)
    assert refusal() == (
        "no GPU can be used: there is no NVIDIA driver (libcuda.so.1), and the package"
        " cuda-bindings is not installed; install NVIDIA's driver, 580 or later, from"
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
        " pip install 'tinygrad_mnist[cuda12]' in a new environment, or install NVIDIA's driver,"
        " 580 or later, from https://www.nvidia.com/drivers, or, for a data-centre GPU, NVIDIA's"
        " system package cuda-compat-13-0"
    )


def test_compiling_ahead_needs_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_COMPILE_FOR", "9.0")
    assert usable_for_all()
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_COMPILE_FOR", "ninety")
    forget()
    with pytest.raises(DeviceError, match="not 'ninety'"):
        missing()


@pytest.mark.parametrize("text", ["9.0", "90", "sm_90", "10.0", "120"])
def test_capabilities_are_read(text: str) -> None:
    assert capability_of(text) == {"10.0": (10, 0), "120": (12, 0)}.get(text, (9, 0))


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
    driver._process = os.getpid()
    with pytest.raises(DeviceError, match="starting failed: no such library"):
        driver("starting", "cuInit", 0)
