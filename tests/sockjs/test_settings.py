"""The settings of SockJS as the command line has them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from ddpcore import DDPError
from ddpcore_tornado.sockjs import Options, read_options


def test_without_any_all_is_as_ever():
    assert read_options([]) == Options()


def test_each_setting_is_read_as_what_it_is():
    given = [
        "heartbeat_delay=20",
        "disconnect_delay = 7.5",
        "response_limit=1000",
        "websocket=no",
        "jsessionid=Yes",
        "client_url=/static/sockjs.js?a=b",
        "max_waiting=5",
    ]
    assert len(given) == len(fields(Options))
    assert read_options(given) == Options(20.0, 7.5, 1000, False, True, "/static/sockjs.js?a=b", 5)


def test_the_last_of_several_counts():
    assert read_options(["websocket=no", "websocket=yes"]) == Options()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (
            "heartbeat",
            r"KEY=VALUE, not 'heartbeat'\. The keys.*: heartbeat_delay=45,.*websocket=yes",
        ),
        ("heartbeat=5", r"The keys"),
        ("=5", r"The keys"),
        ("__class__=5", r"The keys"),
        ("websocket=perhaps", r"--sockjs websocket takes yes or no, not 'perhaps'"),
        ("heartbeat_delay=soon", r"takes a number of seconds, not 'soon'"),
        ("heartbeat_delay=nan", r"takes a number of seconds"),
        ("heartbeat_delay=inf", r"takes a number of seconds"),
        ("heartbeat_delay=0", r"must be positive"),
        ("response_limit=1.5", r"takes a whole number, not '1.5'"),
        ("client_url=", r"takes a text"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(setting, said):
    with pytest.raises(DDPError, match=said):
        read_options([setting])
