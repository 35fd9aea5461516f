"""What is in Redis: one stream for all topics, since transactions and fences concern all of them.

An entry is a transaction. Their numbers have no breaks: by the next a reader sees what is lost.
"""

import atexit
import json
import logging
import threading
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from ddpcore import Change, DDPError, Op, Publisher

log = logging.getLogger(__name__)

ENTRIES, COUNT = "{ddpcore}:changes", "{ddpcore}:count"  # braces: in one slot of a cluster
ADD = """
local n = redis.call('INCR', KEYS[2])
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*',
           'n', n, 'topics', ARGV[2], 'changes', ARGV[3])
"""


def encoded(changes: Iterable[Change]) -> tuple[str, str]:
    rows = [(c.topic, c.op.value, c.key, c.before, c.after, c.xid) for c in changes]
    return json.dumps(sorted({row[0] for row in rows})), json.dumps(rows)


def decoded(text: str) -> list[Change]:
    return [Change(topic, Op(op), *rest) for topic, op, *rest in json.loads(text)]


class RedisPublisher(Publisher):
    """Sends in the writer's thread; should that fail, a thread of its own sends a Gap."""

    # While a Gap is owed nothing else is sent: the Gap comes later, and is for that, too.

    def __init__(self, url: str, most: int) -> None:
        self._most = most  # entries that Redis keeps; whoever is further behind gets a Gap
        self._place = urlsplit(url).netloc.rpartition("@")[2]
        # A writer waits so many seconds at most, twice: for a connection is opened anew once.
        self._redis = Redis.from_url(url, retry=Retry(NoBackoff(), 1), socket_timeout=2.0)
        self._lock = threading.Lock()
        self._owed = 0  # transactions that the next Gap is for
        self._payer = threading.Thread()
        self._closing = threading.Event()
        atexit.register(self.close)

    def publish(self, changes: Sequence[Change]) -> None:
        try:
            if self._owed:
                raise RedisError("it could not be reached before")
            self._send(encoded(changes))
        except RedisError as problem:
            with self._lock:
                self._owed += 1
                if not self._payer.is_alive():  # nor does it survive a fork
                    self._payer = threading.Thread(target=self._pay, daemon=True)
                    self._payer.start()
            raise DDPError(f"Redis at {self._place} hears of a Gap later: {problem}") from problem

    def close(self) -> None:
        self._closing.set()
        if self._payer.is_alive():
            self._payer.join()
        self._redis.close()

    def _send(self, texts: tuple[str, str]) -> None:
        self._redis.eval(ADD, 2, ENTRIES, COUNT, self._most, *texts)

    def _pay(self) -> None:
        while True:
            owed = self._owed
            try:
                self._send(("null", "[]"))
            except RedisError as problem:
                if self._closing.wait(0.2):
                    log.critical("%s never heard of %d commits: %s", self._place, owed, problem)
                    return
                continue
            with self._lock:
                self._owed -= owed
                if not self._owed:  # else more were committed after the Gap
                    self._payer = threading.Thread()
                    return
