"""For tests of your own: a client in memory, a clock that is moved by hand, and contracts.

A test needs no socket, no sleep and no plugin for asynchronous tests::

    def test_add(ddp):
        client = ddp.connect(server)
        assert ddp.run(client.call("add", 1, 2)) == 3

`ddp` and `ddp_clock` are fixtures of pytest that come with ddpcore. Without them, and in tests
that are asynchronous themselves, there are `connect` and `FakeClock`. The module
`ddpcore.testing.bus_contract` is a test-suite for buses.
"""

from ddpcore.testing.client import Client, Subscription, connect, running
from ddpcore.testing.clock import FakeClock, turns
from ddpcore.testing.runner import Runner
from ddpcore.testing.store import Store
from ddpcore.testing.transport import RecordingTransport

__all__ = [
    "Client",
    "FakeClock",
    "RecordingTransport",
    "Runner",
    "Store",
    "Subscription",
    "connect",
    "running",
    "turns",
]
