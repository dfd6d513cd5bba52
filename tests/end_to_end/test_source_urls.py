"""How a source may be named: by socket, by IPv6, by several hosts, and with users and passwords of any characters."""

from urllib.parse import quote

import psycopg2
import pytest
from psycopg2.extras import LogicalReplicationConnection

from harness import ExitCode, create_shop
from harness.postgres import READER, free_port


def reads(pipelines, shop, url):
    """A pipeline over `url` has the rows of `shop`, and verify agrees."""
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline = pipelines({"acme": {"database": shop, "source": url}})
    pipeline.command("check", "--connect").expect(ExitCode.OK)
    pipeline.start_and_wait()
    shop.execute("INSERT INTO users (id, email) VALUES (2, 'y')")
    pipeline.verify_clean()
    assert pipeline.count("acme", "users") == 2
    return pipeline


def test_by_socket(shop, pipelines):
    server = shop.server
    reads(pipelines, shop, f"postgresql://{READER}@/{shop.name}?host={quote(str(server.folder), safe='')}&port={server.port}")


def test_by_ipv6(own_server, pipelines):
    server = own_server(hba=["local all all trust", "host all all ::1/128 scram-sha-256"])
    server.database("postgres").execute("ALTER SYSTEM SET listen_addresses = '::1'")
    try:
        server.restart()
    except RuntimeError:
        pytest.skip("there is no IPv6 here")
    shop = create_shop(server, "shop")
    reads(pipelines, shop, f"postgresql://{READER}@[::1]:{server.port}/shop")


def test_by_several_hosts_of_which_one_answers(shop, pipelines):
    url = f"postgresql://{READER}@127.0.0.1:{free_port()},127.0.0.1:{shop.server.port}/{shop.name}?target_session_attrs=read-write"
    reads(pipelines, shop, url)


@pytest.mark.parametrize("user, password", [("we\"ird us'er", "p@ss w\\ord'\"%41 :/?#"), ("größe", "пароль 🎈"), ("a%b", "$1 ${env:HOME}")])
def test_users_and_passwords_of_any_characters(shop, server, pipelines, user, password):
    admin = server.database("postgres")
    quoted = '"' + user.replace('"', '""').replace("%", "%%") + '"'
    admin.execute(f"CREATE ROLE {quoted} LOGIN REPLICATION IN ROLE shop_owner PASSWORD %s", (password,))
    url = f"postgresql://{quote(user, safe='')}@127.0.0.1:{server.port}/{shop.name}"
    pipeline = pipelines({"acme": {"database": shop, "source": url, "password": "${file:./secret}"}})
    (pipeline.folder / "secret").write_text(password + "\n")
    pipeline.start_and_wait()
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline.verify_clean()
    pipeline.terminate()
    admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s", (shop.name,))
    assert password not in pipeline.log_text()
    written = pipeline.program("init", url, environment={"PGPASSWORD": password}).expect(ExitCode.OK).output
    assert password not in written
    pipeline.file.write_text(written)
    pipeline.command("check", environment={"PGPASSWORD": password}).expect(ExitCode.OK)


def test_the_slot_in_somebody_elses_hands_is_waited_for(shop, server, pipelines):
    pipeline = pipelines({"acme": shop})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    (slot,) = shop.slots()
    other = psycopg2.connect(server.dsn(shop.name), connection_factory=LogicalReplicationConnection)
    (publication,) = [name for (name,) in shop.rows("SELECT pubname FROM pg_publication")]
    other.cursor().start_replication(slot_name=slot, options={"proto_version": "1", "publication_names": publication})
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'meanwhile')")
    pipeline.start()
    entry = pipeline.wait_status(lambda s: next((c for c in s["clients"] if c["reason"]), None), 30, "a reason")
    assert str(other.info.backend_pid) in entry["reason"], entry
    other.close()
    pipeline.wait_state("streaming")
    pipeline.verify_clean()
    assert pipeline.count("acme", "users") == 1


def test_two_pipelines_read_one_database(shop, pipelines):
    first, second = pipelines({"acme": shop}).start_and_wait(), pipelines({"other": shop}).start_and_wait()
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    for pipeline in (first, second):
        pipeline.verify_clean()
    assert len(shop.slots()) == 2


def test_the_environment_does_not_say_where_a_database_is(shop, pipelines):
    pipeline = pipelines({"acme": shop})
    pipeline.environment.update({"PGHOSTADDR": "127.0.0.9", "PGHOST": "nowhere.invalid", "PGPORT": "1", "PGSERVICE": "none",
                                 "PGSSLMODE": "verify-full", "PGTARGETSESSIONATTRS": "standby", "PGOPTIONS": "-c nonsense=1"})
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline.command("check", "--connect").expect(ExitCode.OK)
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    pipeline.verify_clean()
    text = pipeline.file.read_text()
    pipeline.file.write_text(text.replace(f":{shop.server.port}/", ":${env:PGPORT}/"))  # where the file asks for it, it has it
    pipeline.environment.update({"PGPORT": str(shop.server.port)})
    pipeline.command("check", "--connect").expect(ExitCode.OK)
