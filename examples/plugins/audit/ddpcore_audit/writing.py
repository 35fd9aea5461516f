"""Lines into a file, from a thread: a slow or a full disk is not the sessions' trouble."""

import atexit
import json
import logging
import os
import queue
import threading
from datetime import UTC, datetime

log = logging.getLogger(__name__)


class FileSink:
    """Appends lines to a file, which may be moved away: it is opened anew for each batch.

    Each line is one write, so the processes of several workers can share the file. What cannot
    be written is counted, and the count is written when it can be.

    Args:
        path: The file; made if it is not there, for nobody else to read.
        most: Lines that may wait.
    """

    def __init__(self, path: str | os.PathLike[str], most: int = 10_000) -> None:
        self._path = path
        self._lines: queue.Queue[str | None] = queue.Queue(most)
        self._lost = 0
        self._torn = False
        self._thread = threading.Thread(target=self._run, name="ddpcore audit", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __call__(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def flush(self) -> None:
        """Wait until each line so far is written, or counted as lost."""
        self._lines.join()

    def close(self, patience: float = 5.0) -> None:
        """Write what waits, for so many seconds at most. The sink can be used no more."""
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=patience)
            except queue.Full:
                return
            self._thread.join(patience)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._append(line)
            except OSError as problem:
                if not self._lost:  # it is said once
                    log.error("No audit log: %s", problem)  # noqa: TRY400
                self._lost += 1
            finally:
                self._lines.task_done()

    def _append(self, line: str) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if self._lost:
                now = datetime.now(UTC).isoformat(timespec="milliseconds")
                lost = self._lost
                self._put(file, json.dumps({"at": now, "what": "lost", "lines": lost}))
                self._lost -= lost
            self._put(file, line)
        finally:
            os.close(file)

    def _put(self, file: int, line: str) -> None:
        data = ("\n" * self._torn + line + "\n").encode()
        self._torn = os.write(file, data) < len(data)
        if self._torn:  # the disk was full in the middle of it
            raise OSError(f"only a part of a line fitted into {os.fspath(self._path)}")
