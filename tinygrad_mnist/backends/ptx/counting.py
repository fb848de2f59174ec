"""The device `ptx` with counts in place of times."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.backends.cuda.code import Code, Listing, machine_code
from tinygrad_mnist.backends.cuda.design import Capability
from tinygrad_mnist.backends.cuda.gpu import Bound, Loaded
from tinygrad_mnist.backends.cuda.workers import compile_codes
from tinygrad_mnist.backends.ptx.count import Counts, count
from tinygrad_mnist.backends.ptx.gpu import PtxGpu, Recipe, bound_launch, recipe_of


class CountingGpu(PtxGpu):
    """A `PtxGpu` that counts the launches that it is asked to time; the times that it answers are
    zeros.

    counted: the recipe and the counts of each such launch, in order. code: the machine code of the
    recipes, which says how many registers and how much memory they need.
    """

    def __init__(self, capability: Capability) -> None:
        super().__init__(capability=capability)
        self.counted: list[tuple[Recipe, Counts]] = []
        self.code: dict[Recipe, Code] = {}

    def _load(self, recipes: Sequence[Recipe]) -> list[Loaded]:
        missing = [recipe for recipe in recipes if recipe not in self.code]
        # With the listings, which are loaded below, so that all are compiled at once.
        found = machine_code([*missing, *map(Listing, missing)], compile_codes)
        self.code |= {recipe: found[recipe] for recipe in missing}
        return super()._load(recipes)

    def time(self, launches: Sequence[Bound]) -> list[float]:
        for bound in launches:
            self.counted.append((recipe_of(bound), count(*bound_launch(bound))))
        return [0.0] * len(launches)
