"""Declarations of inputs and outputs: `In`, `Out`, and Theano's older `Param`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError, GraphTypeError, MissingValueError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.values import check_name, flag, several, shown
from tinygrad_mnist.graph.variables import Constant, Variable


@dataclass(frozen=True, eq=False)
class In:
    """An input of a function with a name, a default value, or a value that it keeps.

    variable: the input in expressions. name: its keyword; None is the variable's name, or with
    `autoname=False` none.

    value: the default, a number or an array, which is copied. If it is a shared variable, that
    replaces the input: the function reads it, and sets it if there is an `update`. Callers then
    can't give a value unless `implicit` is False; a value that they give is stored in the shared
    variable.

    update: an expression. The input then keeps a value from call to call, `value` at first, and
    gets the value of this expression after each call. A value that a caller gives is kept too.
    `fn[name]` is the present value.

    strict: accept only arrays of exactly the right dtype. allow_downcast: True lets values lose
    precision, False lets no float, None Python floats only; if it is None, the function's
    `allow_input_downcast` decides.

    mutable and borrow would allow a function to overwrite its arguments. It never does, so they
    have no effect.

    Raises GraphTypeError for options that contradict each other, naming the variable.
    """

    variable: Variable
    name: str | None = None
    value: Any = None
    update: Any = None
    mutable: bool | None = None
    strict: bool = False
    allow_downcast: bool | None = None
    autoname: bool = True
    implicit: bool | None = None
    borrow: bool | None = None

    def __post_init__(self) -> None:
        v = self.variable
        if not isinstance(v, Variable):
            raise GraphTypeError(
                f"{shown(v)} can't be an input of a function; T.matrix() and such can"
            )
        if isinstance(v, Constant | SharedVariable):
            kind = "a constant" if isinstance(v, Constant) else "a shared variable"
            raise GraphTypeError(
                f"{v} is {kind}; it can't be an input of a function: replace it by a variable "
                f"with givens{at(v.source)}"
            )
        check_name(self.name, "the name of an input")
        check_downcast(self.allow_downcast, f"allow_downcast of the input {v}")
        if isinstance(self.value, Variable) and not isinstance(self.value, SharedVariable):
            raise GraphTypeError(f"the value of the input {v} is {self.value}, which is symbolic")
        if self.value is None and (self.update is not None or self.implicit):
            raise MissingValueError(
                f"the input {v} needs a value to start from, since it has an update or is implicit"
                f"{at(v.source)}"
            )
        if self.mutable and self.borrow is False:
            raise GraphTypeError(f"the input {v} is mutable, but must not be borrowed")


def check_downcast(value: Any, what: str) -> None:
    """Raises GraphTypeError unless the option is None, True or False."""
    if value is not None:
        flag(value, what)


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

    borrow: True returns an array that the function owns and overwrites at its next call with
    arguments of the same shapes, so that a call allocates nothing for it. `sweep` returns fresh
    arrays nevertheless.
    """

    variable: Any
    borrow: bool = False


@dataclass(frozen=True)
class Outputs:
    """The outputs of a function, and the form in which a call returns them.

    borrowed: per output, whether the function owns its array. names: keys, if the user gave a dict.
    single: one output, not in a list. nothing: a call returns None.
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
        """The results in the form that a call returns."""
        if self.single:
            return arrays[0]
        if self.names is not None:
            return dict(zip(self.names, arrays, strict=True))
        return None if self.nothing else list(arrays)

    def subset(self, results: Any, wanted: Any) -> Any:
        """Those of the results of a call that are in the list `wanted`, in the same form. Raises
        ArgumentError for an output that there isn't."""
        if self.single or wanted is None:
            return results
        given = several(wanted, "output_subset", "positions or keys of outputs")
        known = range(len(self.variables)) if self.names is None else self.names
        for key in given:
            if key not in known:
                raise ArgumentError(f"output_subset has {shown(key)}, which is no output")
        if self.names is None:
            return [results[number] for number in given]
        return {key: results[key] for key in given}


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
