"""What owners set on a server, a database, a role or a publication, and what a source must not depend on or says about."""

import psycopg2
import pytest
from test_types import DOMAINS, ROWS, STREAMED, TYPES, UPDATED, insert, things, update  # things is a fixture

from harness import ExitCode, create_shop
from harness.postgres import READER
from harness.shop import own

# Each would change how PostgreSQL writes a value, or end or refuse what we ask.
HOSTILE = {"datestyle": "SQL, DMY", "intervalstyle": "iso_8601", "timezone": "America/St_Johns", "bytea_output": "escape",
           "extra_float_digits": "-15", "xmlbinary": "hex", "xmloption": "document", "search_path": '"$user", nowhere',
           "statement_timeout": "50ms", "lock_timeout": "50ms", "idle_in_transaction_session_timeout": "50ms",
           "idle_session_timeout": "50ms", "default_transaction_isolation": "serializable", "row_security": "off",
           "client_encoding": "LATIN1", "quote_all_identifiers": "on", "enable_seqscan": "off",
           "default_transaction_read_only": "off", "standard_conforming_strings": "off", "array_nulls": "off",
           "escape_string_warning": "on", "backslash_quote": "off", "transform_null_equals": "on", "jit": "on"}


@pytest.mark.parametrize("target", ["DATABASE {database}", f"ROLE {READER} IN DATABASE {{database}}"], ids=["database", "role"])
def test_settings_of_a_database_or_a_role_change_no_value(things, pipelines, target):
    admin = things.server.database("postgres")
    rows = "SELECT * FROM things ORDER BY id"
    before = pipelines({"types": things}, domains=DOMAINS)
    before.run_until_caught_up().expect(ExitCode.OK)
    for name, value in HOSTILE.items():
        admin.execute(f"ALTER {target.format(database=things.name)} SET {name} = '{value.replace(chr(39), chr(39) * 2)}'")
    pipeline = pipelines({"types": things}, domains=DOMAINS).start_and_wait()
    for row in range(ROWS):
        insert(things, STREAMED + row, row)
        update(things, UPDATED + row, row)
    pipeline.verify_clean()
    found = pipeline.query("types", rows)
    expected = before.query("types", rows)
    assert len(found) == 3 * ROWS and set(TYPES) < set(found[0])
    for number, row in enumerate(found):
        plain = expected[number % ROWS]
        differing = {name: (value, row[name]) for name, value in plain.items() if name != "id" and row[name] != value}
        assert not differing, row["id"]


def test_a_role_whose_transactions_are_read_only_reads_what_its_owner_published(shops, pipelines, server):
    (shop,) = shops("acme")
    server.database("postgres").execute(f"ALTER ROLE {READER} IN DATABASE {shop.name} SET default_transaction_read_only = on")
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline = pipelines({"acme": shop}).start()
    entry = pipeline.wait_status(lambda s: next((c for c in s["clients"] if c["reason"] or c["state"] == "streaming"), None), 30,
                                 "a state")
    if entry["state"] != "streaming":  # it may not make the publication; its owner may
        assert "read-only" in entry["reason"] and "CREATE PUBLICATION" in entry["remedy"], entry
        pipeline.terminate()
        own_publication(shop, pipeline, "FOR ALL TABLES WITH (publish_via_partition_root = true)")
        pipeline.start_and_wait()
    pipeline.verify_clean()


def own_publication(database, pipeline, rest, client="acme"):
    """A publication as its owner makes it, before the first run."""
    database.execute(f"CREATE PUBLICATION tributary_{pipeline.name}_{client} {rest}")


WHOLE = "WITH (publish_via_partition_root = true)"


@pytest.mark.parametrize("rest", [f"FOR ALL TABLES {WHOLE}", f"FOR TABLES IN SCHEMA public {WHOLE}",
                                  f"FOR TABLE users, orders, products, order_items, wide, visits {WHOLE}"],
                         ids=["all tables", "schema", "tables"])
def test_a_publication_of_the_owners_is_used_as_it_is(shop, pipelines, rest):
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'x')")
    pipeline = pipelines({"acme": shop})
    own_publication(shop, pipeline, rest)
    oid = shop.value("SELECT oid FROM pg_publication")
    pipeline.start_and_wait()
    shop.execute("UPDATE users SET email = 'y'; INSERT INTO visits (id) VALUES (gen_random_uuid()); TRUNCATE orders")
    pipeline.verify_clean()
    assert pipeline.client_status("acme")["warnings"] == []
    assert shop.rows("SELECT oid FROM pg_publication") == [(oid,)]


@pytest.mark.parametrize("rest", ["FOR ALL TABLES", f"FOR ALL TABLES {WHOLE[:-1]}, publish = 'insert, update')"],
                         ids=["of partitions", "without deletes"])
def test_a_publication_that_leaves_changes_out_stops_its_client(shops, pipelines, rest):
    acme, globex = shops("acme", "globex")
    pipeline = pipelines({"acme": acme, "globex": globex})
    own_publication(acme, pipeline, rest)
    pipeline.start()
    entry = pipeline.wait_state("stopped", client="acme") and pipeline.client_status("acme")
    assert "publication" in entry["reason"] and "leaves out" in entry["reason"], entry
    pipeline.wait_state("streaming", client="globex")
    pipeline.terminate()
    remedy, _, _ = entry["remedy"].partition(";")
    acme.execute(remedy)  # word by word
    pipeline.start_and_wait()
    acme.execute("INSERT INTO users (id, email) VALUES (1, 'x'); DELETE FROM users")
    pipeline.verify_clean()


@pytest.mark.parametrize("narrowed", ["users (id, email)", "users WHERE (id > 5)"], ids=["column list", "row filter"])
def test_a_table_that_is_published_in_part_is_left_out_by_name(shop, pipelines, narrowed):
    pipeline = pipelines({"acme": shop})
    own_publication(shop, pipeline, f"FOR TABLE {narrowed}, orders, products, order_items, wide, visits {WHOLE}")
    shop.execute("INSERT INTO visits (id) VALUES (gen_random_uuid())")
    pipeline.start_and_wait()
    warnings = pipeline.client_status("acme")["warnings"]
    assert len(warnings) == 1 and "users" in warnings[0] and "publish it whole" in warnings[0], warnings
    pipeline.wait_queryable()
    assert pipeline.count("acme", "visits") == 1 and pipeline.count("acme", "users") == 0


def test_a_database_may_get_another_name(shops, pipelines, server):
    (shop,) = shops("acme")
    admin = server.database("postgres")
    shop.execute("INSERT INTO users (id, email) VALUES (1, 'before')")
    pipeline = pipelines({"acme": shop})
    pipeline.run_until_caught_up().expect(ExitCode.OK)
    shop.execute("INSERT INTO users (id, email) VALUES (2, 'meanwhile'); DELETE FROM users WHERE id = 1")
    shop.close()
    renamed = f"{shop.name}_renamed"
    admin.execute(f"ALTER DATABASE {shop.name} RENAME TO {renamed}")
    try:
        pipeline.run_until_caught_up().expect(ExitCode.UNAVAILABLE)
        assert shop.name in pipeline.client_status("acme")["reason"]
        pipeline.content["clients"]["acme"]["source"] = shop.url().replace(shop.name, renamed)
        pipeline.write()
        pipeline.run_until_caught_up().expect(ExitCode.OK)  # it is the same database: nothing is read again
        pipeline.verify_clean()
        assert pipeline.count("acme", "users") == 1
        assert not [event for event in pipeline.events("user.snapshot") if event["value"]["after"]["id"] == 2]
    finally:
        admin.execute(f"ALTER DATABASE {renamed} RENAME TO {shop.name}")


def test_a_server_without_free_connections_is_tried_again(own_server, shops, pipelines):
    (good,) = shops("good")
    server = own_server(max_connections="12", superuser_reserved_connections="3", max_wal_senders="2")
    shop = create_shop(server, "shop")
    connections = []
    server.database("postgres").execute("CREATE ROLE someone LOGIN PASSWORD 'x'")
    try:
        while True:
            connections.append(psycopg2.connect(f"host=127.0.0.1 port={server.port} user=someone password=x dbname=shop"))
    except psycopg2.OperationalError as full:
        assert "connection" in str(full)
    try:
        pipeline = pipelines({"acme": shop, "good": good}).start()
        entry = pipeline.wait_state("backing_off", client="acme") and pipeline.client_status("acme")
        assert "connection" in entry["reason"] or "slots" in entry["reason"], entry
        pipeline.wait_state("streaming", client="good")
    finally:
        for connection in connections:
            connection.close()
    pipeline.wait_state("streaming", client="acme", limit=60)
    pipeline.verify_clean()


@pytest.mark.parametrize("publication", ["FOR ALL TABLES", "FOR TABLES IN SCHEMA public"])
@pytest.mark.parametrize("away, back", [("SET UNLOGGED", "SET LOGGED"), ("SET SCHEMA elsewhere", "SET SCHEMA public")],
                         ids=["unlogged", "elsewhere"])
def test_a_table_that_is_not_told_of_for_a_while_is_read_again(shops, pipelines, publication, away, back):
    """Where the owner publishes all tables, a table can leave the publication and come back by itself."""
    (acme,) = shops("acme")
    own(acme, "CREATE TABLE a (id integer PRIMARY KEY, v text)")
    acme.execute("CREATE SCHEMA elsewhere; GRANT ALL ON SCHEMA elsewhere TO PUBLIC; INSERT INTO a SELECT g, 'v' FROM generate_series(1, 20) g")
    pipeline = pipelines({"acme": acme}, domains={"a": {"table": "public.a", "event": "a"}})
    acme.execute(f"CREATE PUBLICATION tributary_{pipeline.name}_acme {publication} WITH (publish_via_partition_root = true)")
    for stopped in (False, True):
        if not stopped:
            pipeline.start_and_wait()
        there = "elsewhere.a" if "SCHEMA" in away else "a"
        for statement in (f"ALTER TABLE a {away}", f"DELETE FROM {there} WHERE id % 4 = {int(stopped)}",
                          f"INSERT INTO {there} VALUES ({100 + stopped})", f"ALTER TABLE {there} {back}"):
            own(acme, statement)
        if stopped:
            pipeline.start_and_wait()
        acme.execute("UPDATE a SET v = 'w' WHERE id = 3")
        pipeline.wait_queryable()
        pipeline.verify_clean()
        pipeline.terminate()
