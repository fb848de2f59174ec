"""Formats that are taken for safetensors by mistake, by the first bytes of a file."""

from __future__ import annotations

_STARTS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras's .h5"),
    (b"PK\x03\x04", "a zip archive, as Keras's .keras and NumPy's .npz"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", "an array of NumPy, .npy"),
    (b"\x1f\x8b", "packed by gzip"),
    (b"BZh", "packed by bzip2"),
    (b"\xfd7zXZ", "packed by xz"),
    (b"<", "a page of HTML or XML"),
    (b"version https://git-lfs", "a pointer of Git LFS in place of a file"),
)
_PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def foreign_format(start: bytes, size: int) -> str | None:
    """What a file is, by its first 16 bytes and its size; None where it may be safetensors.

    A file in the safetensors format begins with the length of its header, 8 bytes, and then has a
    brace.
    """
    if not size:
        return "empty"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return None
    for magic, name in _STARTS:
        if start.startswith(magic[:16]):
            return name
    if start.startswith(_PICKLES):
        return "a pickle, which can run code when it is read"
    if start.lstrip().startswith((b"{", b"[")):
        return "a text of JSON"
    if start[8:9] == b"{":
        return "truncated: its header is longer than the file"
    return "in no format that is known here"
