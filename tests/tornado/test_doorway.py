"""A listening socket that lets a few in at a time."""

from __future__ import annotations

import socket

import pytest

from ddpcore_tornado.doorway import A_TURN, doorways
from ddpcore_tornado.listening import Binding, bind


@pytest.fixture
def doorway():
    [made] = doorways(bind([Binding("127.0.0.1", 0)]))
    with made:
        yield made


def let_in(doorway):
    accepted = []
    try:
        while True:
            connection, address = doorway.accept()
            connection.close()
            accepted.append(address)
    except BlockingIOError:
        return accepted


def test_a_few_enter_at_a_time_in_their_order_and_all_in_the_end(doorway):
    clients = [socket.create_connection(doorway.getsockname()) for _ in range(2 * A_TURN + 1)]
    came = [let_in(doorway) for _ in range(4)]
    assert [len(each) for each in came] == [A_TURN, A_TURN, 1, 0]
    assert [address for each in came for address in each] == [
        each.getsockname() for each in clients
    ]
    for each in clients:
        each.close()


def test_it_is_the_same_socket(doorway):
    [again] = doorways([doorway])
    assert doorway.fileno() == -1
    assert again.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    again.close()
