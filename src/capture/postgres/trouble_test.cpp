#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <thread>

#include "capture/postgres/capture_fixture_for_test.h"
#include "capture/postgres/client_context.h"
#include "capture/postgres/connection.h"
#include "capture/postgres/source_state.h"

namespace tributary {
namespace {

class TroubleTest : public CaptureFixture {
 public:
  void expect_stopped(const std::string& reason, const std::string& remedy) {
    EXPECT_TRUE(wait_for([&] {
      return status().mode == SourceMode::kStopped && status().reason.find(reason) != std::string::npos;
    })) << static_cast<int>(status().mode)
        << status().reason;
    EXPECT_NE(status().remedy.find(remedy), std::string::npos) << status().remedy;
  }
  void change_state(const std::function<void(StreamState&)>& change) {
    StreamState state = StreamState::decode(log.states["acme"]["stream"]).value();
    change(state);
    log.states["acme"]["stream"] = state.encode();
  }
};

TEST_F(TroubleTest, AnotherSystemTimelineOrSlotPositionIsNeverResumed) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY)");
  start({"public.orders"});
  catch_up();
  stop();
  StreamState good = StreamState::decode(log.states["acme"]["stream"]).value();
  change_state([](StreamState& state) { state.system_identifier = "42"; });
  start({"public.orders"});
  expect_stopped("system identifier", "reset acme");
  stop();
  change_state([&](StreamState& state) {
    state = good;
    state.timeline = 7;
  });
  start({"public.orders"});
  expect_stopped("timeline", "reset acme");
  stop();
  change_state([&](StreamState& state) {
    state = good;
    state.confirmed_lsn = 1;
  });
  start({"public.orders"});
  expect_stopped("ahead of what is in the log", "reset acme");
}

// A server that is put back to an earlier state under a capture that was told of what came later.
class RestoreTest : public TroubleTest {
 public:
  void SetUp() override {
    database = server.make_database();
    run("CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders SELECT i, 'first' FROM "
        "generate_series(1, 100) i");
  }
  void TearDown() override { source.reset(); }  // the server goes with its slots
  void run(const std::string& statements) { TestConnection(server.url(database)).run(statements); }
  void capture() {
    CaptureClient made = client("acme", database, {"public.orders"});
    made.url = server.url(database);
    source = make_postgres_source({made}, log, defaults());
    ASSERT_TRUE(source->start().ok());
  }
  void capture_until_caught_up() {
    capture();
    catch_up();
    stop();
  }
  void restore() {
    server.stop();
    server.restore();
    server.start();
  }
  void expect_exact() {
    sql = std::make_unique<TestConnection>(server.url(database));
    expect_same("public.orders");
    sql.reset();
  }
  TestPostgres server{""};
};

TEST_F(RestoreTest, ADatabaseRestoredToAnEarlierStateIsNeverResumed) {
  capture_until_caught_up();
  server.stop();
  server.save();
  server.start();
  run("INSERT INTO orders SELECT i, 'lost' FROM generate_series(101, 2000) i; DELETE FROM orders WHERE id = 1");
  capture_until_caught_up();
  // Its log ends before what was read.
  restore();
  run("DELETE FROM orders WHERE id = 2");
  capture();
  expect_stopped("restored to an earlier state", "reset acme");
  stop();
  // Its log has grown beyond that by other transactions, also ones of the very same size.
  for (const char* text : {"else", "lost"}) {
    restore();
    run(
        fmt::format("INSERT INTO orders SELECT i, '{}' FROM generate_series(101, 2000) i; DELETE FROM orders WHERE id "
                    "= 1; INSERT INTO orders SELECT i, 'more' FROM generate_series(2001, 9000) i",
                    text));
    for (bool bulk : {true, false}) {
      CaptureClient made = client("acme", database, {"public.orders"});
      made.url = server.url(database);
      PostgresCaptureOptions options = defaults();
      options.bulk = bulk;
      options.bulk_backlog_bytes = 1;
      source = make_postgres_source({made}, log, options);
      ASSERT_TRUE(source->start().ok());
      expect_stopped("restored to an earlier state", "reset acme");
      stop();
    }
  }
  log.states["acme"]["reset"] = "1";
  capture_until_caught_up();
  expect_exact();
}

TEST_F(RestoreTest, AServerThatCrashesIsResumed) {
  capture();
  catch_up();
  run("INSERT INTO orders SELECT i, 'second' FROM generate_series(101, 200) i");
  catch_up();
  for (int i = 0; i < 3; ++i) {
    server.crash();  // what was confirmed since the last checkpoint is forgotten by the slot
    server.start();
    run(fmt::format("INSERT INTO orders VALUES ({}, 'after')", 1000 + i));
    catch_up();
  }
  stop();
  expect_exact();
}

// A session that ends loses what it received and had not appended: the next one must not count it as delivered.
TEST_F(TroubleTest, WhatWasReceivedAndNotAppendedIsNotConfirmed) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE noise (v text)");
  log.delay = std::chrono::milliseconds(300);
  PostgresCaptureOptions options;
  options.bulk = false;
  start({"public.orders"}, options);
  catch_up();
  // The next session is sent nothing for a while: the server decodes again from where this transaction began.
  TestConnection open(TestPostgres::shared().url(database));
  open.run("BEGIN; SELECT pg_current_xact_id()");
  sql->run("INSERT INTO noise SELECT 'noise' FROM generate_series(1, 400000)");
  catch_up();
  uint64_t captured = status().events_captured;
  uint64_t events = 0;
  {
    std::lock_guard lock(log.mutex);
    events = log.events;
  }
  sql->run("INSERT INTO orders VALUES (1)");
  ASSERT_TRUE(wait_for([&] { return status().events_captured > captured; }));
  sql->run("INSERT INTO orders VALUES (2)");  // received while the first is appended: it waits for its turn
  uint64_t second_lsn = parse_lsn(sql->one("SELECT pg_current_wal_insert_lsn()")).value();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  TestPostgres::shared().kill_backends("datname = '" + database + "' AND application_name = 'tributary'");
  EXPECT_TRUE(wait_for([&] {
    std::lock_guard lock(log.mutex);
    uint64_t confirmed = StreamState::decode(log.states["acme"]["stream"]).value().confirmed_lsn;
    bool both = log.events >= events + 2;
    EXPECT_TRUE(confirmed < second_lsn || both) << "confirmed, and not in the log";
    return both;
  }));
}

TEST_F(TroubleTest, OneClientStopsAndTheOtherGoesOn) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY)");
  std::string other_database = TestPostgres::shared().make_database();
  TestConnection other(TestPostgres::shared().url(other_database));
  other.run("CREATE TABLE orders (id int PRIMARY KEY)");
  CaptureClient missing = client("missing", database, {"public.orders"});
  missing.url = TestPostgres::shared().url("no_such_database");
  CaptureClient away = client("away", database, {"public.orders"});
  away.url = "postgresql://postgres@127.0.0.1:1/shop";
  source = make_postgres_source(
      {client("acme", database, {"public.orders"}), client("globex", other_database, {"public.orders"}), missing, away},
      log, defaults());
  ASSERT_TRUE(source->start().ok());
  ASSERT_TRUE(wait_for([&] {
    return source->status()[1].mode == SourceMode::kStreaming && source->status()[0].mode == SourceMode::kStreaming;
  }));
  EXPECT_EQ(source->status()[2].mode, SourceMode::kStopped);
  EXPECT_NE(source->status()[2].remedy, "");
  EXPECT_TRUE(wait_for([&] { return source->status()[3].mode == SourceMode::kBackingOff; }));
  // Publication dropped under a running client.
  sql->run(fmt::format("DROP PUBLICATION tributary_{}_acme; INSERT INTO orders VALUES (1)", database));
  ASSERT_TRUE(wait_for([&] { return source->status()[0].mode == SourceMode::kStopped; })) << source->status()[0].reason;
  EXPECT_NE(source->status()[0].reason.find("publication"), std::string::npos) << source->status()[0].reason;
  other.run("INSERT INTO orders SELECT generate_series(1, 100)");
  EXPECT_TRUE(wait_for([&] { return merged("public.orders", "globex").size() == 100; }));
}

TEST_F(TroubleTest, APublicationThatLeftChangesOutIsNoticedAndWhatIsMissingIsReadAgain) {
  sql->run(
      "CREATE TABLE orders (id int PRIMARY KEY, v text); INSERT INTO orders SELECT i, 'a' FROM generate_series(1, 50) "
      "i");
  std::string publication = "tributary_" + database + "_acme";
  std::string narrow = "ALTER PUBLICATION " + publication + " SET (publish = 'insert')";
  std::string widen = "ALTER PUBLICATION " + publication + " SET (publish = 'insert, update, delete, truncate')";
  auto change = [&](int id) {
    return fmt::format("UPDATE orders SET v = 'b' WHERE id = {}; DELETE FROM orders WHERE id = {}", id, id + 1);
  };
  start({"public.orders"});
  catch_up();
  // Longer than between two looks at the catalog.
  sql->run(narrow);
  sql->run(change(1));
  expect_stopped("leaves out kinds of changes", "ALTER PUBLICATION");
  restart({"public.orders"});
  expect_stopped("leaves out kinds of changes", "ALTER PUBLICATION");
  sql->run(widen);
  restart({"public.orders"});
  catch_up();
  expect_same("public.orders");
  // Between two looks, and while we are stopped.
  sql->run(narrow);
  sql->run(change(11));
  sql->run(widen);
  catch_up();
  expect_same("public.orders");
  stop();
  sql->run(narrow);
  sql->run(change(21));
  sql->run(widen);
  start({"public.orders"});
  catch_up();
  expect_same("public.orders");
  // The table taken out and put back.
  sql->run("ALTER PUBLICATION " + publication + " DROP TABLE orders");
  sql->run(change(31));
  sql->run("ALTER PUBLICATION " + publication + " ADD TABLE orders");
  catch_up();
  expect_same("public.orders");
  // Nothing is read again without a reason.
  uint64_t captured = status().events_captured;
  restart({"public.orders"});
  catch_up();
  sql->run("INSERT INTO orders VALUES (1000, 'c')");
  catch_up();
  EXPECT_LT(status().events_captured, 5u) << captured;
  expect_same("public.orders");
}

TEST_F(TroubleTest, WrongSettingsAndRightsAreNamedWithTheirRemedy) {
  TestPostgres server("wal_level = replica\nmax_wal_senders = 0\n");
  std::string name = server.make_database();
  TestConnection own(server.url(name));
  own.run("CREATE TABLE orders (id int PRIMARY KEY); CREATE ROLE reader LOGIN");
  CaptureClient made = client("acme", name, {"public.orders"});
  made.url = server.url(name);
  source = make_postgres_source({made}, log, defaults());
  ASSERT_TRUE(source->start().ok());
  expect_stopped("wal_level is replica", "ALTER SYSTEM SET wal_level");
  stop();
  sql->run("CREATE TABLE orders (id int PRIMARY KEY)");
  sql->run("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
  made = client("acme", database, {"public.orders"});
  made.url = TestPostgres::shared().tcp_url("reader", database);
  PostgresCaptureOptions options = defaults();
  options.stopped_retry = std::chrono::milliseconds(100);
  std::atomic<int> asked = 0;
  options.password_now = [&](const ClientId& id) { return id.value + std::to_string(++asked); };
  source = make_postgres_source({made}, log, options);
  ASSERT_TRUE(source->start().ok());
  expect_stopped("may not replicate", "ALTER ROLE reader REPLICATION");
  // What is mended is seen without a restart, and until then it is not called anything but stopped.
  sql->run("ALTER ROLE reader REPLICATION");
  expect_stopped("permission denied", "CREATE PUBLICATION");
  EXPECT_GT(asked, 0);
  int before = asked;
  ASSERT_TRUE(wait_for([&] {
    EXPECT_EQ(status().mode, SourceMode::kStopped);
    return asked > before + 2;
  }));
  sql->run(fmt::format("ALTER TABLE orders OWNER TO reader; GRANT CREATE ON DATABASE {} TO reader", database));
  ASSERT_TRUE(wait_for([&] { return status().mode == SourceMode::kStreaming; })) << status().reason;
  stop();
  sql->run(fmt::format("REASSIGN OWNED BY reader TO postgres; REVOKE CREATE ON DATABASE {} FROM reader", database));
}

TEST_F(TroubleTest, ATableWhoseRowsAreHiddenFromUsIsRefused) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE users (id int PRIMARY KEY)");
  sql->run("INSERT INTO orders SELECT generate_series(1, 30); INSERT INTO users VALUES (1)");
  sql->run("DO $$ BEGIN CREATE ROLE hidden_from LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
  sql->run(
      "GRANT SELECT ON orders, users TO hidden_from; ALTER TABLE orders ENABLE ROW LEVEL SECURITY; "
      "CREATE POLICY few ON orders TO hidden_from USING (id <= 10)");
  sql->run(
      fmt::format("CREATE PUBLICATION tributary_{}_acme FOR TABLE orders, users WITH "
                  "(publish_via_partition_root = true)",
                  database));
  CaptureClient made = client("acme", database, {"public.orders", "public.users"});
  made.url = TestPostgres::shared().tcp_url("hidden_from", database);
  source = make_postgres_source({made}, log, defaults());
  ASSERT_TRUE(source->start().ok());
  catch_up();
  EXPECT_EQ(merged("public.users").size(), 1u);
  ASSERT_EQ(status().warnings.size(), 1u);
  EXPECT_NE(status().warnings[0].find("row-level security"), std::string::npos) << status().warnings[0];
  sql->run("ALTER ROLE hidden_from BYPASSRLS");
  catch_up();
  EXPECT_EQ(merged("public.orders").size(), 30u);
  sql->run("ALTER ROLE hidden_from NOBYPASSRLS");
}

TEST_F(TroubleTest, AServerThatRestartsIsTriedAgain) {
  TestPostgres server("");
  std::string name = server.make_database();
  auto own = std::make_unique<TestConnection>(server.url(name));
  own->run("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)");
  CaptureClient made = client("acme", name, {"public.orders"});
  made.url = server.url(name);
  source = make_postgres_source({made}, log, defaults());
  ASSERT_TRUE(source->start().ok());
  catch_up();
  own.reset();
  server.stop();
  ASSERT_TRUE(wait_for([&] { return status().mode == SourceMode::kBackingOff; }));
  server.start();
  own = std::make_unique<TestConnection>(server.url(name));
  own->run("INSERT INTO orders VALUES (2)");
  catch_up();
  EXPECT_EQ(merged("public.orders").size(), 2u);
  stop();
}

TEST_F(TroubleTest, AServerThatFallsSilentIsGivenUp) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY)");
  PostgresCaptureOptions options = defaults();
  options.silence_max = std::chrono::milliseconds(2000);
  options.bulk = false;
  source = make_postgres_source({client("acme", database, {"public.orders"})}, log, options);
  ASSERT_TRUE(source->start().ok());
  catch_up();
  // A stopped process is like a half-open connection: bytes go in, nothing comes out.
  int sender = std::stoi(
      sql->one("SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'tributary_" + database + "_acme'"));
  ASSERT_EQ(kill(sender, SIGSTOP), 0);
  bool noticed = wait_for([&] { return status().reason.find("silent") != std::string::npos; }, 10);
  kill(sender, SIGCONT);
  EXPECT_TRUE(noticed);
  sql->run("INSERT INTO orders VALUES (1)");
  catch_up();
  EXPECT_EQ(merged("public.orders").size(), 1u);
}

TEST_F(TroubleTest, TwoProcessesDoNotReadOneSource) {
  sql->run("CREATE TABLE orders (id int PRIMARY KEY)");
  start({"public.orders"});
  catch_up();
  MemoryLog other_log;
  auto second = make_postgres_source({client("acme", database, {"public.orders"})}, other_log, defaults());
  ASSERT_TRUE(second->start().ok());
  EXPECT_TRUE(wait_for([&] { return second->status()[0].reason.find("lease") != std::string::npos; }));
}

TEST_F(TroubleTest, AHundredClientsOnOneLoop) {
  constexpr int count = 100;
  sql->run("CREATE TABLE orders (id int PRIMARY KEY, v int)");
  std::vector<CaptureClient> clients;
  for (int i = 0; i < count; ++i) clients.push_back(client(fmt::format("c{}", i), database, {"public.orders"}));
  source = make_postgres_source(clients, log, defaults());
  ASSERT_TRUE(source->start().ok());
  for (int i = 0; i < 50; ++i) sql->run(fmt::format("INSERT INTO orders VALUES ({}, {})", i, i));
  catch_up(120);
  for (int i = 0; i < count; ++i) ASSERT_EQ(merged("public.orders", fmt::format("c{}", i)).size(), 50u) << i;
  auto before = std::chrono::steady_clock::now();
  stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(10));
}

// Also where the server speaks another language: by what it refuses a connection is in no text.
TEST_F(TroubleTest, ARefusedConnectionHasItsSqlstateAndAPlainText) {
  struct Case {
    std::string url, state, text;
  };
  TestPostgres& server = TestPostgres::shared();
  for (const Case& one : {Case{server.tcp_url("nobody", "postgres"), "28000", "role \"nobody\" does not exist"},
                          Case{server.url("nowhere"), "3D000", "database \"nowhere\" does not exist"}}) {
    auto settings = ConnectionSettings::parse(one.url, "");
    ASSERT_TRUE(settings.ok());
    asio::io_context loop;
    PgConnection connection(loop.get_executor(), *settings);
    Status refused;
    auto run = [&]() -> asio::awaitable<void> {
      refused = co_await connection.connect(false, std::chrono::seconds(10));
    };
    asio::co_spawn(loop, run(), asio::detached);
    loop.run();
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(connection.sqlstate(), one.state) << refused.error().message;
    EXPECT_TRUE(refused.error().message.ends_with("FATAL:  " + one.text)) << refused.error().message;
  }
}

// The kernel drops the first packet of a connection for which there is no room in the queue: a host that says nothing.
TEST_F(TroubleTest, AHostThatSaysNothingLeavesTimeForTheNextOne) {
  asio::io_context loop;
  using asio::ip::tcp;
  tcp::acceptor silent(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  silent.listen(0);
  std::vector<tcp::socket> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(loop, tcp::v4());
    waiting.back().non_blocking(true);
    auto endpoint = silent.local_endpoint();
    (void)::connect(waiting.back().native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size()));
  }
  std::string url = TestPostgres::shared().tcp_url("postgres", "postgres");
  std::string silent_host = fmt::format("@127.0.0.1:{},", silent.local_endpoint().port());
  auto settings = ConnectionSettings::parse(url.replace(url.find('@'), 1, silent_host), "");
  ASSERT_TRUE(settings.ok());
  PgConnection connection(loop.get_executor(), *settings);
  Status connected;
  auto run = [&]() -> asio::awaitable<void> {
    connected = co_await connection.connect(false, std::chrono::seconds(6));
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  EXPECT_TRUE(connected.ok()) << connected.error().message;
}

TEST(TroubleOfTest, OnlyWhatIsOfCertificatesSpeaksOfThem) {
  auto remedy = [](const char* text) { return trouble_of({ErrorCode::kUnavailable, text}, "", "acme").remedy; };
  for (const char* text : {"SSL error: certificate verify failed", "SSL error: wrong version number",
                           "root certificate file \"/ca.crt\" does not exist"}) {
    EXPECT_NE(remedy(text).find("certificate"), std::string::npos) << text;
  }
  for (const char* text : {"SSL connection has been closed unexpectedly", "SSL SYSCALL error: EOF detected",
                           "SSL error: unexpected eof while reading", "SSL SYSCALL error: Connection reset by peer"}) {
    EXPECT_EQ(remedy(text), "") << text;
  }
  EXPECT_NE(remedy("server does not support SSL, but SSL was required").find("sslmode=disable"), std::string::npos);
}

TEST(ConnectionSettingsTest, PasswordsAreNeverShownAndRemoteHostsAreVerified) {
  auto mode = [](const ConnectionSettings& settings) {
    for (auto& [key, value] : settings.parameters(false)) {
      if (key == "sslmode") return value;
    }
    return std::string("(default)");
  };
  auto remote = ConnectionSettings::parse("postgresql://u@db.example/shop", "hunter2canary");
  ASSERT_TRUE(remote.ok());
  EXPECT_EQ(mode(*remote), "verify-full");
  EXPECT_EQ(remote->scrubbed("bad hunter2canary!"), "bad ***!");
  auto part = ConnectionSettings::parse("postgresql://tributary@h.example/shop", "trib");
  ASSERT_TRUE(part.ok());
  EXPECT_EQ(part->scrubbed("user \"tributary\", trib, trib.shop"), "user \"tributary\", ***, ***.shop");
  EXPECT_EQ(remote->scrubbed("falsch: \xfc, hunter2canary"), "falsch: ?, ***");
  EXPECT_EQ(mode(*ConnectionSettings::parse("postgresql://u@127.0.0.1/shop", "")), "(default)");
  EXPECT_EQ(mode(*ConnectionSettings::parse("postgresql://u@db.example/shop?sslmode=disable", "")), "disable");
  for (const char* url : {"postgresql://u@h/d?sslmode=maybe", "postgresql://u@h/d?bogus=1"}) {
    EXPECT_FALSE(ConnectionSettings::parse(url, "").ok()) << url;
  }
  auto broken = ConnectionSettings::parse("postgresql://u:hunter2canary@[::1/shop", "hunter2canary");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().message.find("hunter2canary"), std::string::npos) << broken.error().message;
}

}  // namespace
}  // namespace tributary
