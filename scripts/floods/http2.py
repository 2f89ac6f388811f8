"""HTTP/2 (RFC 9113) as an attacker uses it: frames by hand, on many connections at once."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from collections import Counter, deque

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS = 4, 3
DEFAULT_WINDOW, FRAME = 65_535, 16_384
LARGEST_WINDOW = 2**31 - 1
# An address without a share in common with those who measure.
ATTACKER = ("127.0.0.2", 0)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def setting(name: int, value: int) -> bytes:
    return struct.pack(">HI", name, value)


def window_update(stream: int, bytes: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", bytes))


def text(value: str) -> bytes:
    """A string of HPACK, without its Huffman code (RFC 7541, section 5.2)."""
    encoded, length = value.encode(), len(value.encode())
    if length < 127:
        return bytes([length]) + encoded
    rest, head = length - 127, b"\x7f"
    while rest >= 128:
        head, rest = head + bytes([rest % 128 + 128]), rest // 128
    return head + bytes([rest]) + encoded


def header_block(fields: list[tuple[str, str]]) -> bytes:
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields)


class Connection:
    """One connection. It sends what the server's windows allow, and reads every frame, but acknowledges no DATA.

    `window` is the initial window of each stream of an answer; `total` that of the connection.
    """

    def __init__(self, address: tuple[str, int], window: int = DEFAULT_WINDOW, total: int = DEFAULT_WINDOW):
        self.authority = f"{address[0]}:{address[1]}"
        self.socket = socket.create_connection(address, timeout=30, source_address=ATTACKER)
        self.socket.setblocking(False)
        self.output = bytearray(PREFACE + frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, window)))
        if total > DEFAULT_WINDOW:
            self.output += window_update(0, total - DEFAULT_WINDOW)
        self.input = bytearray()
        self.next_stream = 1
        self.initial, self.window = DEFAULT_WINDOW, DEFAULT_WINDOW
        self.windows: dict[int, int] = {}
        self.bodies: deque[tuple[int, memoryview, bool]] = deque()
        self.answers_pings = True
        # What the server sent: frames by kind, streams with a head, resets by code, and the code of GOAWAY.
        self.received: Counter[int] = Counter()
        self.answered: set[int] = set()
        self.resets: Counter[int] = Counter()
        self.goaway: int | None = None
        self.open = True

    def request(
        self,
        method: str,
        path: str,
        fields: list[tuple[str, str]] | None = None,
        body: bytes | None = None,
        end: bool = True,
    ) -> int:
        """Queues a request. With `end=False` the stream stays open after its body."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        pseudo = [(":method", method), (":scheme", "http"), (":authority", self.authority), (":path", path)]
        flags = END_HEADERS | (END_STREAM if body is None and end else 0)
        self.output += frame(HEADERS, flags, stream, header_block(pseudo + (fields or [])))
        self.windows[stream] = self.initial
        if body is not None:
            self.bodies.append((stream, memoryview(body), end))
        return stream

    def fill(self) -> None:
        """Moves as much of the bodies to the output as the windows allow."""
        for _ in range(len(self.bodies)):
            stream, body, end = self.bodies.popleft()
            while body and len(self.output) < 1 << 20:
                size = min(len(body), FRAME, self.window, self.windows.get(stream, 0))
                if size <= 0:
                    break
                last = END_STREAM if end and size == len(body) else 0
                self.output += frame(DATA, last, stream, bytes(body[:size]))
                self.window -= size
                self.windows[stream] -= size
                body = body[size:]
            if body and stream in self.windows:
                self.bodies.append((stream, body, end))

    def flush(self) -> None:
        self.fill()
        with contextlib.suppress(BlockingIOError):
            while self.output:
                del self.output[: self.socket.send(self.output)]
                self.fill()

    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                received = self.socket.recv(1 << 16)
                if not received:
                    self.open = False
                    break
                self.input += received
        while len(self.input) >= 9:
            length = int.from_bytes(self.input[:3], "big")
            if len(self.input) < 9 + length:
                break
            kind, flags, stream = struct.unpack(">BBI", self.input[3:9])
            payload = bytes(self.input[9 : 9 + length])
            del self.input[: 9 + length]
            self.handle(kind, flags, stream, payload)

    def handle(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.received[kind] += 1
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == INITIAL_WINDOW_SIZE:
                    self.windows = {stream: left + value - self.initial for stream, left in self.windows.items()}
                    self.initial = value
            self.output += frame(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK and self.answers_pings:
            self.output += frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self.window += more
            elif stream in self.windows:
                self.windows[stream] += more
        elif kind == HEADERS:
            self.answered.add(stream)
        elif kind == RST_STREAM:
            self.resets[int.from_bytes(payload, "big")] += 1
            self.windows.pop(stream, None)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")

    def close(self) -> None:
        self.socket.close()


def drive(connections: list[Connection], seconds: float, until_sent: bool = False) -> None:
    """Sends and receives on all connections for this time; with `until_sent` less, once everything is sent."""
    selector = selectors.DefaultSelector()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        with contextlib.suppress(OSError):
            connection.flush()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        open_ones = [connection for connection in connections if connection.open]
        if not open_ones or (until_sent and not any(one.output or one.bodies for one in open_ones)):
            break
        for one in open_ones:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if one.output else 0)
            if selector.get_key(one.socket).events != events:
                selector.modify(one.socket, events, one)
        for key, _ in selector.select(min(left, 0.5)):
            connection = key.data
            try:
                connection.read()
                connection.flush()
            except OSError:
                connection.open = False
            if not connection.open:
                selector.unregister(connection.socket)
    selector.close()


def outcome(connections: list[Connection]) -> str:
    """What the server did with the streams, for the table."""
    answered = sum(len(connection.answered) for connection in connections)
    reset = sum(sum(connection.resets.values()) for connection in connections)
    closed = sum(not connection.open for connection in connections)
    return f"{answered} answered, {reset} reset, {closed} connections closed"
