"""A proxy in front of a Redis server: makes it slow, silent or gone for a test, and counts round trips."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

import pytest
from redis import Redis

from tests.fakes.redis_server import HOST, RedisServer, client_of, url_of

QUIET_MS = 2
"""A request is passed on when it ends with a whole command and nothing follows for so long: a long pipeline
comes in several packets."""
PACKET_BYTES = 65536
CONNECT_WITHIN_S = 1.0


class RedisProxy:
    """Passes requests on to `server` and its replies back, on a port of its own that it keeps.

    A request is what a client sends in one go: a command, a pipeline, a transaction. Each is one round trip,
    and its reply is delayed once, by `delay_s`; the proxy itself costs 2 ms more. It works in threads of this
    process, two for each connection. Give orders from one thread.
    """

    def __init__(self, server: RedisServer) -> None:
        self.delay_s = 0.0
        self.port = 0
        self._server = server
        self._is_silent = False
        self._round_trips = 0
        self._counting = threading.Lock()
        self._conversations: list[tuple[_Conversation, threading.Thread]] = []
        self._port_holder: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    @property
    def url(self) -> str:
        return url_of(self.port, self._server.password)

    def client(self, **options: Any) -> Redis:
        """Return a client with the cache's own settings. `options` go to its pool."""
        return client_of(self.url, **options)

    @property
    def round_trips(self) -> int:
        """The requests passed on since the start, or since `reset_round_trips`."""
        return self._round_trips

    def reset_round_trips(self) -> None:
        with self._counting:
            self._round_trips = 0

    def start(self) -> None:
        """Take a free port and accept connections there."""
        self._port_holder = socket.socket()  # bound, never listening: nobody takes the port while it refuses
        self._port_holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._port_holder.bind((HOST, 0))
        self.port = int(self._port_holder.getsockname()[1])
        self.accept()

    def stop(self) -> None:
        """Drop everything and end all threads."""
        self.refuse()
        if self._port_holder is not None:
            self._port_holder.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def accept(self) -> None:
        """Accept connections and deliver replies: so at first, and again after `refuse` or `swallow`."""
        self._is_silent = False
        if self._listener is None:
            self._listener = socket.create_server((HOST, self.port))
            self._acceptor = threading.Thread(target=self._accept_all, args=(self._listener,), daemon=True)
            self._acceptor.start()

    def refuse(self) -> None:
        """Drop the open connections and refuse new ones, as a machine does where no Redis listens."""
        listener, self._listener = self._listener, None
        if listener is not None and self._acceptor is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._acceptor.join()
            listener.close()
        self.drop()

    def swallow(self) -> None:
        """Pass requests on and deliver no reply: what they change is changed, and no client learns of it."""
        self._is_silent = True

    def drop(self) -> None:
        """Drop the open connections, and go on accepting. No request of theirs gets through any more."""
        while self._conversations:
            conversation, thread = self._conversations.pop()
            conversation.end()
            thread.join()

    def fail_over(self, to: RedisServer) -> None:
        """Drop the open connections, and stand in front of another server. Its password must be the same."""
        self.refuse()  # whoever connects meanwhile must not end up at the old one
        self._server = to
        self.accept()

    def _accept_all(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # told to refuse
            try:
                server = socket.create_connection((HOST, self._server.port), timeout=CONNECT_WITHIN_S)
            except OSError:
                client.close()
                continue
            conversation = _Conversation(client, server)
            thread = threading.Thread(target=self._serve, args=(conversation,), daemon=True)
            thread.start()
            self._conversations.append((conversation, thread))

    def _serve(self, conversation: "_Conversation") -> None:
        requests = threading.Thread(target=self._pass_requests, args=(conversation,), daemon=True)
        requests.start()
        self._pass_replies(conversation)
        requests.join()
        conversation.close()

    def _pass_requests(self, conversation: "_Conversation") -> None:
        with suppress(OSError):
            for request in _requests(conversation.client):
                conversation.is_unanswered = True
                with self._counting:
                    self._round_trips += 1
                conversation.server.sendall(request)
        conversation.end()

    def _pass_replies(self, conversation: "_Conversation") -> None:
        with suppress(OSError):
            while data := conversation.server.recv(PACKET_BYTES):
                if conversation.is_unanswered:
                    conversation.has_ended.wait(self.delay_s)
                    conversation.is_unanswered = False
                if not self._is_silent:
                    conversation.client.sendall(data)
        conversation.end()


class _Conversation:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.is_unanswered = False
        self.has_ended = threading.Event()
        for end in (client, server):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def end(self) -> None:
        """Wake both threads, for their last time."""
        self.has_ended.set()
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.client.close()
        self.server.close()


def _requests(client: socket.socket) -> Iterator[bytearray]:
    """Yield what the client sends, request by request, until it closes or is dropped."""
    more = select.poll()
    more.register(client, select.POLLIN)
    request, whole_bytes = bytearray(), 0
    while packet := client.recv(PACKET_BYTES):
        request += packet
        whole_bytes = _end_of_whole_commands(request, whole_bytes)
        if whole_bytes == len(request) and not more.poll(QUIET_MS):
            yield request
            request, whole_bytes = bytearray(), 0
    if request:
        yield request


def _end_of_whole_commands(request: bytearray, start: int) -> int:
    """Return where the last whole command ends, of those from `start` on.

    A command is "*", the number of its words, and for each "$", its length, and the word (the RESP protocol).
    """
    end = start
    while end < len(request):
        words_at = request.find(b"\r\n", end) + 2
        if words_at < 2:
            break
        at = words_at
        for _ in range(int(request[end + 1 : words_at])):
            word_at = request.find(b"\r\n", at) + 2
            if word_at < 2:
                return end
            at = word_at + int(request[at + 1 : word_at]) + 2
        if at > len(request):
            break
        end = at
    return end


@pytest.fixture
def redis_proxy(redis_server: RedisServer) -> Iterator[RedisProxy]:
    """A proxy in front of the shared server, of this test alone."""
    with RedisProxy(redis_server) as proxy:
        yield proxy
