"""What a cubin says about the parameters of its kernels: an ELF file with a section per kernel."""

from __future__ import annotations

import struct

_PARAMETER = 0x17  # attribute of the section .nv.info.<kernel>: one per parameter
_VALUE_FOLLOWS = 4  # format of an attribute whose size follows it


def parameter_sizes(cubin: bytes, kernel: str) -> list[int]:
    """Bytes of each parameter, in order; they lie one behind the other without gaps."""
    info = _section(cubin, f".nv.info.{kernel}")
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < len(info):
        kind, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if kind == _VALUE_FOLLOWS:
            if attribute == _PARAMETER:
                _, number, offset, packed = struct.unpack_from("<IHHI", info, at)
                found.append((number, offset, packed >> 18))
            at += size
    found.sort()
    end = 0
    for number, (ordinal, offset, size) in enumerate(found):
        assert (ordinal, offset) == (number, end)
        end += size
    return [size for _, _, size in found]


def _section(elf: bytes, wanted: str) -> bytes:
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, table + k * size) for k in range(count)]
    for header in headers:
        begin = headers[names][4] + header[0]
        if elf[begin : elf.index(b"\0", begin)].decode() == wanted:
            return elf[header[4] : header[4] + header[5]]
    raise AssertionError(f"no section {wanted}")
