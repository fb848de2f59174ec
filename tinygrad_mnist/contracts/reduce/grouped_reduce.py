"""Several reductions in one call: a group of `reduce`, see `core.group`."""

from __future__ import annotations

from ..core.base import register
from ..core.group import group_contract
from .reduce import REDUCE

GROUPED_REDUCE = register(group_contract("grouped_reduce", REDUCE))
