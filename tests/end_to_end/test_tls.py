"""TLS to a client's database: verified, or not connected at all."""

import os
import shutil
import subprocess

import pytest

from harness import create_shop, wait_for
from harness.postgres import READER


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_authority(folder, name):
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.crt")
    return folder / f"{name}.crt"


def make_certificate(folder, authority, address, days="2"):
    (folder / "extensions").write_text(f"subjectAltName = {address}\n")
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", "server.key",
            "-out", "server.csr")
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", days, "-extfile", "extensions", "-out", "server.crt")


@pytest.fixture
def tls(own_server, tmp_path):
    """Starts a server with TLS whose certificate is for `address`; plain connections are welcome too."""
    if not shutil.which("openssl"):
        pytest.skip("openssl's command is not there")

    def start(address="IP:127.0.0.1", days="2"):
        trusted = make_authority(tmp_path, "trusted")
        make_certificate(tmp_path, "trusted", address, days)
        server = own_server()
        for name in ("server.key", "server.crt"):
            target = server.data / name
            shutil.copy(tmp_path / name, target)
            target.chmod(0o600)
            if os.getuid() == 0:
                shutil.chown(target, "postgres", "postgres")
        server.restart({"ssl": "on", "log_connections": "on"})
        return create_shop(server, "shop"), trusted

    return start


def connected_plainly(database):
    """Whether our role ever got in without TLS, by the server's log."""
    return any(f"user={READER}" in line and "SSL enabled" not in line
               for line in database.server.log_file.read_text().splitlines() if "connection authorized" in line)


def test_a_verified_server_is_read_over_tls(tls, pipelines):
    database, authority = tls()
    pipeline = pipelines({"acme": {"database": database, "source": database.url(
        parameters=f"?sslmode=verify-full&sslrootcert={authority}")}}).start_and_wait()
    database.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline.verify_clean()
    sessions = database.rows("SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) "
                             "WHERE a.usename = %s", (READER,))
    assert sessions and all(secured for (secured,) in sessions)
    assert not connected_plainly(database)


@pytest.mark.parametrize("mistake", ["other authority", "other host", "expired"])
def test_an_unverified_server_is_not_connected_to(tls, pipelines, tmp_path, mistake):
    database, authority = tls("DNS:elsewhere.example" if mistake == "other host" else "IP:127.0.0.1",
                              "-1" if mistake == "expired" else "2")
    if mistake == "other authority":
        authority = make_authority(tmp_path, "other")
    pipeline = pipelines({"acme": {"database": database, "source": database.url(
        parameters=f"?sslmode=verify-full&sslrootcert={authority}")}}).start()
    entry = pipeline.wait_status(lambda s: s["clients"][0]["reason"] and s["clients"][0], 30, "the reason to be told")
    assert entry["state"] in ("stopped", "backing_off")
    assert "certificate" in entry["reason"]
    attempts = wait_for(lambda: database.server.log_file.read_text().count("connection received"), 10, "an attempt")
    assert attempts > 0
    pipeline.terminate()
    assert not connected_plainly(database)
    assert not database.slots()


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(shops, pipelines):
    (database,) = shops("plain")
    source = database.url(parameters="?sslmode=require")
    pipeline = pipelines({"acme": {"database": database, "source": source}}).start()
    entry = pipeline.wait_status(lambda s: s["clients"][0]["reason"] and s["clients"][0], 30, "the reason to be told")
    assert "SSL" in entry["reason"] and entry["state"] in ("stopped", "backing_off")
    assert not database.slots()
