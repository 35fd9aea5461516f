"""The body of a request until it is complete: in memory while it is small, then in a file."""

from __future__ import annotations

import asyncio
import tempfile
from concurrent.futures import Executor
from io import BytesIO
from typing import IO

__all__ = ["MEMORY", "Spool"]

MEMORY = 1024 * 1024
"""Bytes of a body that are kept in memory."""

PORTION = 256 * 1024
"""Bytes that are written at once: so a body of 100 MB is 400 errands of the thread that writes."""


class Spool:
    """A body that is being received.

    Args:
        writer: Where files are written: a disk may let one wait, and clients of DDP must not.
    """

    def __init__(self, writer: Executor) -> None:
        self._writer = writer
        self._gathered = bytearray()  # a list of pieces of two bytes would be thirty times as large
        self._file: IO[bytes] | None = None
        self._writing = self._closed = False
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Keep a piece.

        Raises:
            OSError: The disk does not take it.
        """
        self._gathered += data
        self.size += len(data)
        if len(self._gathered) < PORTION or self.size <= MEMORY:
            return
        loop = asyncio.get_running_loop()
        self._writing = True
        try:
            await loop.run_in_executor(self._writer, self._write)
        finally:
            self._writing = False
            if self._closed:
                self.close()

    def _write(self) -> None:
        if self._file is None:
            # Without a name where the system can do so: it goes when it is closed, come what may.
            self._file = tempfile.TemporaryFile(prefix="ddpcore-upload-")  # noqa: SIM115
        self._file.write(self._gathered)
        self._gathered.clear()

    def open(self) -> IO[bytes]:
        """All of it, to be read. It may write, so not on the event loop."""
        if self._file is None:
            return BytesIO(self._gathered)
        self._write()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Forget it."""
        self._closed = True
        if not self._writing:
            self._gathered.clear()
            if self._file is not None:
                self._file.close()
