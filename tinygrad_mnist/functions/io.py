"""What the user says about inputs and outputs: `In`, `Out`, and Theano's old word `Param`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.variables import Constant, SharedVariable, Variable


@dataclass(frozen=True, eq=False)
class In:
    """An input of a function with a name, a default value, or a memory.

    variable: what stands for it in expressions. name: its keyword; the variable's name where None.

    value: what it is where the caller gives nothing, a number or an array, copied. A shared
    variable as value takes the input's place: the function reads it, and changes it if `update`
    says so; callers can't give a value then, unless `implicit` is False: it is written into the
    shared variable.

    update: an expression; the input keeps a value, `value` at first, and gets this one after each
    call. What a caller gives is kept too. `fn[name]` is the value at present.

    strict: take arrays of exactly the right dtype only. allow_downcast: True lets values lose
    precision, False lets no float, None Python floats only; where it is None,
    `allow_input_downcast` of the function says.

    mutable and borrow would allow a function to overwrite what it is given: it never does, so
    they change nothing.

    Raises GraphTypeError for what does not go together, naming the variable.
    """

    variable: Variable
    name: str | None = None
    value: Any = None
    update: Any = None
    mutable: bool | None = None
    borrow: bool | None = None
    strict: bool = False
    allow_downcast: bool | None = None
    implicit: bool | None = None

    def __post_init__(self) -> None:
        v = self.variable
        if not isinstance(v, Variable):
            raise GraphTypeError(f"{v!r} can't be an input of a function; T.matrix() and such can")
        if isinstance(v, Constant | SharedVariable):
            kind = "a constant" if isinstance(v, Constant) else "a shared variable"
            raise GraphTypeError(
                f"{v} is {kind}; it can't be an input of a function: put a variable in its place "
                f"with givens{at(v.source)}"
            )
        if isinstance(self.value, Variable) and not isinstance(self.value, SharedVariable):
            raise GraphTypeError(f"the value of the input {v} is {self.value}, which is symbolic")
        if self.value is None and (self.update is not None or self.implicit):
            raise GraphTypeError(
                f"the input {v} needs a value to start from, since it has an update or is implicit"
                f"{at(v.source)}"
            )
        if self.mutable and self.borrow is False:
            raise GraphTypeError(f"the input {v} is mutable, but must not be borrowed")


def Param(  # noqa: N802
    variable: Variable,
    default: Any = None,
    name: str | None = None,
    mutable: bool = False,
    strict: bool = False,
    allow_downcast: bool | None = None,
    implicit: bool | None = None,
    borrow: bool | None = None,
) -> In:
    """`In` as older Theano programs write it: `Param(rate, default=0.1)`."""
    return In(
        variable,
        name=name,
        value=default,
        mutable=mutable,
        borrow=borrow,
        strict=strict,
        allow_downcast=allow_downcast,
        implicit=implicit,
    )


@dataclass(frozen=True, eq=False)
class Out:
    """An output of a function.

    borrow: True hands out an array that the function owns and overwrites at its next call with
    arguments of the same shapes, so that a call allocates nothing for it; `sweep` stacks into fresh
    arrays all the same.
    """

    variable: Any
    borrow: bool = False


@dataclass(frozen=True)
class Outputs:
    """The outputs of a function in a row, and the form in which a call returns them.

    borrowed: per output, whether the function owns its array. names: keys, where the user gave a
    dict. single: one output, not in a list. nothing: None.
    """

    variables: tuple[Variable, ...]
    borrowed: tuple[bool, ...]
    names: tuple[str, ...] | None = None
    single: bool = False
    nothing: bool = False

    def computing(self, variables: Sequence[Variable]) -> Outputs:
        """The same form and flags for other variables."""
        return replace(self, variables=tuple(variables))

    def returned(self, arrays: Sequence[Array]) -> Any:
        """What a call with these results returns."""
        if self.single:
            return arrays[0]
        if self.names is not None:
            return dict(zip(self.names, arrays, strict=True))
        return None if self.nothing else list(arrays)


def outputs_from(given: Any) -> Outputs:
    """The outputs that a user wants: one, a list or tuple, a dict by name, or None; each of them a
    variable, an `Out`, or a value."""
    names: tuple[str, ...] | None = None
    single = False
    if given is None:
        outputs: list[Any] = []
    elif isinstance(given, Mapping):
        names = tuple(given)
        if not all(isinstance(n, str) for n in names):
            raise GraphTypeError(f"the keys of a dict of outputs are strings, not {names}")
        outputs = list(given.values())
    else:
        single = not isinstance(given, list | tuple)
        outputs = [given] if single else list(given)
    wrapped = [out if isinstance(out, Out) else Out(out) for out in outputs]
    return Outputs(
        tuple(as_variable(out.variable) for out in wrapped),
        tuple(bool(out.borrow) for out in wrapped),
        names,
        single,
        given is None,
    )
