"""A TCP proxy on loopback that delays, cuts, refuses and half-opens what passes through it."""

import selectors
import socket
import ssl
import threading
import time

CHUNK_BYTES = 64 << 10
POLL_INTERVAL = 0.02
LAST_WORDS_LIMIT = 5  # seconds


def say_last(end, answer):
    """Sends `answer` and ends the connection, once the other side has read it: what it still sends is dropped."""
    end.sendall(answer)
    end.shutdown(socket.SHUT_WR)
    end.settimeout(LAST_WORDS_LIMIT)
    while end.recv(CHUNK_BYTES):
        pass


class TcpProxy:
    """Forwards connections on `port` to `target_port` of loopback from start() to stop(). Thread-safe.

    delay      seconds that every piece waits before it goes on
    half_open  True: bytes are read and dropped on both ways, connections stay: a peer that vanished without a word
    refuse     True: new connections are closed at once

    lose_answers(b"INSERT") arms it for the next answer to a request that holds those bytes, and answer_instead() answers
    such a request itself: see there.
    """

    def __init__(self, target_port):
        self.target_port = target_port
        self.answered_instead = 0
        self._instead = None
        self.delay = 0.0
        self.half_open = False
        self.refuse = False
        self.bytes_forwarded = 0
        self.answers_lost = 0
        self._losing = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._pairs = []
        self._threads = []

    def start(self):
        self._listener.settimeout(POLL_INTERVAL)
        self._spawn(self._accept)
        return self

    def stop(self):
        self._stopping.set()
        self.cut()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut(self):
        """Resets every connection that there is; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other side was faster

    def lose_answers(self, marker=b"", forwarded=0, times=1):
        """The target gets the request and answers, but the client never hears of it: its connection is cut instead.

        marker      bytes that the request's newest piece must hold; other requests go on
        forwarded   so many of the answer's first bytes still reach the client
        times       so many answers, then all go through again; answers_lost counts them
        """
        with self._lock:
            self._losing = [marker, forwarded, times]

    def _is_lost(self, request):
        """How many bytes of an answer to `request` go on before the cut; None for all and no cut."""
        with self._lock:
            if not self._losing or self._losing[2] == 0 or self._losing[0] not in request:
                return None
            self._losing[2] -= 1
            self.answers_lost += 1
            return self._losing[1]

    def answer_instead(self, marker, answer, times=1):
        """Requests whose newest piece holds `marker` never reach the target: the client gets `answer` (bytes) and the end.

        times       so many requests, None for all until the next call; answered_instead counts them
        """
        with self._lock:
            self._instead = [marker, answer, times]

    def _own_answer(self, request):
        with self._lock:
            if not self._instead or self._instead[2] == 0 or self._instead[0] not in request:
                return None
            if self._instead[2] is not None:
                self._instead[2] -= 1
            self.answered_instead += 1
            return self._instead[1]

    def _accepted(self, end):
        """The client's end as it is spoken with."""
        return end

    def _request(self, known, piece):
        """What is kept of a client's request for marker, now that `piece` of it has come."""
        return piece

    def _connect(self):
        return socket.create_connection(("127.0.0.1", self.target_port), timeout=5)

    def connections(self):
        with self._lock:
            return len(self._pairs)

    def _spawn(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._stopping.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            if self.refuse:
                near.close()
                continue
            try:
                near = self._accepted(near)
                far = self._connect()
            except OSError:
                near.close()
                continue
            near.settimeout(None)
            far.settimeout(None)
            with self._lock:
                self._pairs.append((near, far))
            self._spawn(self._forward, near, far)

    def _forward(self, near, far):
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            requests = {near: b"", far: None}
            while not self._stopping.is_set() and self._forward_ready(selector, requests):
                pass
        with self._lock:
            self._pairs = [pair for pair in self._pairs if pair[0] is not near]
        near.close()
        far.close()

    def _forward_ready(self, selector, requests):
        """`requests` has the newest piece that came from the client, by the client's end."""
        for key, _ in selector.select(POLL_INTERVAL):
            try:
                data = key.fileobj.recv(CHUNK_BYTES)
                if not data:
                    return False
                while isinstance(key.fileobj, ssl.SSLSocket) and (decrypted := key.fileobj.pending()):
                    data += key.fileobj.recv(decrypted)  # what select() does not know of
                if self.half_open:
                    continue
                if self.delay:
                    time.sleep(self.delay)
                if key.fileobj in requests and requests[key.fileobj] is not None:
                    requests[key.fileobj] = self._request(requests[key.fileobj], data)
                    if answer := self._own_answer(data):
                        say_last(key.fileobj, answer)
                        return False
                elif (kept := self._is_lost(requests[key.data])) is not None:
                    key.data.sendall(data[:kept])
                    return False
                key.data.sendall(data)
                self.bytes_forwarded += len(data)
            except OSError:
                return False
        return True
