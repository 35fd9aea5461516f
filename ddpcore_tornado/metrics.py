"""The metrics of all workers as one text.

Each worker counts for itself, and only Prometheus can add up what it gets over time: a worker that
is started again begins at nothing, which `rate()` knows of for each series by itself. So the
samples stay apart, with a label that says whose they are.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["CONTENT_TYPE", "AllMetrics", "merged"]

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""That of Prometheus' text format."""

PATIENCE = 1.0
"""Seconds that a worker gets to answer. Prometheus gives the whole ten by default."""

_ABOUT = re.compile(r"# (?:HELP|TYPE) (\S+)")


class AllMetrics:
    """Asks all workers.

    Args:
        sockets: Where each can be asked, by its number.
    """

    def __init__(self, sockets: Mapping[int, Path]) -> None:
        self._sockets = sockets
        self._left_out = 0

    async def render(self) -> str:
        """The metrics of those that answer in time, and how many do not."""
        texts = await asyncio.gather(*(self._of(*each) for each in self._sockets.items()))
        answered = {
            number: text
            for number, text in zip(self._sockets, texts, strict=True)
            if text is not None
        }
        self._left_out += len(self._sockets) - len(answered)
        lines = [
            "# HELP ddpcore_worker_up With --workers: 1 if a worker has answered.",
            "# TYPE ddpcore_worker_up gauge",
            *(
                f'ddpcore_worker_up{{worker="{number}"}} {int(number in answered)}'
                for number in self._sockets
            ),
            "# HELP ddpcore_workers_left_out_total With --workers: answers that came too late.",
            "# TYPE ddpcore_workers_left_out_total counter",
            f"ddpcore_workers_left_out_total {self._left_out}",
        ]
        return merged(answered) + "\n".join(lines) + "\n"

    async def _of(self, number: int, path: Path) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE):
                return await _fetch(path)
        except (OSError, TimeoutError, ValueError) as problem:
            logger.info("Worker %d does not tell its metrics: %r", number, problem)
            return None


def merged(texts: Mapping[int, str]) -> str:
    """Texts of several workers as one: each family once, each sample with the worker's number.

    Args:
        texts: In Prometheus' text format, by the number of the worker.
    """
    about: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for number, text in texts.items():
        family = ""
        seen: set[str] = set()
        for line in text.split("\n"):
            if found := _ABOUT.match(line):
                family = found[1]
                if family not in about or family in seen:
                    about.setdefault(family, []).append(line)
                    seen.add(family)
            elif line and not line.startswith("#"):
                samples.setdefault(family, []).append(_labelled(line, number))
    return "".join(
        "\n".join([*lines, *samples.get(family, ())]) + "\n" for family, lines in about.items()
    )


def _labelled(sample: str, number: int) -> str:
    end = re.search(r"[{ ]", sample)
    if end is None:
        raise ValueError(f"No sample: {sample!r}")
    name, rest = sample[: end.start()], sample[end.start() :]
    label = f'worker="{number}"'
    if rest.startswith("{"):
        return f"{name}{{{label}{'' if rest.startswith('{}') else ','}{rest[1:]}"
    return f"{name}{{{label}}}{rest}"


async def _fetch(path: Path) -> str:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        # 1.0: the answer is neither chunked nor followed by another one.
        writer.write(b"GET /metrics HTTP/1.0\r\nHost: worker\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise ValueError(f"It answers {head[:40]!r}")
    return body.decode()
