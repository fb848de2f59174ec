"""The former name of `tinygrad_mnist.booknets`."""

from tinygrad_mnist.booknets import RECIPES, BookNet, Recipe, book_net

__all__ = ["RECIPES", "BookNet", "Recipe", "book_net"]
