"""A body on its way to a WSGI application."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from ddpcore_tornado.site.spool import MEMORY, Spool


@pytest.fixture
def writer():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.mark.parametrize("size", [0, 1, MEMORY, MEMORY + 1, 3 * MEMORY])
async def test_what_is_kept_comes_back(writer, size):
    spool = Spool(writer)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    for start in range(0, size, 65_536):
        await spool.write(body[start : start + 65_536])
    assert spool.size == size
    assert spool.open().read() == body
    spool.close()


async def test_small_pieces_cost_no_more_than_large_ones(writer):
    spool = Spool(writer)
    pieces = [b"ab"] * (MEMORY // 2)
    tracemalloc.start()
    try:
        for piece in pieces:
            await spool.write(bytes(bytearray(piece)))
        assert tracemalloc.get_traced_memory()[0] < 2 * MEMORY
    finally:
        tracemalloc.stop()
    spool.close()
