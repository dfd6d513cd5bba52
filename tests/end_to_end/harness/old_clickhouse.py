"""ClickHouse 18.16, the only server among Debian 12's packages: too old for us, and a real server all the same."""

import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from . import java
from .postgres import free_port
from .server_process import ServerProcess

CONFIGURATION = """<?xml version="1.0"?>
<yandex>
  <logger><level>information</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{http}</http_port>
  <tcp_port>{native}</tcp_port>
  <interserver_http_port>{interserver}</interserver_http_port>
  <interserver_http_host>127.0.0.1</interserver_http_host>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/tmp/</tmp_path>
  <users_config>{folder}/users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <timezone>UTC</timezone>
  <mark_cache_size>67108864</mark_cache_size>
  <keep_alive_timeout>30</keep_alive_timeout>
  <max_table_size_to_drop>0</max_table_size_to_drop>
</yandex>
"""

USERS = """<?xml version="1.0"?>
<yandex>
  <profiles>
    <default><max_memory_usage>1000000000</max_memory_usage><max_threads>2</max_threads></default>
    <readonly><readonly>1</readonly></readonly>
  </profiles>
  <users>
    <default><password>{password}</password><profile>default</profile><quota>default</quota>
      <networks><ip>127.0.0.1</ip></networks></default>
    <reader><password>{password}</password><profile>readonly</profile><quota>default</quota>
      <networks><ip>127.0.0.1</ip></networks></reader>
  </users>
  <quotas><default><interval><duration>3600</duration><queries>0</queries><errors>0</errors><result_rows>0</result_rows>
    <read_rows>0</read_rows><execution_time>0</execution_time></interval></default></quotas>
</yandex>
"""


def program():
    """The server; Debian's package is installed when a test first wants it."""
    for name in ("clickhouse-server", "/usr/sbin/clickhouse-server"):
        if found := shutil.which(name):
            return found
    subprocess.run([java.ROOT / "tools" / "setup.sh", java.ROOT / "deps" / "apt-clickhouse.txt"], check=True)
    return "/usr/sbin/clickhouse-server"


class ClickHouseError(Exception):
    """The server's error text; `code` is HTTP's."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class OldClickHouse(ServerProcess):
    """One server on loopback: HTTP on `port`, the native protocol on `native_port`. Starts in 0.2 s, 70 MB.

    Users `default` and `reader` (readonly) have `password`.

    What 18.16 does not have, seen on it: DateTime64, Date32, Bool, Int128 and wider, Decimal beyond 38 digits, Map,
    JSON, IPv6; LowCardinality without a setting; column codecs and TTL; is_deleted of ReplacingMergeTree and CLEANUP;
    FINAL as a setting; CTEs with WITH name AS, window functions, EXPLAIN; ADD COLUMN IF NOT EXISTS, RENAME COLUMN,
    EXCHANGE TABLES, CREATE OR REPLACE, DROP … SYNC, Atomic databases; CREATE USER; query parameters; SETTINGS in
    INSERT. A DateTime beyond 2106 is 0000-00-00 without an error. Errors are text with `Code: N` in the body: 401 for
    user and password, 404 for an unknown table, type or setting, 400 for syntax, 500 for the rest.
    """

    title = "ClickHouse"
    start_limit = 60

    def __init__(self):
        super().__init__("clickhouse")
        self.port = free_port()
        self.native_port = free_port()
        self.interserver_port = free_port()
        self.password = "canary-clickhouse-password"  # never to be seen in any output
        for name in ("data", "tmp"):
            (self.folder / name).mkdir()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        """Returns when the server answers."""
        (self.folder / "config.xml").write_text(CONFIGURATION.format(
            http=self.port, native=self.native_port, interserver=self.interserver_port, folder=self.folder))
        (self.folder / "users.xml").write_text(USERS.format(password=self.password))
        return super().start()

    def process_command(self):
        return [program(), f"--config-file={self.folder}/config.xml"]

    def answers(self):
        try:
            return self.query("SELECT 1") == "1\n"
        except OSError:
            return False

    def query(self, sql, data=None, user="default", password=None):
        """The answer's text. With `data` (bytes) it follows `sql`, as in INSERT … FORMAT RowBinary."""
        request = urllib.request.Request(
            self.url + "?" + urllib.parse.urlencode({"query": sql}) if data is not None else self.url,
            data=data if data is not None else sql.encode(),
            headers={"X-ClickHouse-User": user, "X-ClickHouse-Key": self.password if password is None else password})
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            raise ClickHouseError(error.code, error.read().decode(errors="replace")) from None
