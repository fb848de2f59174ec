from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.small_mnist import small_arrays, write_idx_folder

from tinygrad_mnist import cli
from tinygrad_mnist.backends.cuda import availability
from tinygrad_mnist.backends.cuda.api import Device
from tinygrad_mnist.backends.cuda.toolkit import Missing
from tinygrad_mnist.config import config
from tinygrad_mnist.datasets import Splits, cache_folder, download, load_digits, sources
from tinygrad_mnist.errors import DeviceError

COMMAND = [sys.executable, "-m", "tinygrad_mnist"]
LAST_LINE = re.compile(r"\d{1,3}\.\d\d %")


@pytest.fixture
def small_folder(tmp_path: Path) -> Path:
    write_idx_folder(tmp_path / "small", small_arrays(training=120, test=40))
    return tmp_path / "small"


def test_train_ends_with_the_test_accuracy(
    small_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--net", "fc", "--epochs", "2", "--data", str(small_folder)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "Training mini-batch number 0"
    assert lines[-4] == "Finished training network."
    assert LAST_LINE.fullmatch(lines[-1])
    assert lines[-2] == f"Corresponding test accuracy of {lines[-1].replace(' ', '')}"
    assert "fc: 100 sigmoid neurons; 100 training images, 2 epochs (the book: 60), " in err
    assert "learning rate 0.1, seed 1\n" in err


def test_quiet_leaves_the_last_line(small_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--net", "conv1", "--epochs", "1", "--quiet", "--data", str(small_folder)]
    assert cli.main(arguments) == 0
    first, err = capsys.readouterr()
    assert LAST_LINE.fullmatch(first.strip())
    assert err == ""
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out == first


def test_expand_makes_the_data_five_times_as_many(
    small_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--net", "fc", "--epochs", "1", "--expand", "--data", str(small_folder)]
    assert cli.main(arguments) == 0
    assert "; 500 training images" in capsys.readouterr().err


def test_threads_go_into_the_configuration(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "threads", config.threads)
    arguments = ["train", "--net", "fc", "--epochs", "1", "--quiet", "--threads", "1"]
    assert cli.main([*arguments, "--data", str(small_folder)]) == 0
    assert config.threads == 1


def test_profile_prints_a_row_per_call(
    small_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    trace = tmp_path / "trace.json"
    arguments = ["profile", "--net", "fc", "--batch", "4", "--steps", "25", "--trace", str(trace)]
    assert cli.main([*arguments, "--data", str(small_folder)]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:3] == ["train_mb", "on", "cpu"]
    assert out.splitlines()[0].endswith(", 1 thread): medians of 30 steps")
    head = ["#", "kernel", "shapes", "us", "share", "GFLOP/s", "GB/s", "roofline"]
    start = lines.index(head) + 2
    rows = [line for line in lines[start:] if line and line[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(len(rows)))
    assert {"gemm", "softmax_xent"} <= {row[1] for row in rows}
    assert all(float(row[-5]) > 0 for row in rows)
    assert sum(float(row[-4].removesuffix("%")) for row in rows) == pytest.approx(100, abs=2)
    total = next(line for line in lines if line[:1] == ["all"])
    assert total[1] == str(len(rows))
    share = re.search(r"a step, timed call by call: [\d.]+ us, of which the calls take (\d+)%", out)
    assert share is not None
    assert 0 < int(share[1]) <= 100
    assert "a step, not timed call by call: " in out
    assert "this machine: " in out
    assert max(map(len, out.splitlines())) <= 120
    assert err == f"trace: {trace} (open it at https://ui.perfetto.dev or in chrome://tracing)\n"
    events = json.loads(trace.read_text())["traceEvents"]
    assert len([e for e in events if e.get("cat") == "kernel"]) == 30 * len(rows)
    assert len([e for e in events if e.get("cat") == "step"]) == 30
    assert len([e for e in events if e.get("cat") == "overlapping step"]) == 30
    assert len([e for e in events if e.get("cat") == "chunk"]) >= 30 * len(rows)
    assert "a step, chunk by chunk: " in out


@pytest.mark.parametrize("columns", [80, 40])
def test_profile_keeps_times_in_a_narrow_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    arguments = ["profile", "--net", "conv1", "--batch", "2", "--steps", "2", "--data", "digits"]
    assert cli.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line.split() for line in lines if "share" in line.split()]
    assert len(heads) == 2
    for head in heads:
        assert head[: head.index("share") + 1][-2:] == ["us", "share"]
        assert ("GB/s" in head) == (columns == 80)
        assert "shapes" not in head
    tables = lines[lines.index(next(line for line in lines if "share" in line.split())) :]
    tables = [line for line in tables if line.endswith("% ")]
    assert tables[-1].split()[0] == "all"
    assert all(len(line) <= columns for line in tables)


def test_profile_without_data_takes_generated_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYGRAD_MNIST_DATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    arguments = ["profile", "--net", "fc", "--steps", "2", "--device", "reference"]
    assert cli.main([*arguments, "--batch", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("train_mb on reference (NumPy, 1 thread): medians of 2 steps")
    assert "this machine" not in out
    assert "chunk" not in out
    assert err == "tinygrad-mnist: no MNIST found, the images are generated digits\n"
    assert cli.main([*arguments, "--batch", "2", "--data", "digits"]) == 0
    assert capsys.readouterr().err == ""


def test_profile_names_data_that_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent"
    assert cli.main(["profile", "--data", str(absent)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"tinygrad-mnist: {absent}: no such file or folder\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["profile", "--batch", "0"], "'0' is not a positive integer"),
        (["profile", "--device", "tpu"], "invalid choice: 'tpu'"),
        (
            ["profile", "--device", "reference", "--arch", "sm_90"],
            "--arch is for --device ptx; the device reference has an architecture already",
        ),
        (["train", "--device", "tpu"], "invalid choice: 'tpu'"),
        (["train", "--net", "resnet"], "invalid choice: 'resnet'"),
        (["train", "--epochs", "0"], "'0' is not a positive integer"),
        (["train", "--threads", "many"], "'many' is not a positive integer"),
        (["train", "--seed", "-1"], "--seed"),
        (["train", "--seed", "4294967296"], "is not an integer in 0"),
        (["info", "--epochs", "3"], "unrecognized arguments"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.parametrize("name", ["cuda", "gpu", "gpu0", "cuda1"])
def test_theanos_names_of_a_gpu(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here(name: str) -> None:
        raise DeviceError(f"no {name} here")

    monkeypatch.setattr("tinygrad_mnist.backends.BACKENDS", {})
    monkeypatch.setattr("tinygrad_mnist.backends.cuda.cuda_backend", none_here)
    for command in (["profile"], ["check", "gemm"]):
        assert cli.main([*command, "--device", name]) == 1
        assert capsys.readouterr().err == "tinygrad-mnist: no cuda here\n"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--help"]) == 0
    out = capsys.readouterr().out
    assert "default: conv2-relu" in out
    assert "`98.97 %`" in " ".join(out.split())


def test_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent"
    assert cli.main(["train", "--data", str(absent)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"tinygrad-mnist: {absent}: no such file or folder\n"


def test_too_few_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_idx_folder(tmp_path, small_arrays(training=30, test=10))
    assert cli.main(["train", "--net", "fc", "--data", str(tmp_path)]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("tinygrad-mnist: validation_data: mini_batch_size 10 is larger")


@functools.cache
def few_digits() -> Splits:
    return load_digits(0, training=100, validation=20, test=20)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No MNIST anywhere and no network; few generated digits. Returns the user's folder."""
    monkeypatch.chdir(tmp_path)
    for variable in ("TINYGRAD_MNIST_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    mirrors = ("http://127.0.0.1:9/", "http://127.0.0.1:9/again/")
    monkeypatch.setattr(sources, "MNIST", replace(sources.MNIST, mirrors=mirrors))
    monkeypatch.setattr(sources, "load_digits", few_digits)
    return tmp_path


FALLBACK = (
    "tinygrad-mnist: MNIST is not in ../data/mnist.pkl.gz, $TINYGRAD_MNIST_DATA, ./data/, ./ or"
    " the cache, and can't be downloaded (Connection refused): this run uses generated digits"
    " instead"
)


def test_without_mnist_and_network_one_line_says_so_and_digits_are_generated(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--net", "fc", "--epochs", "1"]) == 0
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == FALLBACK
    assert lines[1].startswith("fc: 100 sigmoid neurons; 100 generated training images, 1 epoch ")
    assert len(lines) == 3
    assert LAST_LINE.fullmatch(out.splitlines()[-1])


def test_quiet_does_not_hide_that_the_digits_are_generated(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--net", "fc", "--epochs", "1", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert LAST_LINE.fullmatch(out.strip())
    assert err == f"{FALLBACK}\n"


def test_digits_by_name(offline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--net", "fc", "--epochs", "1", "--data", "digits"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("fc: 100 sigmoid neurons; 100 generated training images, 1 epoch ")


def test_test_images_of_another_data_set(
    offline: Path, small_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training on digits, testing on 40 random images: a tenth of them is a multiple of 2.5 %."""
    arguments = ["train", "--net", "fc", "--epochs", "1", "--data", "digits"]
    assert cli.main([*arguments, "--test-data", str(small_folder)]) == 0
    out, err = capsys.readouterr()
    assert f"100 generated training images, tested on {small_folder}, 1 epoch " in err
    assert float(out.splitlines()[-1].removesuffix(" %")) % 2.5 == 0
    assert cli.main([*arguments, "--test-data", str(offline / "absent")]) == 1
    assert "absent: no such file or folder" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*wrong SHA-256")
def test_what_is_wrong_is_never_passed_over_for_generated_digits(
    offline: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in download.MNIST.sha256:
        path = cache_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"damaged")
    assert cli.main(["train"]) == 1
    assert "wrong SHA-256, so not used" in capsys.readouterr().err
    monkeypatch.setenv("TINYGRAD_MNIST_DATA", str(offline / "typo"))
    assert cli.main(["train"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "typo: no such file or folder" in err
    assert "generated digits instead" not in err


def test_devices_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacks = (
        Missing("driver", "there is none", "get one"),
        Missing("GPU", "there is none of them either", ""),
    )
    monkeypatch.setattr(availability, "missing", lambda: lacks)
    monkeypatch.setattr(availability, "compiler_missing", lambda: lacks[1:])
    monkeypatch.setattr(availability, "gpus", lambda: [])
    assert cli.main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"processor   .+: \d+ threads?, SIMD target \w+", lines[0])
    assert lines[1:5] == [
        "GPU         none can be used:",
        "  driver    there is none",
        "            get one",
        "  GPU       there is none of them either",
    ]
    assert lines[5].startswith("device      ")
    assert lines[6].startswith("kernels     compiled for GPUs: ")
    assert len(lines) == 7


def test_devices_with_gpus(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = Device(0, "NVIDIA H100", (9, 0), 80 << 30, 132, 1.98e9, 2.619e9, 5120, 2)
    second = first._replace(number=1, name="NVIDIA T4", capability=(7, 5), multiprocessors=40)
    monkeypatch.setattr(availability, "missing", lambda: ())
    monkeypatch.setattr(availability, "compiler_missing", lambda: ())
    monkeypatch.setattr(availability, "gpus", lambda: [first, second])
    monkeypatch.setattr(availability, "driver_serves", lambda: "13.0")
    monkeypatch.setenv("TINYGRAD_MNIST_GPU", "1")
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(tmp_path))
    assert cli.main(["devices"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "GPU 0       NVIDIA H100: compute capability 9.0, 80.0 GiB, 132 multiprocessors",
        "GPU 1       NVIDIA T4: compute capability 7.5, 80.0 GiB, 40 multiprocessors (used)",
        "driver      serves CUDA 13.0",
        f"device      {config.device} (config.device, TINYGRAD_MNIST_DEVICE)",
        f"kernels     compiled for GPUs: {tmp_path}, empty",
    ]


def test_devices_without_a_compiler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lacks = (Missing("compiler", "CUDA's compiler lacks nvidia-nvvm", "pip install it"),)
    gpu = Device(0, "NVIDIA T4", (7, 5), 16 << 30, 40, 1.59e9, 5e9, 256, 32)
    monkeypatch.setattr(availability, "missing", lambda: ())
    monkeypatch.setattr(availability, "compiler_missing", lambda: lacks)
    monkeypatch.setattr(availability, "gpus", lambda: [gpu])
    monkeypatch.setattr(availability, "driver_serves", lambda: "12.8")
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(tmp_path))
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CODE", str(tmp_path / "carried"))
    assert cli.main(["devices"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "GPU 0       NVIDIA T4: compute capability 7.5, 16.0 GiB, 40 multiprocessors (used)",
        "driver      serves CUDA 12.8",
        "compiler    kernels that are not in the cache can't be compiled:",
        "  compiler  CUDA's compiler lacks nvidia-nvvm",
        "            pip install it",
        f"device      {config.device} (config.device, TINYGRAD_MNIST_DEVICE)",
        f"kernels     compiled for GPUs: {tmp_path}, empty",
        f"            carried here: {tmp_path / 'carried'} (TINYGRAD_MNIST_CUDA_CODE)",
    ]


def test_info(small_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--data", str(small_folder)]) == 0
    out = capsys.readouterr().out
    rows = dict(line.split(maxsplit=1) for line in out.splitlines())
    for name in ("tinygrad_mnist", "Python", "NumPy", "SIMD", "threads", "device", "floatX"):
        assert rows[name]
    assert rows["data"] == f"{small_folder} (the given name)"


def test_info_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYGRAD_MNIST_DATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert cli.main(["info"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "$TINYGRAD_MNIST_DATA: not set" in last
    assert last.endswith("download: not tried; else generated digits")
    assert cli.main(["info", "--data", "digits"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split(maxsplit=1)[1] == "generated digits"


def test_python_m_is_the_command(small_folder: Path) -> None:
    arguments = ["train", "--net", "fc", "--epochs", "1", "--data", str(small_folder)]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=True)
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
    assert subprocess.run(COMMAND, capture_output=True, check=False).returncode == 2


def test_a_reader_that_leaves_is_no_error_message(small_folder: Path) -> None:
    arguments = ["train", "--net", "fc", "--epochs", "300", "--data", str(small_folder)]
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1
    assert len(err.splitlines()) == 1  # what is trained


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_ends_with_130(small_folder: Path) -> None:
    arguments = ["train", "--net", "fc", "--epochs", "1000000", "--data", str(small_folder)]
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, ignore SIGINT.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Training mini-batch number 0\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "tinygrad-mnist: interrupted"
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        (["--epochs", "2"], "up to 0.08 and down to 0, the book's is 0.03"),
        (["--epochs", "2", "--rate", "book"], "0.03"),
        (["--epochs", "20"], "0.03"),
        (["--epochs", "20", "--rate", "annealed"], "up to 0.08 and down to 0, the book's is 0.03"),
    ],
)
def test_short_runs_anneal_the_learning_rate(
    options: list[str], rate: str, small_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", "--data", str(small_folder), *options]) == 0
    assert f"learning rate {rate}, seed 1\n" in capsys.readouterr().err


def test_a_network_without_an_annealed_rate_is_named(
    small_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        cli.main(["train", "--net", "fc", "--rate", "annealed", "--data", str(small_folder)]) == 1
    )
    assert "the network 'fc' has no annealed rate" in capsys.readouterr().err
