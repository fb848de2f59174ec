"""`compile`, `fit`, `evaluate` and `predict` of models.

`trainer` has the class `Trainer`, with Keras's methods. `objective` knows what `compile` was given,
`samples` and `targets` turn a user's data into arrays that fit the model, `functions` has the
compiled steps and `resident` the data that stay where they run. `sources` says what a run of
steps is, which one sweep makes; `array_source` and `batch_source` cut arrays and iterables into
runs. `loop` makes them and calls callbacks; `totals` keeps the means, `progress` and `line` show
them.
"""

from tinygrad_mnist.keras.training.trainer import Trainer

__all__ = ["Trainer"]
