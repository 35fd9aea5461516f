"""Every transport keeps the contract."""

from __future__ import annotations

import pytest
from certificate import tls_contexts
from transports import (
    HttpContract,
    MemoryContract,
    SockJSSocketContract,
    TornadoContract,
)

from ddpcore.testing import RecordingTransport


class TestMemory(MemoryContract):
    pass


class TestRecording(MemoryContract):
    kind = RecordingTransport


class TestRawWebSocket(TornadoContract):
    pass


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    return tls_contexts(tmp_path_factory.mktemp("tls"))


class TestTLS(TornadoContract):
    secure = True

    @pytest.fixture(autouse=True)
    def _certificate(self, contexts):
        self.server_tls, self.tls = contexts


class TestSockJSWebSocket(SockJSSocketContract):
    pass


class TestPolling(HttpContract):
    pass


class TestStreaming(HttpContract):
    transport = "xhr_streaming"
