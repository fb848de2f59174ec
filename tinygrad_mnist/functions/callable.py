"""The callable that `function` returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from tinygrad_mnist.backends import Backend, Guarded, backend
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.compile.segmented import SegmentedPlan
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions.arguments import Parameter, convert, read_arguments
from tinygrad_mnist.functions.cached import Key, Workspace
from tinygrad_mnist.functions.io import Outputs
from tinygrad_mnist.functions.maker import FunctionGraph, Maker
from tinygrad_mnist.functions.plans import PlanCache
from tinygrad_mnist.functions.signature import Signature
from tinygrad_mnist.functions.states import states_set
from tinygrad_mnist.functions.sweep import LiveSweep, Sweep, steps_from
from tinygrad_mnist.functions.updates import swaps_from
from tinygrad_mnist.graph.access import ReadWriteLock
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.traversal import leaves, substitute
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.profiling import Profile, SegmentedProfile, profile_runs


class Function:
    """The result of `function`. Call it with values of the inputs, in order or by name.

    `fn[name]` is the value of an input that keeps one (an `In` with an update, or with a shared
    variable as value) or has a default, and `fn[name] = value` sets it. A position or the variable
    works like the name.

    plan: the plan of the last call. plans: all that are kept, the last used first. trust_input: has
    no effect; arguments are always checked.
    """

    trust_input = False

    def __init__(
        self,
        parameters: Sequence[Parameter],
        outputs: Outputs,
        updates: Mapping[SharedVariable, Variable],
        name: str | None,
        backend: Backend,
        workspace: Workspace | None = None,
    ) -> None:
        """For `function`, which checks its arguments. workspace: another function's, to share."""
        self.name = name
        self._set_parameters(parameters)
        self._outputs = outputs
        self._n_outputs = len(outputs.variables)
        self._updates = dict(updates)
        self._backend = backend
        self._workspace = workspace or Workspace(backend)
        used = leaves([*outputs.variables, *updates.values()])
        shared = [v for v in used if isinstance(v, SharedVariable)]
        self._shared = tuple(dict.fromkeys([*shared, *updates]))
        self._inputs = ", ".join(p.variable.name or str(p.variable.type) for p in parameters)
        self._title = name or f"function({self._inputs})"
        self._cache = PlanCache(
            [p.variable for p in self._stateless],
            self._shared,
            outputs,
            updates,
            backend,
            self._workspace.arena,
            self._title,
        )
        states = [p.state for p in self._stateful if p.state is not None and not p.implicit]
        self._variables_lock = ReadWriteLock(reads=self._shared, writes=[*updates, *states])

    def _set_parameters(self, parameters: Sequence[Parameter]) -> None:
        self._parameters = tuple(parameters)
        self._signature = Signature(self._parameters, self.name)
        self._stateless = tuple(p for p in parameters if p.state is None)
        self._stateful = tuple(p for p in parameters if p.state is not None)
        self._is_plain = not any(p.implicit or p.state is not None for p in parameters)

    # --- calls ------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for these values, in the form in which `function` was given them.

        Arrays are fresh, except those of `Out(borrow=True)`. Raises GraphTypeError or ShapeError
        for values that do not fit, and IndexOutOfRangeError for indices out of range; shared
        variables are then as before.

        output_subset: returns only these outputs, a list of their positions or keys.
        """
        if "output_subset" in kwargs:
            wanted = kwargs.pop("output_subset")
            return self._outputs.subset(Function.__call__(self, *args, **kwargs), wanted)
        values: Sequence[Any] = args
        if kwargs or not self._is_plain or len(args) != len(self._parameters):
            values = self._signature.bind(args, kwargs)
        with self._workspace.lock, self._variables_lock:
            if not self._stateful:
                return self._run(values)
            with states_set(values, self._parameters):
                return self._run(self._without_states(values))

    def _run(self, values: Sequence[Any]) -> Any:
        """One run of a plan, for values of the inputs that keep none."""
        arrays, key, integers = self._read(values)
        cached, slots = self._cache.find(key, integers)
        outputs = cached.run(arrays, slots)
        return self._outputs.returned(outputs[: self._n_outputs])

    def _read(self, values: Sequence[Any]) -> tuple[Sequence[Array], Key, dict[Variable, int]]:
        """The arrays of a call, and what its plan depends on."""
        arrays, integers = read_arguments(values, self._stateless, self._updates)
        self._cache.read_shared_scalars(integers)
        return arrays, self._cache.key([a.shape for a in arrays]), integers

    def sweep(
        self,
        *args: Any,
        n_steps: int | None = None,
        watch: Callable[[LiveSweep], object] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Many calls in one: `fn.sweep(range(n))` is `[fn(i) for i in range(n)]`, without going
        back to Python in between where the backend can.

        A value with one axis more than its input has a value per step: a range, list or vector for
        a scalar, a stack of matrices for a matrix; all must be equally long. Others are the same in
        each step. n_steps: number of steps, needed where no value has one per step. watch: is
        called once, before the first step, with a `LiveSweep`; another thread may read from it how
        many steps are done, and their outputs.

        Returns what a call returns, each array with a leading axis of steps, always fresh.

        A function that is cut (see docs/architecture.md) goes back to Python at every step.

        An interrupt, or an error in one step, leaves shared variables as of the last whole step,
        and `functions.swept(error)` has the outputs of the steps until then.

        Raises GraphTypeError where the number of steps is not given, where a slice or shape
        depends on a shared variable that the function updates, or where an update changes a shape.
        """
        values = self._signature.bind(args, kwargs)
        with self._workspace.lock, self._variables_lock, states_set(values, self._parameters):
            given = self._without_states(values)
            steps = steps_from(given, self._stateless, self._updates, n_steps)
            sweep = Sweep(self._cache, self._outputs.variables, self._updates, steps)
            return sweep.run(self._outputs.returned, watch)

    def _without_states(self, values: Sequence[Any]) -> list[Any]:
        """Values of the parameters that keep none."""
        return [v for v, p in zip(values, self._parameters, strict=True) if p.state is None]

    def profile(
        self,
        *args: Any,
        repeats: int = 20,
        sweep: bool = False,
        roofline: bool = False,
        timeline: bool = False,
        **kwargs: Any,
    ) -> Profile | SegmentedProfile:
        """Times every kernel call of `fn(...)`, or of `fn.sweep(...)`: prints as a table.

        The calls are carried out, updates included: once to make the plan, then `repeats` times as
        they are and as often with each kernel call timed, in turn. roofline: also measure that of
        the machine, which takes a second; the table then shows the share of it that each call
        reaches. timeline: run the calls `repeats` times more, and record when each chunk of work
        ran and on which thread; only the device cpu has chunks. Of a function that is cut, each
        plan has a table.

        Raises ValueError where the steps of a sweep need several plans.
        """
        run = self.sweep if sweep else self
        return profile_runs(
            self._title,
            self._backend,
            lambda: run(*args, **kwargs),
            repeats,
            roofline,
            timeline,
            lambda: self._cache.segments is not None,
        )

    # --- plans ------------------------------------------------------------------------------

    @property
    def plans(self) -> list[Plan]:
        """The plans that are kept, the last used first; of a function that is cut, those of all
        segments."""
        return self._cache.all_plans()

    @property
    def plan(self) -> Plan | SegmentedPlan:
        """The plan of the last call, or those of its segments; a function has none before its
        first."""
        plans = self._cache.last_plans()
        if not plans:
            raise ValueError("a function has no plan before its first call, which gives the shapes")
        return plans[0] if self._cache.segments is None else SegmentedPlan(tuple(plans))

    def plan_for(self, *args: Any) -> Plan:
        """The plan of a call with these arguments, of which the shapes count; nothing is computed.
        The first call uses it. Raises ValuesNeededError for a function that is cut, whose plans
        depend on values."""
        values = self._without_states(self._signature.bind(args, {}))
        with self._workspace.lock, self._variables_lock:
            _, key, integers = self._read(values)
            return self._cache.plan_ahead(key, integers)

    @property
    def arena_bytes(self) -> int:
        """Memory of temporaries: that of the plan which needs most, once one has run."""
        return self._workspace.arena.nbytes

    def free(self) -> None:
        """Frees plans and memory; the next call makes new ones."""
        with self._workspace.lock:
            self._cache.clear()

    # --- what it is made of -----------------------------------------------------------------

    @property
    def expressions(self) -> list[Variable]:
        """The expressions it computes: its outputs, then the new values of updated variables."""
        return [*self._outputs.variables, *self._updates.values()]

    @property
    def maker(self) -> Maker:
        """Its graph in Theano's words: `fn.maker.fgraph.toposort()`."""
        inputs = [*(p.variable for p in self._stateless), *self._shared]
        return Maker(FunctionGraph(inputs, self.expressions))

    @property
    def backend(self) -> Backend:
        """The backend that runs it."""
        return self._backend

    @property
    def device(self) -> str:
        """Name of the backend that runs it: `config.device` when the function was made."""
        return self._backend.name

    def get_shared(self) -> list[SharedVariable]:
        """The shared variables that it reads or updates, except those that it made itself."""
        private = {p.state for p in self._stateful if p.is_private}
        return [v for v in self._shared if v not in private]

    @property
    def updated(self) -> list[SharedVariable]:
        """The shared variables that it changes, random streams' states among them."""
        return list(self._updates)

    def __repr__(self) -> str:
        return f"<function {self.name or ''}({self._inputs}) on {self.device}>"

    def __getitem__(self, key: Any) -> Array:
        kept = self._kept(key)
        if kept.state is not None:
            return kept.state.get_value()
        assert kept.default is not None
        return kept.default.copy()

    def __setitem__(self, key: Any, value: Any) -> None:
        kept = self._kept(key)
        if kept.state is not None:
            kept.state.set_value(value)
        else:
            new = replace(kept, default=convert(value, kept).copy())
            self._set_parameters([new if p is kept else p for p in self._parameters])

    @property
    def container(self) -> Mapping[Any, SharedVariable]:
        """The shared variables that keep the inputs' values, by the name and the variable of an
        input: `In(s, value=f.container[s], update=...)` gives another function the same one."""
        kept = [(p, p.state) for p in self._stateful if p.state is not None]
        by_variable: dict[Any, SharedVariable] = {p.variable: state for p, state in kept}
        return by_variable | {p.name: state for p, state in kept if p.name is not None}

    def _kept(self, key: Any) -> Parameter:
        parameter = self._signature.find(key)
        if parameter.state is None and parameter.default is None:
            raise KeyError(f"{parameter.label} keeps no value from call to call")
        return parameter

    # --- copies and pickles -----------------------------------------------------------------

    def __getstate__(self) -> Any:
        """What `function` made it of; plans and memory are made anew."""
        guard = self._backend.guard if isinstance(self._backend, Guarded) else None
        return self._parameters, self._outputs, self._updates, self.name, guard

    def __setstate__(self, state: Any) -> None:
        """A pickled function runs on `config.device` of the process that loads it, with its guard
        if it has one."""
        parameters, outputs, updates, name, guard = state
        chosen = backend(config.device)
        chosen = guard.guarded(chosen) if guard else chosen
        type(self).__init__(self, parameters, outputs, updates, name, chosen)

    def __copy__(self) -> Function:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Function:
        """On the same backend."""
        memo[id(self)] = copied = type(self).__new__(type(self))
        parameters, outputs, updates, name, _ = deepcopy(self.__getstate__(), memo)
        type(self).__init__(copied, parameters, outputs, updates, name, self._backend)
        return copied

    def copy(
        self,
        share_memory: bool = False,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
    ) -> Function:
        """Another function that computes the same, with plans of its own.

        share_memory: both work in one arena; they then wait for each other. swap: shared variables
        and others of the same types that replace them. delete_updates: the copy updates nothing.
        name: of the copy; None keeps the name. Inputs that keep a value (`In` with an update) start
        from the present one in the copy, and are independent afterwards.
        """
        replaced = swaps_from(swap or {}, self._shared, self._updates)
        with self._workspace.lock:
            for p in self._stateful:
                if p.state is not None and p.is_private:
                    replaced[p.state] = SharedVariable(p.state.get_value(), p.state.type, p.name)
        new = substitute(self.expressions, replaced)
        outputs, values = new[: self._n_outputs], new[self._n_outputs :]
        updates = {} if delete_updates else dict(zip(self._updates, values, strict=True))
        return type(self)(
            [
                p if p.state is None else replace(p, state=replaced.get(p.state, p.state))
                for p in self._parameters
            ],
            self._outputs.computing(outputs),
            {replaced.get(old, old): value for old, value in updates.items()},
            name or self.name,
            self._backend,
            self._workspace if share_memory else None,
        )
