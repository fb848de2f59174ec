"""`tf.errors`: the error of an iterator without further elements."""


class OutOfRangeError(IndexError):
    """There is no next element."""
