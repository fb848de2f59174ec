"""Machine code of designs: compiled once, by one process or several, then taken from the disk."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.cubin import parameter_sizes
from helpers.gpu_cases import CASES

from tinygrad_mnist import config
from tinygrad_mnist.backends.cuda import cache, code, notice, workers
from tinygrad_mnist.backends.cuda.code import (
    Advance,
    Code,
    KernelCode,
    Recipe,
    compile_here,
    machine_code,
)
from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.backends.cuda.make import load_families
from tinygrad_mnist.backends.cuda.toolkit import Missing
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.errors import DeviceError

pytestmark = pytest.mark.compile
CAPABILITY = (8, 0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(tmp_path))
    return tmp_path / "code"


def recipes() -> list[Recipe]:
    cases = [case for case in CASES if case.kernel == "elementwise"][:2]
    plans = [OneCall(case.kernel, *case.problem()).plan for case in cases]
    designs = [call.design for plan in plans for call in design_plan(plan, CAPABILITY)]
    return [*designs, Advance(CAPABILITY)]


def without_names(codes: dict[Recipe, Code]) -> dict[Recipe, list[KernelCode]]:
    """All but what Numba's counter of compiled functions is in."""
    return {r: [k._replace(name="", cubin=b"") for k in c.kernels] for r, c in codes.items()}


def never(missing: Any) -> Any:
    raise AssertionError(f"compiles {missing}")


def test_the_second_time_nothing_is_compiled() -> None:
    first = machine_code(recipes(), compile_here)
    assert set(first) == set(recipes())
    assert machine_code(recipes(), never) == first


def test_a_damaged_entry_is_compiled_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [Advance(CAPABILITY)]
    first = machine_code(chosen)
    [path] = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    config.debug = 1
    second = machine_code(chosen)
    assert without_names(second) == without_names(first)
    report = capsys.readouterr().err
    assert f"{path} is not what was written; it is compiled again" in report
    assert "compiled 1 design in" in report
    assert machine_code(chosen, never) == second


def test_a_cache_that_cant_be_written_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(code, "write_entry", full)
    config.debug = 1
    chosen = [Advance(CAPABILITY)]
    assert machine_code(chosen)[chosen[0]].kernels[0].cubin
    assert "can't be written to the cache: no space left" in capsys.readouterr().err


def test_sources_and_versions_are_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Advance(CAPABILITY)

    def name() -> tuple[str, str]:
        code.sources.cache_clear()
        code.tools_digest.cache_clear()
        return code.entry_stem(recipe), code.tools_digest()

    stem, tools = name()
    assert code.entry_stem(Advance((9, 0))) != stem
    with monkeypatch.context() as changed:
        changed.setattr(code, "_sources", lambda: ())
        assert name() != (stem, tools)
        assert name()[1] == tools
    with monkeypatch.context() as changed:
        changed.setattr(code, "tools", lambda: {"numba": "0"})
        assert name()[0] == stem
        assert name()[1] != tools
    assert name() == (stem, tools)


def absent(*_: Any) -> Any:
    return (Missing("packages", "the package numba is not installed", "pip install it"),)


def test_without_a_compiler_what_is_in_the_cache_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Recipe] = [Advance(CAPABILITY)]
    first = machine_code(chosen)
    monkeypatch.setattr(code, "compiler_missing", absent)
    monkeypatch.setattr(code, "tools_digest", lambda: "others")
    assert machine_code(chosen, never) == first
    with pytest.raises(
        DeviceError,
        match=r"1 kernel \(advance\) must be compiled, and the package numba is not installed;"
        r" pip install it, or compile on another machine with `tinygrad-mnist compile --capability"
        r" 7\.5`",
    ):
        machine_code([Advance((7, 5))])


def test_carried_code_is_used_whatever_compiler_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen: list[Recipe] = [Advance(CAPABILITY)]
    with monkeypatch.context() as there:
        there.setenv("TINYGRAD_MNIST_CUDA_CACHE", str(tmp_path / "carried"))
        there.setattr(code, "tools_digest", lambda: "others")
        first = machine_code(chosen)
    before = files(tmp_path / "carried")
    monkeypatch.setenv("TINYGRAD_MNIST_CUDA_CODE", str(tmp_path / "carried"))
    assert machine_code(chosen, never) == first
    assert len(machine_code([Advance((7, 5))])) == 1
    assert files(tmp_path / "carried") == before


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_another_compiler_compiles_again(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    chosen: list[Recipe] = [Advance(CAPABILITY)]
    machine_code(chosen)
    monkeypatch.setattr(code, "tools_digest", lambda: "others")
    machine_code(chosen)
    assert len(files(folder)) == 2


def test_a_compilation_that_takes_long_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(notice, "PATIENCE", 0.0)

    def slow(recipes: Any) -> Any:
        time.sleep(0.2)
        return compile_here(recipes)

    machine_code([Advance(CAPABILITY)], slow)
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        "tinygrad_mnist: compiling 1 kernel for GPUs of compute capability 8.0; the machine code is"
        f" kept in {tmp_path}, so this is done once"
    )
    assert re.fullmatch(r"tinygrad_mnist: compiled in \d+ s", second)
    machine_code([Advance(CAPABILITY)], slow)
    assert capsys.readouterr().err == ""


def test_a_linker_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("ERROR 4 in nvvmAddModuleToProgram")

    monkeypatch.setattr(code, "compile_kernel", fail)
    monkeypatch.setattr(code, "mismatch", lambda: "the linker is older")
    with pytest.raises(DeviceError, match=r"ERROR 4 in nvvmAddModule.*; the linker is older"):
        machine_code([Advance(CAPABILITY)])


def test_processes_compile_the_same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_processors", lambda: 2)
    apart = dict(workers.compile_codes(recipes()))
    here = dict(compile_here(recipes()))
    assert without_names(apart) == without_names(here)


def test_the_longest_are_compiled_first() -> None:
    """Convolutions before a copy, the copy before the kernel that ends a graph."""
    chosen = {}
    for kernel in ("conv2d_pool", "gemm", "elementwise"):
        case = next(case for case in CASES if case.kernel == kernel)
        [call] = design_plan(OneCall(case.kernel, *case.problem()).plan, CAPABILITY)
        chosen[kernel] = code.effort(call.design)
    chosen["advance"] = code.effort(Advance(CAPABILITY))
    assert list(chosen) == sorted(chosen, key=chosen.__getitem__, reverse=True)


@pytest.mark.parametrize(
    ("recipes", "processors", "expected"),
    [(1, 16, None), (17, 1, None), (2, 16, 2), (17, 16, 16), (40, 64, 16), (17, 4, 4)],
)
def test_there_are_as_many_workers_as_help(
    monkeypatch: pytest.MonkeyPatch, recipes: int, processors: int, expected: int | None
) -> None:
    monkeypatch.setattr(workers, "_processors", lambda: processors)
    monkeypatch.setattr(workers, "_compile_in_workers", lambda recipes, n: n)
    monkeypatch.setattr(workers, "compile_here", lambda recipes: None)
    chosen: Any = [Advance((9, k)) for k in range(recipes)]
    assert workers.compile_codes(chosen) == expected


def test_a_worker_that_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_processors", lambda: 2)
    monkeypatch.setattr(workers, "WORK", "raise SystemExit(1)")
    with pytest.raises(DeviceError, match="has ended"):
        list(workers.compile_codes(recipes()))


def test_parameters_take_8_bytes_each() -> None:
    for made in machine_code(recipes()).values():
        for kernel in made.kernels:
            assert parameter_sizes(kernel.cubin, kernel.name) == [8] * (kernel.pointers + 3)


def test_names_of_kernels_are_those_of_the_factories() -> None:
    assert code.kernel_names() == frozenset(load_families())


SCRIPT = """
import json, sys, time
from tinygrad_mnist.checking.one_call import OneCall
from helpers.gpu_cases import CASES
from tinygrad_mnist.backends.cuda.code import kernel_names, machine_code
from tinygrad_mnist.backends.cuda.design import design_plan
kernel_names()
case = next(case for case in CASES if case.kernel == "elementwise")
designs = [c.design for c in design_plan(OneCall(case.kernel, *case.problem()).plan, (8, 0))]
begin = time.perf_counter()
codes = machine_code(designs)
sizes = [len(k.cubin) for c in codes.values() for k in c.kernels]
print(json.dumps([sizes, "numba" in sys.modules, time.perf_counter() - begin]))
"""


def test_a_program_that_ran_before_does_not_import_numba() -> None:
    runs = []
    for _ in range(2):
        command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{SCRIPT}"]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        runs.append(json.loads(result.stdout))
    (cold_sizes, cold, cold_seconds), (warm_sizes, warm, warm_seconds) = runs
    assert cold_sizes == warm_sizes
    assert cold
    assert not warm
    assert warm_seconds < cold_seconds
    assert cache.cache_folder().is_dir()
