"""`FixedLengthRecordDataset`: parts of files that all have one length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import integer
from tinygrad_mnist.keras.tensors import DTYPES
from tinygrad_mnist.tf.data.block import Block, block_of
from tinygrad_mnist.tf.data.dataset import UNKNOWN_CARDINALITY, Dataset
from tinygrad_mnist.tf.data.structure import TensorSpec
from tinygrad_mnist.tf.io import file_name, is_gzipped, read_bytes

_PACKINGS = ("", "GZIP", "ZLIB")


class FixedLengthRecordDataset(Dataset):
    """Strings of `record_bytes` bytes each: a file's contents between its header and its footer.

    filenames: a file's name, or several. compression_type: None, '', 'GZIP' or 'ZLIB'; the bytes
    are those of the unpacked file. buffer_size and num_parallel_reads are accepted.

    Files are read when the data set is. Raises FileNotFoundError; ArgumentError for a file that
    isn't so long as it should be, or packed otherwise.
    """

    def __init__(
        self,
        filenames: Any,
        record_bytes: int,
        header_bytes: int | None = None,
        footer_bytes: int | None = None,
        buffer_size: int | None = None,
        compression_type: str | None = None,
        num_parallel_reads: int | None = None,
        name: str | None = None,
    ) -> None:
        packing = compression_type or ""
        if packing not in _PACKINGS:
            raise ArgumentError(f"compression_type is {packing!r}; it can be {_PACKINGS}")
        length = integer(record_bytes, "record_bytes", 1)
        header = integer(header_bytes or 0, "header_bytes", 0)
        footer = integer(footer_bytes or 0, "footer_bytes", 0)
        several = isinstance(filenames, list | tuple | np.ndarray) and np.ndim(filenames) > 0
        names = [file_name(each) for each in (filenames if several else [filenames])]

        def blocks() -> Iterator[Block]:
            for each in names:
                yield _records(each, length, header, footer, packing)

        super().__init__(blocks, UNKNOWN_CARDINALITY, lambda: TensorSpec((), DTYPES["string"]))


def _records(name: str, length: int, header: int, footer: int, packing: str) -> Block:
    data = read_bytes(name, packing)
    size = len(data) - header - footer
    if size < 0 or size % length:
        hint = "; the file is gzipped: give compression_type='GZIP'" if is_gzipped(data) else ""
        raise ArgumentError(
            f"{name}: {len(data)} bytes are not {header} of a header, records of {length}, and"
            f" {footer} of a footer{hint}"
        )
    records = np.frombuffer(data, f"V{length}", size // length, header)
    return block_of(None, [records])
