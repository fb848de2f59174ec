"""The most that a reader takes from a file: a small file can say that it has any amount.

A gzip file of 3 MB can unpack to 3 GB, and a few bytes of a pickle or of a header can ask for
terabytes. What passes a limit is an error of its reader, which names the file and the limit, before
the memory is taken.
"""

from __future__ import annotations

from tinygrad_mnist.errors import ArgumentError


class Limits:
    """The limits of the process. Each is a positive integer, and checked when it is set.

    unpacked_bytes: of one data file, after gzip, xz, bzip2 or zlib; of a pickle, what its values
        take, 64 bytes for each beside its contents.
    array_bytes: of one array of a data file: images (n, 28, 28) of bytes have 784 each.
    line_bytes: of a row of a table in text.
    nesting: of a pickle: how many marks are open at one time.
    picture_pixels: of an image file.
    model_bytes: of a file of a model, and of the weights that it describes.
    description_bytes: of the JSON in a file of a model.

    The defaults hold MNIST, its kin up to EMNIST's 814,255 images, and the book's expanded set.
    """

    __slots__ = (
        "array_bytes",
        "description_bytes",
        "line_bytes",
        "model_bytes",
        "nesting",
        "picture_pixels",
        "unpacked_bytes",
    )

    def __init__(self) -> None:
        self.unpacked_bytes: int = 2 << 30
        self.array_bytes: int = 2 << 30
        self.line_bytes: int = 1 << 16
        self.nesting: int = 100
        self.picture_pixels: int = 1 << 26
        self.model_bytes: int = 8 << 30
        self.description_bytes: int = 16 << 20

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__slots__:
            raise AttributeError(f"limits has no {name!r}; it has {', '.join(self.__slots__)}")
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ArgumentError(f"limits.{name} is {value!r}; it must be a positive integer")
        object.__setattr__(self, name, value)


#: The one object; `limits.array_bytes = 2 << 30` allows larger arrays from now on.
limits = Limits()
