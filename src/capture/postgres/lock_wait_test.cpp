// Tables that somebody else holds locked: who and which is said, everything else goes on, nothing is lost.
#include "capture/postgres/capture_fixture_for_test.h"

namespace tributary {
namespace {

class LockWaitTest : public CaptureFixture {
 public:
  void SetUp() override {
    CaptureFixture::SetUp();
    for (const char* table : {"orders", "users"}) {
      sql->run(
          fmt::format("CREATE TABLE {0} (id int PRIMARY KEY, v text); "
                      "INSERT INTO {0} SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i",
                      table));
    }
    owner = std::make_unique<TestConnection>(TestPostgres::shared().url(database));
    holder = fmt::format("public.orders, which process {} ", owner->one("SELECT pg_backend_pid()"));
  }
  void TearDown() override {
    owner.reset();
    CaptureFixture::TearDown();
  }
  void lock() { owner->run("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"); }
  void unlock() { owner->run("COMMIT"); }
  bool warned() {
    auto warnings = status().warnings;
    return std::any_of(warnings.begin(), warnings.end(),
                       [&](const std::string& warning) { return warning.find(holder) != std::string::npos; });
  }
  void expect_exact() {
    catch_up();
    EXPECT_TRUE(wait_for([&] { return status().warnings.empty(); })) << status().warnings[0];
    expect_same("public.orders");
    expect_same("public.users");
  }
  static PostgresCaptureOptions watchful() {
    PostgresCaptureOptions options;
    options.heartbeat_interval = std::chrono::milliseconds(200);
    return options;
  }

  std::unique_ptr<TestConnection> owner;
  std::string holder;
};

TEST_F(LockWaitTest, BeforeAnythingIsReadTheClientSaysForWhomItWaits) {
  lock();
  start({"public.orders", "public.users"});
  EXPECT_TRUE(wait_for([&] { return status().reason.find(holder) != std::string::npos; })) << status().reason;
  EXPECT_EQ(status().mode, SourceMode::kConnecting);
  unlock();
  expect_exact();
  EXPECT_EQ(status().reason, "");
}

TEST_F(LockWaitTest, WhileOneTableIsLockedAnotherIsStreamedAndAMarkWaits) {
  start({"public.orders", "public.users"}, watchful());
  catch_up();
  lock();
  EXPECT_TRUE(wait_for([&] { return warned(); }));
  sql->run("INSERT INTO users VALUES (3001, 'streamed')");
  EXPECT_TRUE(wait_for([&] { return merged("public.users").size() == 3001; }));
  EXPECT_EQ(status().mode, SourceMode::kStreaming);
  source->mark_heads();
  sql->run("INSERT INTO users VALUES (3002, 'streamed')");
  EXPECT_TRUE(wait_for([&] { return merged("public.users").size() == 3002; }));
  EXPECT_FALSE(source->caught_up());
  owner->run("ALTER TABLE orders ADD COLUMN extra int DEFAULT 7; UPDATE orders SET v = 'changed' WHERE id < 10");
  unlock();
  expect_exact();
}

TEST_F(LockWaitTest, ASnapshotLeavesALockedTableForLaterAndReadsTheOthers) {
  CaptureClient slow = client("acme", database, {"public.orders", "public.users"});
  slow.snapshot_rows_per_second = 1000;
  PostgresCaptureOptions options = defaults();
  options.chunk_first_blocks = 1;
  source = make_postgres_source({slow}, log, options);
  ASSERT_TRUE(source->start().ok());
  ASSERT_TRUE(wait_for([&] { return !merged("public.orders").empty(); }));
  lock();
  EXPECT_TRUE(wait_for([&] { return warned(); }));
  EXPECT_LT(merged("public.orders").size(), 3000);
  EXPECT_TRUE(wait_for([&] { return merged("public.users").size() == 3000; }));
  EXPECT_TRUE(warned());
  unlock();
  expect_exact();
}

}  // namespace
}  // namespace tributary
