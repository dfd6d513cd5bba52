"""pgbouncer before a test's server, in one of its modes.

    pooler = Pooler(server, "session").start()
    url = shop.url(port=pooler.port)
"""

import os
import shutil
import socket

from .postgres import READER, free_port
from .server_process import ServerProcess


class Pooler(ServerProcess):
    """`mode` is pgbouncer's pool_mode: session, transaction, statement. It knows READER and asks the server as READER."""

    title = "pgbouncer"
    start_limit = 20

    def __init__(self, server, mode, settings=None):
        super().__init__("pooler")
        self.server = server
        self.mode = mode
        self.port = free_port()
        self.settings = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "auth_type": "plain",
                         "auth_file": self.folder / "users.txt", "pool_mode": mode, **(settings or {})}
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")

    def process_command(self):
        users = self.folder / "users.txt"
        users.write_text(f'"{READER}" "{self.server.password}"\n')
        file = self.folder / "pgbouncer.ini"
        lines = [f"{name} = {value}" for name, value in self.settings.items()]
        file.write_text(f"[databases]\n* = host=127.0.0.1 port={self.server.port}\n[pgbouncer]\n" + "\n".join(lines) + "\n")
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        user = ["--user=postgres"] if os.getuid() == 0 else []
        return [program, *user, str(file)]

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
