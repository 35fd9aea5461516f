"""The reader of frames beside a naive one, beside that of `websockets`, and fed with noise."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.speedups import websocket_mask
from websockets.frames import Opcode
from websockets.protocol import SERVER, Protocol, State

from ddpcore_tornado import frames
from ddpcore_tornado.frames import Close, Failure, Ping, Reader, close_frame, pong_frame
from ddpcore_tornado.framing import SockJSReader

LIMIT = 300


def frame(first, payload, *, masked=True, long=0):
    """A frame of a client; `long` makes the length of its length more than needed."""
    size = len(payload)
    # (`websockets` lets control frames do it, too; we do not.)
    width = max(0 if first & 8 else long, 0 if size < 126 else 2 if size < 65_536 else 8)
    short = {0: size, 2: 126, 8: 127}[width]
    header = bytes((first, (0x80 if masked else 0) | short)) + size.to_bytes(8, "big")[8 - width :]
    if not masked:
        return header + payload
    mask = b"\x12\x34\x56\x78"
    return header + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def text(words):
    return frame(0x81, words.encode())


def read(data, limit=LIMIT, cuts=(), kind=Reader):
    """What a reader makes of `data` in pieces, to the end or the first failure."""
    reader, items = kind(limit), []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        items += reader.feed(data[start:stop])
    for index, item in enumerate(items):
        if isinstance(item, Failure):
            assert all(type(after) is Close for after in items[index + 1 :])
            return items[: index + 1]
    return items


# --- beside a naive reader ----------------------------------------------------------------------


def naive(data, limit=LIMIT):
    """RFC 6455 word by word, on all of it at once; failures by their code."""
    items, message, binary = [], None, False
    while len(data) >= 2:
        final, reserved, opcode = data[0] >= 128, data[0] & 0x70, data[0] & 15
        masked, size = data[1] >= 128, data[1] % 128
        control = opcode >= 8
        if reserved or opcode not in (0, 1, 2, 8, 9, 10) or not masked:
            return [*items, 1002]
        if control and (not final or size > 125):
            return [*items, 1002]
        if not control and (opcode == 0) == (message is None):
            return [*items, 1002]
        width = {126: 2, 127: 8}.get(size, 0)
        if len(data) < 2 + width:
            break
        if width:
            size = int.from_bytes(data[2 : 2 + width], "big")
        if not control and len(message or b"") + size > limit:
            return [*items, 1009]
        start = 2 + width + 4
        if len(data) < start + size:
            break
        mask = data[start - 4 : start]
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[start : start + size]))
        data = data[start + size :]
        try:
            if opcode == 8:
                code = int.from_bytes(payload[:2], "big") if payload else None
                fine = code is None or (
                    len(payload) > 1
                    and (3000 <= code < 5000 or 1000 <= code < 1015)
                    and code not in (1004, 1005, 1006)
                )
                return [*items, Close(code, payload[2:].decode()) if fine else 1002]
            if opcode == 9:
                items.append(Ping(payload))
            elif not control:
                if opcode:
                    message, binary = b"", opcode == 2
                message += payload
                if final:
                    items.append(message if binary else message.decode())
                    message = None
        except UnicodeDecodeError:
            return [*items, 1007]
    return items


def by_code(items):
    return [item.code if isinstance(item, Failure) else item for item in items]


PAYLOADS = st.one_of(
    st.text(max_size=20).map(str.encode),
    st.binary(max_size=10),
    st.integers(100, LIMIT + 20).map(lambda size: b"x" * size),
    st.sampled_from([b"", b"\x03\xe8", b"\x03\xedx", b"\x0f\xa0bye", b"\x03\xe8\xff", b"\xc3"]),
)
FIRSTS = st.one_of(
    st.sampled_from([0x81, 0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88]),
    st.integers(0, 255),
)
FRAMES = st.builds(
    frame,
    FIRSTS,
    PAYLOADS,
    masked=st.sampled_from([True] * 9 + [False]),
    long=st.sampled_from([0, 0, 0, 2, 8]),
)
# Mostly what a client may send, so that long conversations are tried, too.
CONVERSATIONS = st.lists(
    st.one_of(
        st.text(max_size=150).map(text),
        st.builds(
            lambda parts, ping: (
                frame(0x01, parts[0]) + ping + frame(0x00, parts[1]) + frame(0x80, parts[2])
            ),
            st.lists(PAYLOADS, min_size=3, max_size=3),
            st.sampled_from([b"", frame(0x89, b"ping"), frame(0x8A, b"")]),
        ),
        FRAMES,
    ),
    max_size=6,
).map(b"".join)
CUTS = st.lists(st.integers(0, 5_000), max_size=8)


@given(CONVERSATIONS, st.binary(max_size=20), CUTS)
def test_as_a_naive_reader_whatever_the_pieces(data, noise, cuts):
    assert by_code(read(data + noise, cuts=cuts)) == naive(data + noise)


@given(CONVERSATIONS)
def test_byte_by_byte(data):
    assert read(data, cuts=range(len(data))) == read(data)


@given(st.binary(max_size=200), CUTS)
def test_noise_is_refused_with_a_code(noise, cuts):
    for kind in (Reader, SockJSReader):
        items = read(noise, cuts=cuts, kind=kind)
        for item in items[:-1]:
            assert isinstance(item, str | bytes | Ping)
        for item in items[-1:]:
            assert isinstance(item, str | bytes | Ping | Close) or item.code in (
                1002,
                1007,
                1009,
                3000,
            )


# --- beside the reader of websockets -----------------------------------------------------------


def other(data):
    """What the reader of `websockets` makes of it: messages, pings, and how it ends."""
    # Its limit is another one: it counts a ping amid fragments to their message.
    protocol = Protocol(SERVER, state=State.OPEN, max_size=None)
    protocol.receive_data(data)
    items, message, kind = [], b"", None
    for event in protocol.events_received():
        if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            kind = event.opcode if event.opcode is not Opcode.CONT else kind
            message += event.data
            if event.fin:
                items.append((kind, bytes(message)))
                message = b""
        elif event.opcode is Opcode.PING:
            items.append(Ping(bytes(event.data)))
        elif event.opcode is Opcode.CLOSE:
            items.append(Close)
    sent = protocol.close_sent
    if items[-1:] != [Close] and sent is not None:
        # A close amid a message in fragments, which RFC 6455 does not forbid (section 5.4).
        amid = sent.reason == "incomplete fragmented message"
        items.append(Close if amid else sent.code)
    return items


@given(CONVERSATIONS)
def test_as_the_reader_of_websockets(data):
    ours = []
    for item in read(data):
        if isinstance(item, str):
            item = (Opcode.TEXT, item.encode())
        elif isinstance(item, bytes):
            item = (Opcode.BINARY, item)
        elif isinstance(item, Close):
            item = Close
        elif isinstance(item, Failure):
            item = item.code
        ours.append(item)
    theirs = other(data)
    if ours[-1:] == [1002] and theirs[-1:] == [1007]:  # both are wrong: code and reason
        theirs[-1] = 1002
    if ours[-1:] in ([1007], [1009]):  # text, too, it leaves to the layer above
        assert theirs[: len(ours) - 1] == ours[:-1]
    else:
        assert ours == theirs


# --- what is remembered -------------------------------------------------------------------------


def test_a_long_message_byte_by_byte():
    # Were each byte to cost what the message costs, this would take hours.
    words = "x" * 2**20
    reader, items = Reader(2**20), []
    for byte in text(words):
        items += reader.feed(bytes((byte,)))
    assert items == [words]


def test_too_much_is_refused_by_its_header():
    header = frame(0x81, b"x" * 1_001)[:4]
    assert by_code(Reader(1_000).feed(header)) == [1009]
    header = bytes((0x82, 0xFF)) + (2**63 + 5).to_bytes(8, "big")
    assert by_code(Reader(1_000).feed(header)) == [1009]
    reader = Reader(1_000)
    assert reader.feed(frame(0x01, b"x" * 600)) == []
    assert reader.feed(frame(0x00, b"x" * 400)) == []
    assert by_code(reader.feed(frame(0x80, b"x")[:2])) == [1009]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_limits_include_their_last_byte(size):
    assert read(text("x" * size), limit=size) == ["x" * size]
    assert by_code(read(text("x" * (size + 1)), limit=size)) == [1009]


# --- after the end -------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(), range(4_000)], ids=["whole", "bytes"])
@pytest.mark.parametrize(
    "broken",
    [
        frame(0x81, b"\xff"),
        frame(0x81, b"x" * 2_000),
        frame(0xC1, b"words"),
        frame(0x83, b""),
        frame(0x81, b"words", masked=False),
        frame(0x89, b"x" * 126),
        frame(0x80, b"words"),
    ],
    ids=["utf-8", "size", "reserved", "opcode", "mask", "ping", "continuation"],
)
def test_after_a_failure_only_a_close_counts(broken, cuts):
    data = broken + text("no") + frame(0x88, b"\x03\xe8") + text("no")
    reader, items = Reader(1_000), []
    edges = [0, *(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    for start, stop in itertools.pairwise(edges):
        items += reader.feed(data[start:stop])
    assert [type(item) for item in items] == [Failure, Close]


@given(CONVERSATIONS, CUTS, st.integers(0, 5_000))
def test_a_reader_told_to_discard_finds_the_close(data, cuts, when):
    """It may be told in the middle of a frame."""
    sane = [text("a" * 200), frame(0x01, b"b"), frame(0x89, b"c"), text("d" * 70)]
    data = b"".join(sane) + frame(0x88, b"")
    when %= len(data) - 6
    reader = Reader(LIMIT)
    reader.feed(data[:when])
    reader.discard()
    found = []
    edges = [when, *sorted(when + cut % (len(data) - when) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        found += reader.feed(data[start:stop])
    assert found == [Close(None)]


# --- writing ---------------------------------------------------------------------------------------


def test_control_frames():
    assert pong_frame(b"x" * 125) == b"\x8a\x7d" + b"x" * 125
    assert close_frame(None) == b"\x88\x00"
    assert close_frame(1000, "Bye") == b"\x88\x05\x03\xe8Bye"
    assert close_frame(3000, "é" * 100) == b"\x88\x7c\x0b\xb8" + ("é" * 61).encode()


def test_unmasking_without_a_compiler(monkeypatch):
    import builtins
    import importlib.util

    load = builtins.__import__

    def bare(name, *args, **kwargs):
        if name == "tornado.speedups":
            raise ImportError(name)
        return load(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", bare)
    spec = importlib.util.find_spec("ddpcore_tornado.frames")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, spec.name, module)
    spec.loader.exec_module(module)
    assert module.unmask is not websocket_mask
    chance = random.Random(1)
    for size in range(70):
        data, mask = chance.randbytes(size), chance.randbytes(4)
        assert module.unmask(mask, data) == frames.unmask(mask, data) == websocket_mask(mask, data)
