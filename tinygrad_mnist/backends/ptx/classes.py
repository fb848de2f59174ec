"""Classes of instructions, for counts and estimates."""

from __future__ import annotations

from tinygrad_mnist.backends.ptx.program import Instruction

#: `special`: square roots, reciprocals, exponentials and quotients. `move`: moves, choices and
#: parameters, of which machine code has few.
CLASSES = (
    "fma",
    "float",
    "double",
    "special",
    "tensor",
    "integer",
    "compare",
    "convert",
    "move",
    "load global",
    "store global",
    "load shared",
    "store shared",
    "local",
    "constant",
    "warp",
    "barrier",
    "branch",
)
INDEX = {name: k for k, name in enumerate(CLASSES)}
FLOATS = ("f16", "f32", "tf32", "f64")
_SPECIAL = ("ex2", "lg2", "rcp", "rsqrt", "sqrt", "sin", "cos", "tanh", "div")
_BY_NAME = {
    "mma": "tensor",
    "setp": "compare",
    "set": "compare",
    "mov": "move",
    "cvta": "move",
    "selp": "move",
    "slct": "move",
    "shfl": "warp",
    "vote": "warp",
    "activemask": "warp",
    "bar": "barrier",
    "barrier": "barrier",
    "membar": "warp",
    "fence": "warp",
    "bra": "branch",
    "ret": "branch",
    "exit": "branch",
}


def class_of(i: Instruction) -> str:
    """The class of an instruction, one of CLASSES."""
    if i.name in ("ld", "ldu", "st"):
        return _access(i)
    if i.name in ("bar", "barrier") and "warp" in i.opcode:
        return "warp"
    if i.name in _BY_NAME:
        return _BY_NAME[i.name]
    if i.name == "cvt":
        return "convert" if set(i.opcode) & set(FLOATS) else "integer"
    kind = i.opcode[-1]
    if kind == "f64":
        return "double"
    if kind not in FLOATS:
        return "integer"
    if i.name in ("fma", "mad"):
        return "fma"
    return "special" if i.name in _SPECIAL else "float"


def _access(i: Instruction) -> str:
    """Accesses without a space are taken for global ones."""
    if "param" in i.opcode:
        return "move"
    if "const" in i.opcode:
        return "constant"
    if "local" in i.opcode:
        return "local"
    space = "shared" if "shared" in i.opcode else "global"
    return f"{'store' if i.name == 'st' else 'load'} {space}"
