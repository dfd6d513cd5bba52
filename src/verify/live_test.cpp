// Verifying while writers go on: 1,000 rows a second change, and the analytics follow late.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "verify/source_for_test.h"

namespace tributary {
namespace {

using namespace std::chrono_literals;

// Brings the keys that changed into analytics.orders, some 50 ms late, as a pipeline does.
class LatePipeline {
 public:
  explicit LatePipeline(TestClient& client) : connection_(client.url()) {
    client.run(R"(
      CREATE TABLE orders (id bigint PRIMARY KEY, status text, total numeric(12,2));
      CREATE TABLE analytics.orders (id text PRIMARY KEY, status text, total text, unrepresentable text);
      CREATE TABLE changed (number bigserial, id bigint);
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO changed (id) VALUES (coalesce(new.id, old.id)); RETURN NULL; END $$;
      CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
      INSERT INTO orders SELECT i, 'new', i FROM generate_series(1, 20000) i;)");
    thread_ = std::thread([this] {
      while (!stop_) {
        carry();
        std::this_thread::sleep_for(50ms);
      }
    });
  }
  ~LatePipeline() {
    stop_ = true;
    thread_.join();
  }

  Result<bool> wait(uint64_t mark, std::chrono::milliseconds limit) {
    auto end = std::chrono::steady_clock::now() + limit;
    while (reached_ < mark) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }

  std::atomic<bool> paused{false};

 private:
  void carry() {
    if (paused) return;
    // What committed before `head` is visible once the transactions that run now have ended.
    std::string head = connection_.run("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
    std::string next = connection_.run("SELECT pg_snapshot_xmax(pg_current_snapshot())");
    while (connection_.run("SELECT pg_snapshot_xmin(pg_current_snapshot()) < '" + next + "'::xid8") == "t") {
    }
    connection_.run(R"(
      WITH gone AS (DELETE FROM changed RETURNING id), keys AS (SELECT DISTINCT id FROM gone),
           removed AS (DELETE FROM analytics.orders a USING keys k WHERE a.id = k.id::text AND NOT EXISTS
                       (SELECT 1 FROM orders o WHERE o.id = k.id))
      INSERT INTO analytics.orders SELECT o.id::text, o.status, o.total::text FROM orders o JOIN keys USING (id)
      ON CONFLICT (id) DO UPDATE SET status = excluded.status, total = excluded.total)");
    reached_ = std::stoull(head);
  }

  TestConnection connection_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> reached_{0};
  std::thread thread_;
};

class Writer {
 public:
  explicit Writer(TestClient& client) : connection_(client.url()) {
    thread_ = std::thread([this] {
      auto next = std::chrono::steady_clock::now();
      for (uint64_t i = 0; !stop_; ++i, next += 10ms) {  // ten rows, a hundred times a second
        connection_.run(fmt::format(R"(
          UPDATE orders SET total = total + 1, status = 'u{0}' WHERE id IN (SELECT 1 + ({0} * 7919 + g * 104729) % 15000 FROM
          generate_series(1, 6) g);
          UPDATE orders SET total = total + 1 WHERE id = 77;
          INSERT INTO orders SELECT 100000 + {0} * 2 + g, 'inserted', g FROM generate_series(0, 1) g;
          DELETE FROM orders WHERE id = 100000 + {0} * 2 - 40;)",
                                    i));
        rows += 10;
        std::this_thread::sleep_until(next);
      }
    });
  }
  ~Writer() {
    stop_ = true;
    thread_.join();
  }
  std::atomic<uint64_t> rows{0};

 private:
  TestConnection connection_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class Live : public ::testing::Test {
 protected:
  Live() : acme_("acme"), pipeline_(acme_) {
    std::string scratch = TestServer::instance().directory() + "/scratch";
    std::filesystem::create_directory(scratch);
    request_.scratch_directory = scratch;
    request_.live = true;
    request_.domains = {{.name = "orders"}};
    request_.views = {
        {.name = "orders",
         .sql = "SELECT * FROM orders",
         .columns = {{"id", {TypeId::kInt64}}, {"status", {TypeId::kText}}, {"total", {TypeId::kDecimal, 12, 2}}}}};
    request_.clients = {acme_.described({{"orders", "public.orders"}})};
    ports_ = fake_ports({&acme_});
    ports_.wait_until_queryable = [this](const ClientId&, uint64_t mark, std::chrono::milliseconds limit) {
      return pipeline_.wait(mark, limit);
    };
  }

  ViewReport verified() {
    Result<VerifyReport> report = verify(request_, ports_);
    CHECK(report.ok(), "{}", report.error().message);
    EXPECT_EQ(report->clients[0].error, "");
    return report->clients[0].views.empty() ? ViewReport{} : report->clients[0].views[0];
  }

  TestClient acme_;
  LatePipeline pipeline_;
  VerifyRequest request_;
  VerifyPorts ports_;
};

TEST_F(Live, IsCleanWhileAThousandRowsASecondChange) {
  Writer writer(acme_);
  bool read_again = false;
  for (int run = 0; run < 3; ++run) {
    ViewReport view = verified();
    EXPECT_TRUE(view.clean()) << view.error << report_text({{{.client = ClientId("acme"), .views = {view}}}});
    EXPECT_LE(view.unsettled, 1u);  // 77 changes a hundred times a second
    EXPECT_GT(view.source_rows, 19'000u);
    read_again |= view.rounds > 1;
  }
  EXPECT_TRUE(read_again) << "nothing differed at first: the test does not test";
  EXPECT_GT(writer.rows, 1000u);
}

TEST_F(Live, FindsWhatIsWrongAmongWhatIsOnlyLate) {
  Writer writer(acme_);
  ASSERT_TRUE(verified().clean());
  // Rows that the writer leaves alone, changed behind the pipeline's back.
  acme_.run(
      R"(UPDATE analytics.orders SET total = '0' WHERE id = '16001'; DELETE FROM analytics.orders WHERE id = '16002';
               INSERT INTO analytics.orders VALUES ('900000', 'ghost', '1', NULL))");
  ViewReport view = verified();
  std::vector<std::string> found;
  for (const Finding& finding : view.samples)
    found.push_back(std::string(finding_name(finding.kind)) + " " + finding.key);
  EXPECT_THAT(found, ::testing::UnorderedElementsAre("different id=16001", "missing id=16002", "unexpected id=900000"));
}

TEST_F(Live, AViewWithoutItsKeyIsReadAgainWhole) {
  acme_.run("CREATE VIEW analytics.plain AS SELECT status, total, unrepresentable FROM analytics.orders");
  request_.views = {{.name = "plain",
                     .sql = "SELECT status, total FROM orders",
                     .columns = {{"status", {TypeId::kText}}, {"total", {TypeId::kDecimal, 12, 2}}}}};
  Writer writer(acme_);
  ViewReport view = verified();
  EXPECT_TRUE(view.clean()) << view.error;
  acme_.run("UPDATE analytics.orders SET status = 'wrong' WHERE id = '16001'");
  EXPECT_THAT(verified().findings, ::testing::SizeIs(2));  // the right row is missing, the wrong one is there
}

// Buckets of ten orders each, over a view that is only a definition. `wrong` is what the analytics make of a bucket's total,
// `where` which buckets they have.
void use_buckets(TestClient& acme, VerifyRequest& request, const std::string& wrong, const std::string& where) {
  acme.run(fmt::format(R"(
    CREATE VIEW analytics.buckets AS SELECT bucket::text, ({})::text AS total, n::text, NULL::text AS unrepresentable FROM
      (SELECT id::bigint / 10 AS bucket, sum(total::numeric) AS total, count(*) AS n FROM analytics.orders GROUP BY 1) q WHERE {})",
                       wrong, where));
  request.views = {
      {.name = "placed",
       .sql = "SELECT id, id // 10 AS bucket, total FROM orders",
       .columns = {{"id", {TypeId::kInt64}}, {"bucket", {TypeId::kInt64}}, {"total", {TypeId::kDecimal, 12, 2}}},
       .key = {"id"},
       .compared = false},
      {.name = "buckets",
       .sql = "SELECT bucket, sum(total) AS total, count(*) AS n FROM placed GROUP BY bucket",
       .columns = {{"bucket", {TypeId::kInt64}}, {"total", {TypeId::kDecimal, 38, 2}}, {"n", {TypeId::kInt64}}},
       .key = {"bucket"}}};
}

TEST_F(Live, GroupsAreComputedAgainWholeUntilTheyAgree) {
  use_buckets(acme_, request_, "total", "true");
  Writer writer(acme_);
  bool read_again = false;
  for (int run = 0; run < 3; ++run) {
    ViewReport view = verified();
    EXPECT_TRUE(view.clean()) << view.error << report_text({{{.client = ClientId("acme"), .views = {view}}}});
    EXPECT_LE(view.unsettled, 10u);  // the buckets of 77, and of what is inserted and deleted a hundred times a second
    EXPECT_GT(view.source_rows, 1900u);
    read_again |= view.rounds > 1;
  }
  EXPECT_TRUE(read_again) << "nothing differed at first: the test does not test";
}

TEST_F(Live, AWrongGroupIsFoundAmongThoseThatAreOnlyLate) {
  // 500 changes now and then, 1600 and 1700 never do.
  use_buckets(acme_, request_, "total + CASE WHEN bucket IN (500, 1600) THEN 0.01 ELSE 0 END", "bucket <> 1700");
  Writer writer(acme_);
  ViewReport view = verified();
  std::vector<std::string> found;
  for (const Finding& finding : view.samples)
    found.push_back(std::string(finding_name(finding.kind)) + " " + finding.key);
  EXPECT_THAT(found,
              ::testing::UnorderedElementsAre("different bucket=500", "different bucket=1600", "missing bucket=1700"))
      << view.error;
}

TEST_F(Live, AGroupThatChangesAllTheTimeIsUnsettledNotWrong) {
  use_buckets(acme_, request_, "total + CASE bucket WHEN 7 THEN 1 ELSE 0 END", "true");
  request_.rounds_max = 5;
  {
    Writer writer(acme_);  // changes the order 77 a hundred times a second
    ViewReport view = verified();
    EXPECT_TRUE(view.clean()) << report_text({{{.client = ClientId("acme"), .views = {view}}}});
    EXPECT_GE(view.unsettled, 1u);
    EXPECT_EQ(view.rounds, 6);
  }
  EXPECT_EQ(verified().findings.size(), 1u);
}

TEST_F(Live, ARowWithoutAKeyThatIsWrongAndChangesIsNeverClean) {
  acme_.run(
      "CREATE VIEW analytics.everything AS SELECT (sum(total::numeric) + 1)::text AS total, NULL::text AS u FROM "
      "analytics.orders");
  request_.views = {{.name = "everything",
                     .sql = "SELECT sum(total) AS total FROM orders",
                     .columns = {{"total", {TypeId::kDecimal, 38, 2}}}}};
  {
    Writer writer(acme_);
    ViewReport view = verified();
    EXPECT_TRUE(view.unsettled > 0 || !view.findings.empty());
  }
  EXPECT_EQ(verified().findings.size(), 2u);  // missing and unexpected, once it rests
}

TEST_F(Live, MoreDifferencesThanCanBeReadAgainAreNeverClean) {
  ASSERT_TRUE(verified().clean());
  acme_.run("UPDATE analytics.orders SET status = 'wrong' WHERE id::bigint <= 300");
  request_.keys_again_max = 100;
  ViewReport view = verified();
  EXPECT_THAT(view.error, ::testing::HasSubstr("more than 100 rows differed"));
  EXPECT_EQ(view.findings[FindingKind::kDifferent], 100u);
  request_.live = false;
  view = verified();
  EXPECT_EQ(view.findings[FindingKind::kDifferent], 300u);
}

TEST_F(Live, APipelineThatDoesNotArriveIsNamed) {
  pipeline_.paused = true;
  acme_.run("UPDATE orders SET total = 0 WHERE id = 5");
  request_.mark_limit = 200ms;
  Result<VerifyReport> report = verify(request_, ports_);
  ASSERT_TRUE(report.ok());
  EXPECT_THAT(report->clients[0].error, ::testing::HasSubstr("did not reach the position"));
  pipeline_.paused = false;
}

}  // namespace
}  // namespace tributary
