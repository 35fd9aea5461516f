"""Reads the stream from its present end. What cannot have been read all the way is a Gap."""

import asyncio
import json
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ddpcore import Bus, BusEvent, Change, DDPError, Gap, hookimpl
from ddpcore_redis.stream import COUNT, ENTRIES, RedisPublisher, decoded

log = logging.getLogger(__name__)


@hookimpl
def ddpcore_bus(url: str) -> Bus | None:
    return RedisBus(url) if url.startswith(("redis://", "rediss://", "unix://")) else None


class RedisBus(Bus):
    crosses_processes = True
    connected = False

    def __init__(self, url: str, most: int = 100_000) -> None:
        self._url = url
        self._place = urlsplit(url).netloc.rpartition("@")[2]  # without the password
        self._publisher = RedisPublisher(url, most)
        self._deliver: Callable[[BusEvent], None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._at = (0, "0")  # number and id of the entry that was read last
        self._topics: set[str] = set()
        self._fences: dict[asyncio.Future[None], float | None] = {}  # until which number
        self._asked = asyncio.Event()

    async def start(self, deliver: Callable[[BusEvent], None]) -> None:
        self._deliver = deliver
        # No retries behind our back: after each loss of the connection there is a Gap.
        options = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 6.0, "protocol": 2}
        self._redis = Redis.from_url(self._url, decode_responses=True, **options)
        try:
            self._at = await self._end()
        except Exception as problem:
            await self.stop()
            raise DDPError(f"No Redis for the bus at {self._place}: {problem}") from problem
        self.connected = True
        self._tasks = [asyncio.create_task(each) for each in (self._read(), self._ask())]

    async def stop(self) -> None:
        if self._deliver is None:
            return
        while running := [each for each in self._tasks if not each.done()]:
            for each in running:
                each.cancel()  # more than once: when an answer comes just now, redis-py forgets it
            await asyncio.wait(running, timeout=0.1)
        self._deliver, self._topics, self._tasks = None, set(), []
        self._release(math.inf)
        await self._redis.aclose()

    async def subscribe(self, topic: str) -> None:
        if topic not in self._topics and self.connected:
            with suppress(TimeoutError):  # what was committed before is not its business
                await asyncio.wait_for(self.fence(), 1.0)  # but that is not worth a long wait
        self._topics.add(topic)

    async def unsubscribe(self, topic: str) -> None:
        self._topics.discard(topic)

    async def publish(self, change: Change) -> None:
        await asyncio.to_thread(self._publisher.publish, [change])

    def publisher(self) -> RedisPublisher:
        return self._publisher

    async def fence(self) -> None:
        if self._deliver is not None:
            done = asyncio.get_running_loop().create_future()
            self._fences[done] = None
            self._asked.set()
            await done

    async def _end(self) -> tuple[int, str]:
        commands = self._redis.pipeline(transaction=True).get(COUNT)
        count, last = await commands.xrevrange(ENTRIES, count=1).execute()
        return int(count or 0), last[0][0] if last else "0"

    async def _read(self) -> None:
        while True:
            try:
                if not self.connected:
                    self._at = await self._end()
                    self.connected = True
                    self._deliver(Gap())
                    self._release(math.inf)
                await self._follow()
            except Exception as problem:
                if self.connected:  # else it has been said
                    log.warning("A Gap will come: Redis at %s: %s", self._place, problem)
                self.connected = False
                await asyncio.sleep(0.2)

    async def _follow(self) -> None:
        # Until something is missing, which is an exception.
        while True:
            where = {ENTRIES: self._at[1]}
            found = await self._redis.xread(where, count=100, block=1000)
            for place, fields in found[0][1] if found else ():
                self._take(place, **fields)
            lost = not found and (await self._end())[0] != self._at[0]
            if lost and not await self._redis.xread(where):  # else it came while we asked
                raise LookupError("The stream was emptied.")
            self._release(self._at[0])

    def _take(self, place: str, n: str, topics: str, changes: str) -> None:
        concerned = json.loads(topics)
        if concerned is None:
            raise LookupError("A writer could not reach it.")
        if int(n) != self._at[0] + 1:
            raise LookupError("Entries were trimmed before they were read.")
        self._at = (int(n), place)
        if not self._topics.isdisjoint(concerned):
            for change in decoded(changes):
                if change.topic in self._topics:
                    self._deliver(change)

    async def _ask(self) -> None:
        # For the number of the last entry. Fences that are begun meanwhile share the next answer.
        while await self._asked.wait():
            self._asked.clear()
            new = [each for each, until in self._fences.items() if until is None]
            known = self._at[0]
            try:
                number = int(await self._redis.get(COUNT) or 0)
                # If the numbers have begun anew, a Gap is about to come.
                until = number if number >= known else math.inf
                self._fences.update({each: until for each in new if each in self._fences})
                self._release(self._at[0])
            except Exception:  # until it answers, or a Gap has come
                await asyncio.sleep(0.1)
                self._asked.set()

    def _release(self, number: float) -> None:
        for each, until in list(self._fences.items()):
            if number == math.inf or (until is not None and until <= number):
                del self._fences[each]
                if not each.done():
                    each.set_result(None)
