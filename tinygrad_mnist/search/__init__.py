"""A search over settings, such as numbers of filters, the learning rate and the batch size.

    from tinygrad_mnist.search import log_uniform, search

    def accuracy(filters, rate):
        ...                                       # makes a model, trains it
        return model.fit(...)                     # a History, a dict of numbers, or a number

    if __name__ == "__main__":
        space = {"filters": [16, 32, 64], "rate": log_uniform(1e-4, 1e-2)}
        results = search(accuracy, space, runs=20, file="runs.jsonl")
        print(results)                            # a table, best first

docs/search.md explains it.
"""

from tinygrad_mnist.search.processes import Processes
from tinygrad_mnist.search.results import Results, Run
from tinygrad_mnist.search.run import SearchError, done_before, finished, search
from tinygrad_mnist.search.space import choice, integers, log_uniform, uniform

__all__ = [
    "Processes",
    "Results",
    "Run",
    "SearchError",
    "choice",
    "done_before",
    "finished",
    "integers",
    "log_uniform",
    "search",
    "uniform",
]
