"""What travels compressed."""

from __future__ import annotations

import gzip
import io
import random

import pytest

from deploy.core.compression import BLOCK, Gzip

TEXT = b"the same words again and again, " * (BLOCK // 8)
NOISE = random.Random(1).randbytes(3 * BLOCK + 17)


def packed(*pieces: bytes) -> bytes:
    sink = io.BytesIO()
    made = Gzip(sink)
    for piece in pieces:
        made.write(piece)
    made.close()
    return sink.getvalue()


@pytest.mark.parametrize("content", [b"", b"x", TEXT, NOISE, TEXT + NOISE + TEXT])
def test_it_comes_back_as_it_was(content: bytes) -> None:
    assert gzip.decompress(packed(content)) == content


def test_the_same_content_is_the_same_bytes_however_it_is_written() -> None:
    whole = TEXT + NOISE
    assert packed(whole) == packed(*(whole[at : at + 10_240] for at in range(0, len(whole), 10_240)))


def test_what_shrinks_is_compressed_and_what_does_not_is_passed_through() -> None:
    assert len(packed(TEXT)) < len(TEXT) / 50
    assert len(packed(NOISE)) < len(NOISE) * 1.001 + 100
    assert NOISE[:60_000] in packed(NOISE)
