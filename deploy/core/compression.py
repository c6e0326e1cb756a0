"""Reproducible gzip for transfers; it doesn't try to compress data that is compressed already."""

from __future__ import annotations

import zlib
from typing import Any, Protocol

BLOCK, SAMPLE = 2**18, 2**12
LEVEL = 6
GAIN = 0.95  # a block is compressed only if its sample shrinks below this share


class Writer(Protocol):
    """Anything that accepts bytes."""

    def write(self, data: bytes, /) -> object: ...


class Gzip:
    """A file-like object that compresses what is written to it. Images, videos and archives are stored uncompressed in
    separate gzip members, which costs no time; gzip reads several members as one stream."""

    def __init__(self, sink: Writer) -> None:
        self.sink = sink
        self._waiting = bytearray()
        self._level = -1
        self._member: Any = None

    def write(self, data: bytes, /) -> int:
        self._waiting += data
        while len(self._waiting) >= BLOCK:
            self._pack(bytes(self._waiting[:BLOCK]))
            del self._waiting[:BLOCK]
        return len(data)

    def close(self) -> None:
        self._pack(bytes(self._waiting))
        self._waiting.clear()
        self.sink.write(self._member.flush())

    def _pack(self, block: bytes) -> None:
        level = LEVEL if _shrinks(block) else 0
        if level != self._level:
            if self._member:
                self.sink.write(self._member.flush())
            self._level, self._member = level, zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self.sink.write(self._member.compress(block))


def _shrinks(block: bytes) -> bool:
    middle = len(block) // 2
    sample = block[middle : middle + SAMPLE]
    return len(sample) < SAMPLE or len(zlib.compress(sample, 1)) < GAIN * len(sample)
