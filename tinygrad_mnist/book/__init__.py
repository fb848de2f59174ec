"""The experiments of chapter 6 of the book: what they train, and a command that runs them."""

from tinygrad_mnist.book.experiments import EXPERIMENTS, Experiment
from tinygrad_mnist.book.results import Row, as_json, as_markdown, rows_of
from tinygrad_mnist.book.runs import Plan, estimate, run_all

__all__ = [
    "EXPERIMENTS",
    "Experiment",
    "Plan",
    "Row",
    "as_json",
    "as_markdown",
    "estimate",
    "rows_of",
    "run_all",
]
