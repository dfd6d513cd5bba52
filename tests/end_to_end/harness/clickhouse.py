"""A current ClickHouse as a server: the engine's child process, behind a bridge from loopback to its private socket.

No package that can be had here is a ClickHouse server of a version that we take. What the program embeds is that
engine, and answers ClickHouse's HTTP interface: for tests and the demo it stands for a server. It has no users and
passwords, which OldClickHouse has, and no cluster.
"""

import os
import pathlib
import socket
import ssl

from .old_clickhouse import ClickHouseError
from .pipeline import program
from .proxy import TcpProxy
from .server_process import ServerProcess

MEMORY_BYTES = 2 << 30


class Bridge(TcpProxy):
    """Loopback on one side, with TLS where there are `certificates`, a unix socket on the other."""

    def __init__(self, path, certificates=None):
        super().__init__(None)
        self.path = str(path)
        self._tls = None
        if certificates:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificates.server_certificate, certificates.server_key)

    def _accepted(self, end):
        if not self._tls:
            return end
        end.settimeout(5)
        return self._tls.wrap_socket(end, server_side=True)

    def _request(self, known, piece):
        return piece if piece.startswith((b"POST ", b"GET ")) else known  # the piece with the head

    def _connect(self):
        end = socket.socket(socket.AF_UNIX)
        try:
            end.connect(self.path)
        except OSError:
            end.close()
            raise
        return end


def error_answer(code, text, status=500):
    """An error as ClickHouse says it, for Bridge.answer_instead()."""
    body = f"Code: {code}. DB::Exception: {text}\n".encode()
    return (f"HTTP/1.1 {status} Error\r\nX-ClickHouse-Exception-Code: {code}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n").encode() + body


class ClickHouseServer(ServerProcess):
    """HTTP on loopback at `port`, through `bridge`, which delays, cuts, loses answers and answers itself.

    start() wants the thread that lives longest: the engine dies with the thread that started it.
    """

    title = "ClickHouse"

    def __init__(self):
        super().__init__("clickhouse")
        for name in ("run", "config", "data", "empty"):
            (self.folder / name).mkdir(mode=0o700)
        self.socket = self.folder / "run" / "engine.sock"
        self.bridge = Bridge(self.socket).start()

    @property
    def port(self):
        return self.bridge.port

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def process_command(self):
        library = pathlib.Path(program()).parent / "lib" / "libchdb.so"
        if not library.exists():
            library = pathlib.Path(program()).resolve().parent.parent / "lib" / "libchdb.so"
        return [program(), "engine", f"--directory={self.folder}", f"--socket={self.socket}",
                f"--library={library.resolve()}", f"--memory-bytes={MEMORY_BYTES}", "--threads=2", "--walls=none",
                f"--parent={os.getpid()}"]

    def answers(self):
        try:
            return self.query("SELECT 1") == "1\n"
        except OSError:
            return False

    def query(self, sql):
        """The answer's text, asked beside the bridge: faults there do not meet it."""
        body = sql.encode()
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(60)
            end.connect(str(self.socket))
            end.sendall(b"POST / HTTP/1.1\r\nHost: engine\r\nConnection: close\r\n"
                        + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while piece := end.recv(1 << 16):
                answer += piece
        head, _, text = answer.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            text = _unchunked(text)
        status = int(head.split()[1])
        if status != 200:
            raise ClickHouseError(status, text.decode(errors="replace"))
        return text.decode()

    def remove(self):
        self.bridge.stop()
        super().remove()


def _unchunked(text):
    out = b""
    while text:
        size, _, text = text.partition(b"\r\n")
        if int(size, 16) == 0:
            break
        out += text[:int(size, 16)]
        text = text[int(size, 16) + 2:]
    return out
