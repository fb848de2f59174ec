"""Tables of calls for every one of Theano's names, and facts about those that compute nothing."""

from helpers.theano_names import (
    arrays,
    derivatives,  # noqa: F401 - registers facts, as `programs` and `variables`
    elementwise,
    images,
    matrices,
    networks,
    programs,  # noqa: F401
    reductions,
    variables,  # noqa: F401
)
from helpers.theano_names.case import FACTS

CALLS = [
    *elementwise.CALLS,
    *reductions.CALLS,
    *arrays.CALLS,
    *networks.CALLS,
    *images.CALLS,
    *matrices.CALLS,
]

__all__ = ["CALLS", "FACTS"]
