"""Which module may import which: only downwards, without cycles, and not inside functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinygrad_mnist
from tinygrad_mnist.contracts import CONTRACTS

ROOT = Path(tinygrad_mnist.__file__).parent
REPOSITORY = Path(__file__).parents[1]
CUDA_KERNELS = REPOSITORY / "kernels"
FAMILIES = {
    "core",
    "tape",
    "gemm",
    "conv2d",
    "pool2d",
    "reduce",
    "batch_norm",
    "index",
    "distort",
}
HOST_FAMILIES = {"distort"}  # without kernels for a GPU

# From the ground up; the modules of one row don't import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    (
        "settings",
        "names",
        "files",
        "folders",
        "imagedata",
        "limits",
        "startup",
        "contracts",
        "kernels",
        "_version",
        "_native",
    ),
    ("config",),
    ("graph",),
    ("ops",),
    ("rewrite",),
    ("stability",),
    ("autodiff",),
    ("compile",),
    ("backends", "printing"),
    ("sharedvalue", "profiling", "checking", "gof", "updates", "scalar", "safe_asarray"),
    ("functions", "tensor", "ifelse"),
    ("gradient",),
    ("training", "datasets", "sandbox", "optimizers", "saving", "onnx"),
    ("plots",),
    ("keras",),
    ("network3", "search", "tf"),
    ("booknets", "theano", "book"),
    ("models", "tutorials"),
    ("cli",),
    ("__main__", "__init__"),
)
RANKS = {name: rank for rank, row in enumerate(LAYERS) for name in row}
# What a function may import when it runs: libraries that few programs need and that load slowly.
LAZY = {
    *("rich", "pooch", "subprocess", "shutil", "json", "onnx", "safetensors", "matplotlib"),
    "distributed",
}


def modules() -> dict[str, ast.Module]:
    """Every module of the package by its name below `tinygrad_mnist`, as a syntax tree."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] != "kernels":
            found[".".join(parts)] = ast.parse(path.read_text(), str(path))
    return found


MODULES = modules()


def imports(name: str, nodes: list[ast.AST]) -> Iterator[str]:
    """What the import statements among `nodes` name: modules below `tinygrad_mnist` by their
    names there, others by 'other:' and their top-level package.
    """
    package = name.split(".")[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ["tinygrad_mnist", *package[: len(package) - node.level + 1]]
            prefix = base if node.level else []
            module = ".".join([*prefix, *([node.module] if node.module else [])])
            targets = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            first, *rest = target.split(".")
            yield ".".join(rest) if first == "tinygrad_mnist" else f"other:{first}"


def module_of(target: str) -> str:
    """The module that an imported name is, or is in."""
    while target and target not in MODULES and f"{target}.__init__" not in MODULES:
        target = target.rpartition(".")[0]
    return target


def module_edges() -> set[tuple[str, str]]:
    """Pairs (module, module that it imports), both below `tinygrad_mnist`.

    Imports under `if TYPE_CHECKING:` count too.
    """
    edges = set()
    for name, tree in MODULES.items():
        for target in imports(name, list(ast.walk(tree))):
            if target.startswith("other:"):
                continue
            outside = target.split(".")[0] in ("_native", "kernels")
            module = target.split(".")[0] if outside else module_of(target)
            edges.add((name, module or "__init__"))
    return edges


EDGES = module_edges()


def test_every_part_has_a_place() -> None:
    assert {name.split(".")[0] for name in MODULES} <= set(RANKS)


@pytest.mark.parametrize("part", sorted(RANKS))
def test_imports_go_downwards(part: str) -> None:
    upwards = [
        (name, target)
        for name, target in sorted(EDGES)
        if name.split(".")[0] == part != target.split(".")[0]
        and RANKS[target.split(".")[0]] >= RANKS[part]
    ]
    assert upwards == []


def test_no_cycles() -> None:
    """No module imports itself through others; a package and its own modules may import each
    other.
    """
    below: dict[str, set[str]] = {}
    for name, target in EDGES:
        target = target if target in MODULES else f"{target}.__init__"
        if name != target and not name.startswith(target.removesuffix("__init__")):
            below.setdefault(name, set()).add(target)
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        cycle = path[path.index(name) :] if name in path else ()
        assert not cycle, " -> ".join((*cycle, name))
        if name not in done:
            for target in sorted(below.get(name, ())):
                visit(target, (*path, name))
            done.add(name)

    for name in sorted(below):
        visit(name, ())


def test_no_import_inside_a_function() -> None:
    hidden = {
        (name, target)
        for name, tree in MODULES.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for target in imports(name, list(ast.walk(function)))
        if target.removeprefix("other:") not in LAZY
    }
    assert hidden == set()


def test_planner_and_backends_know_no_kernel_by_its_name() -> None:
    """What they have to know of one is in its contract."""
    named = {
        (name, node.lineno, node.value)
        for name, tree in MODULES.items()
        if name.split(".")[0] in ("backends", "compile", "printing", "profiling", "functions")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in CONTRACTS
    }
    assert named == set()


def test_few_modules_know_the_native_module() -> None:
    assert {name for name, target in EDGES if target == "_native"} <= {
        "backends.cpu",
        "backends.ptx.exact",
        "cli.__init__",
    }


def test_contracts_import_numpy_alone() -> None:
    """What kernels compute is described without the rest of the package."""
    others = {
        target
        for name, tree in MODULES.items()
        if name.startswith("contracts")
        for target in imports(name, list(ast.walk(tree)))
        if not target.startswith("contracts")
    }
    assert others <= {
        f"other:{name}"
        for name in (
            "__future__",
            "collections",
            "dataclasses",
            "itertools",
            "math",
            "numpy",
            "typing",
        )
    }


def test_the_package_imports_plain_data_of_the_device_kernels_alone() -> None:
    """Kernels that come from the cache are launched without Numba."""
    plain = {"kernels.core.axes", "kernels.core.call", "kernels.core.integers"}
    used = {
        target.rpartition(".")[0]
        for name, tree in MODULES.items()
        for target in imports(name, list(ast.walk(tree)))
        if target.startswith("kernels")
    }
    assert used <= plain
    for module in plain:
        path = REPOSITORY.joinpath(*module.split(".")).with_suffix(".py")
        targets = set(imports(module, list(ast.walk(ast.parse(path.read_text())))))
        assert {t for t in targets if t.startswith("other:")} <= {
            f"other:{name}" for name in ("__future__", "collections", "math", "typing")
        }
        assert {t.rpartition(".")[0] for t in targets if t.startswith("kernels")} <= plain


def test_device_kernels_import_numba_numpy_and_math_alone() -> None:
    names = (
        "__future__",
        "collections",
        "functools",
        "llvmlite",
        "math",
        "numba",
        "numpy",
        "operator",
        "sys",
        "typing",
        "threading",
    )
    allowed = {f"other:{name}" for name in names}
    for path in sorted(CUDA_KERNELS.rglob("*.py")):
        found = set(imports(path.stem, list(ast.walk(ast.parse(path.read_text())))))
        assert {t for t in found if t.startswith("other:")} <= allowed, path


def family_imports(path: Path, tree: Path) -> set[str]:
    """Families of `tree` that a Python or C++ file of it imports or includes."""
    text = path.read_text()
    if path.suffix != ".py":
        return set(re.findall(r'#include "kernels/(\w+)/', text))
    name = ".".join([tree.name, *path.relative_to(tree).with_suffix("").parts])
    prefix = f"{tree.name}."
    targets = imports(name, list(ast.walk(ast.parse(text))))
    return {t.removeprefix(prefix).split(".")[0] for t in targets if t.startswith(prefix)}


KERNEL_TREES = (ROOT / "contracts", REPOSITORY / "csrc" / "kernels", CUDA_KERNELS)


@pytest.mark.parametrize("tree", KERNEL_TREES, ids=lambda tree: tree.name)
def test_a_family_imports_the_core_and_itself_alone(tree: Path) -> None:
    folders = {path.name for path in tree.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert folders == FAMILIES - (HOST_FAMILIES if tree == CUDA_KERNELS else set())
    others = {
        (path.relative_to(tree).as_posix(), family)
        for path in sorted(tree.rglob("*"))
        if path.parent != tree and path.suffix in (".py", ".hpp", ".cpp")
        for family in family_imports(path, tree) - {"core", path.parent.name}
    }
    assert others == set()


def test_tests_of_kernels_have_the_same_families() -> None:
    folders = {path.name for path in (REPOSITORY / "tests" / "kernels").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == FAMILIES - {"core"}


def test_files_stay_readable() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in ROOT.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > 500} == {}
