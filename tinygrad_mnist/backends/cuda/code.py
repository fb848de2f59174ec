"""Machine code of designs: from the user's cache, or compiled, by several processes if it pays.

Code from the cache is used without importing Numba, so a program that ran before starts quickly.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist._version import __version__
from tinygrad_mnist.backends.cuda.cache import (
    DamagedEntryError,
    prune,
    read_entry,
    writable_folder,
    write_entry,
)
from tinygrad_mnist.backends.cuda.compiler import Compiled, compile_kernel, compile_to_ptx
from tinygrad_mnist.backends.cuda.design import Capability, Design
from tinygrad_mnist.backends.cuda.make import Made, make, make_advance
from tinygrad_mnist.backends.cuda.notice import compiling
from tinygrad_mnist.backends.cuda.toolkit import (
    NEWEST,
    compiler_missing,
    listed,
    mismatch,
    toolkit,
    tools,
)
from tinygrad_mnist.compile.listing import counted
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import DeviceError
from tinygrad_mnist.kernels.core.call import LaunchShape

_FACTORY = re.compile(r'^@factory\("(\w+)"\)', re.MULTILINE)
_SUMMARY = 1  # level of config.debug from which compilation is reported


@dataclass(frozen=True)
class Advance:
    """The kernel at the end of a graph."""

    capability: Capability
    kernel = "advance"

    @property
    def digest(self) -> str:
        return f"for {self.capability}"


@dataclass(frozen=True)
class Listing:
    """PTX instead of machine code."""

    of: Design | Advance

    @property
    def kernel(self) -> str:
        return self.of.kernel

    @property
    def capability(self) -> Capability:
        return self.of.capability

    @property
    def digest(self) -> str:
        return f"PTX {self.of.digest}"


Recipe = Design | Advance | Listing


class KernelCode(NamedTuple):
    """Machine code of one kernel, and how it is launched.

    name: of its function in the cubin. cubin: of a listing, the text of its PTX; then there is no
    name and no count of registers, stack and static bytes. pointers: how many parameters it takes
    before the state's.
    static_bytes: static shared memory of a block. registers, stack, spilled: of a thread; the stack
    and the registers spilled to it in bytes.
    """

    name: str
    cubin: bytes
    pointers: int
    shape: LaunchShape
    static_bytes: int
    registers: int
    stack: int
    spilled: int


class Code(NamedTuple):
    """The kernels of a design, and the scratch memory that they share.

    cuda: major version of CUDA whose compiler made them; older drivers don't load them.
    """

    kernels: tuple[KernelCode, ...]
    workspace_bytes: int
    workspace_dtype: str
    cuda: int


Compile = Callable[[Sequence[Recipe]], Iterable[tuple[Recipe, Code]]]


def machine_code(
    recipes: Iterable[Recipe], compile_codes: Compile | None = None
) -> dict[Recipe, Code]:
    """The code of each recipe: from the cache, or compiled.

    compile_codes: compiles what is not in the cache; by default `compile_here`. Raises DeviceError
    if something must be compiled and no compiler is installed.
    """
    codes: dict[Recipe, Code] = {}
    missing = []
    for recipe in dict.fromkeys(recipes):
        cached = None if _is_foreign(recipe) else _read(recipe)
        if cached is None:
            missing.append(recipe)
        else:
            codes[recipe] = cached
    if missing:
        _require_compiler(missing)
        major, minor = missing[0].capability
        target = f"GPUs of compute capability {major}.{minor}"
        with compiling(len(missing), target, writable_folder()):
            for recipe, code in _compiled(missing, compile_codes or compile_here):
                codes[recipe] = code
        prune()
    return codes


def _require_compiler(recipes: Sequence[Recipe]) -> None:
    parts = compiler_missing()
    if not parts:
        return
    names = listed(sorted({recipe.kernel for recipe in recipes}))
    problems = ", and ".join(part.problem for part in parts)
    major, minor = recipes[0].capability
    raise DeviceError(
        f"{counted(len(recipes), 'kernel')} ({names}) must be compiled, and {problems};"
        f" {parts[0].remedy}, or compile on another machine with `tinygrad-mnist compile"
        f" --capability {major}.{minor}` and carry the folder"
    )


def _compiled(missing: Sequence[Recipe], compile_codes: Compile) -> Iterator[tuple[Recipe, Code]]:
    """Compiles recipes, and keeps in the cache what may be kept."""
    begin = time.perf_counter()
    foreign = [recipe for recipe in missing if _is_foreign(recipe)]
    ours = [recipe for recipe in missing if not _is_foreign(recipe)]
    compiled = chain(compile_codes(ours), compile_here(foreign))
    for number, (recipe, code) in enumerate(compiled, 1):
        if not _is_foreign(recipe):
            _write(recipe, code)
        _report(f"compiled {recipe.kernel}, {number} of {len(missing)}")
        yield recipe, code
    _report(f"compiled {counted(len(missing), 'design')} in {time.perf_counter() - begin:.1f} s")


def compile_here(recipes: Sequence[Recipe]) -> Iterator[tuple[Recipe, Code]]:
    """Compiles recipes one by one in this process: Numba's compiler runs in one thread at a time.

    Raises NotImplementedError, which names the kernel, for a contract without a CUDA kernel.
    """
    for recipe in recipes:
        yield recipe, compile_recipe(recipe)


def compile_recipe(recipe: Recipe) -> Code:
    """Compiles one recipe; DeviceError if the compiler fails."""
    design = _subject(recipe)
    if isinstance(design, Advance):
        made = Made((make_advance(),), None)
    else:
        try:
            made = make(design)
        except OSError as error:
            folder = writable_folder()
            raise DeviceError(f"sources can't be written to {folder}: {error}") from error
    kernels = []
    for kernel in made.kernels:
        try:
            if isinstance(recipe, Listing):
                text = compile_to_ptx(kernel, recipe.capability).encode()
                compiled = Compiled(text, "", 0, 0, 0, 0)
            else:
                compiled = compile_kernel(kernel, recipe.capability)
        except Exception as error:
            hint = f"; {reason}" if (reason := mismatch()) else ""
            raise DeviceError(f"{recipe.kernel} doesn't compile: {error}{hint}") from error
        kernels.append(
            KernelCode(
                compiled.name,
                compiled.cubin,
                len(kernel.dtypes),
                kernel.shape,
                compiled.shared,
                compiled.registers,
                compiled.stack,
                compiled.spilled,
            )
        )
    found = toolkit()
    cuda = found[0] if found else NEWEST
    if made.workspace is None:
        return Code(tuple(kernels), 0, "uint8", cuda)
    dtype, n = made.workspace
    return Code(tuple(kernels), max(n, 1) * np.dtype(dtype).itemsize, dtype, cuda)


# --- the kernels' sources -----------------------------------------------------------------------


def kernel_names() -> frozenset[str]:
    """The contracts that have CUDA kernels: those of this package, and those for which a program
    has registered a factory itself."""
    registered: dict[str, Any] = import_module("tinygrad_mnist.kernels.core.call").FACTORIES
    return _package_kernels() | frozenset(registered)


@cache
def _package_kernels() -> frozenset[str]:
    """The contracts that have CUDA kernels here, found in their sources without
    importing them."""
    return frozenset(_FACTORY.findall("\n".join(text for _, text in _sources())))


def effort(recipe: Recipe) -> int:
    """What compiling a recipe takes, roughly: it grows with the design's own source and with the
    sources of its kernel's family, most of which the compiler reads."""
    design = _subject(recipe)
    if isinstance(design, Advance):
        return 0
    return len(design.source) * _family_bytes().get(recipe.kernel, 1)


@cache
def _family_bytes() -> dict[str, int]:
    """Bytes of the sources of each kernel's family."""
    families: dict[str, list[str]] = {}
    for name, text in _sources():
        families.setdefault(name.partition("/")[0], []).append(text)
    return {
        kernel: sum(map(len, texts))
        for texts in families.values()
        for kernel in _FACTORY.findall("\n".join(texts))
    }


def _is_foreign(recipe: Recipe) -> bool:
    """Whether the factory of its kernel is not one of this package. What the machine code of such a
    kernel depends on is not known here, so it is compiled in this process and not kept on disk."""
    return isinstance(_subject(recipe), Design) and recipe.kernel not in _package_kernels()


def _subject(recipe: Recipe) -> Design | Advance:
    return recipe.of if isinstance(recipe, Listing) else recipe


@cache
def _sources() -> tuple[tuple[str, str], ...]:
    """Names and texts of the modules that machine code depends on: kernels/ and the compiler."""
    folders = [Path(p) for p in import_module("tinygrad_mnist.kernels").__path__]
    here = Path(__file__).parent
    texts = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for folder in folders
        for path in folder.rglob("*.py")
    }
    texts |= {
        name: (here / name).read_text(encoding="utf-8") for name in ("compiler.py", "make.py")
    }
    return tuple(sorted(texts.items()))


@cache
def sources() -> str:
    """A digest of what machine code depends on besides the design and the tools, and of the facts
    that are kept with it."""
    parts = [__version__, *KernelCode._fields, *(f"{name}\n{text}" for name, text in _sources())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


# --- the cache ----------------------------------------------------------------------------------


def entry_stem(recipe: Recipe) -> str:
    """The name of a recipe's entry in the cache, without that of the tools."""
    whole = f"{recipe.digest} {sources()}"
    return f"{recipe.kernel}-{hashlib.sha256(whole.encode()).hexdigest()[:32]}"


@cache
def tools_digest() -> str:
    """The part of an entry's name that names the installed tools."""
    return hashlib.sha256(repr(sorted(tools().items())).encode()).hexdigest()[:8]


def _read(recipe: Recipe) -> Code | None:
    try:
        entry = read_entry(entry_stem(recipe), None if compiler_missing() else tools_digest())
        return None if entry is None else _code(*entry)
    except DamagedEntryError as error:
        _report(f"{error}; it is compiled again")
        return None


def _code(facts: dict[str, Any], pieces: tuple[bytes, ...]) -> Code:
    kernels = []
    for kernel, cubin in zip(facts["kernels"], pieces, strict=True):
        grid, block, shared_bytes = kernel["shape"]
        shape = LaunchShape(tuple(grid), tuple(block), shared_bytes)
        kernels.append(KernelCode(**{**kernel, "shape": shape, "cubin": cubin}))
    return Code(tuple(kernels), facts["workspace_bytes"], facts["workspace_dtype"], facts["cuda"])


def _write(recipe: Recipe, code: Code) -> None:
    facts = {
        "kernels": [
            {name: value for name, value in kernel._asdict().items() if name != "cubin"}
            for kernel in code.kernels
        ],
        "workspace_bytes": code.workspace_bytes,
        "workspace_dtype": code.workspace_dtype,
        "cuda": code.cuda,
        "tools": tools(),
    }
    try:
        write_entry(entry_stem(recipe), tools_digest(), facts, [k.cubin for k in code.kernels])
    except OSError as error:
        _report(f"machine code can't be written to the cache: {error}")


def _report(text: str) -> None:
    if config.debug >= _SUMMARY:
        print(f"cuda: {text}", file=sys.stderr, flush=True)
