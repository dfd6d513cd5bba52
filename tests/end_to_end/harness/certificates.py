"""An authority of a test's own and a server's certificate for loopback, made by openssl's command."""

import pathlib
import subprocess


class Certificates:
    """In `folder`: authority (CA certificate), server_certificate, server_key, and server_pem with both for Java."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = self.folder / "authority.crt"
        self.server_certificate = self.folder / "server.crt"
        self.server_key = self.folder / "server.key"
        self.server_pem = self.folder / "server.pem"
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority",
                      "-keyout", "authority.key", "-out", "authority.crt")
        (self.folder / "extensions").write_text("subjectAltName = DNS:localhost, IP:127.0.0.1\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", "server.key",
                      "-out", "server.csr")
        self._openssl("x509", "-req", "-in", "server.csr", "-CA", "authority.crt", "-CAkey", "authority.key",
                      "-CAcreateserial", "-days", "2", "-extfile", "extensions", "-out", "server.crt")
        self.server_pem.write_text(self.server_key.read_text() + self.server_certificate.read_text())

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)
