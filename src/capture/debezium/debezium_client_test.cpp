// One client out of a connector's messages: whose they are, in which order they count, and what stops it.
#include "capture/debezium/debezium_client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "capture/memory_log_for_test.h"
#include "model/row_key.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A message as the connector writes it without schemas.
struct Message {
  std::string row = R"({"id":1,"name":"x"})";
  std::string before = "null";
  char op = 'c';
  uint64_t lsn = 1000;
  std::string last_commit = "\\\"900\\\"";
  int64_t micros = 1'000'000;
  std::string snapshot = "false";
  std::string database = "shop";

  std::string value() const {
    return fmt::format(
        R"({{"before":{},"after":{},"source":{{"connector":"postgresql","name":"p","ts_ms":{},"snapshot":"{}","db":"{}",)"
        R"("sequence":"[{},\"{}\"]","ts_us":{},"schema":"public","table":"items","txId":7,"lsn":{}}},"op":"{}"}})",
        op == 'd' ? row : before, op == 'd' || op == 't' ? "null" : row, micros / 1000, snapshot, database, last_commit,
        lsn, micros, lsn, op);
  }
};

class DebeziumClientTest : public testing::Test {
 protected:
  DebeziumClientTest() { open(); }

  void open(const std::string& parameters = "",
            std::map<std::string, std::string> columns = {{"id", "int"}, {"name", "text"}}) {
    CaptureClient config;
    config.client = ClientId{"acme"};
    config.tables = {{"public.items", "items", std::move(columns)}};
    auto target = parse_debezium_url("debezium+kafka://b:1/p" + parameters);
    ASSERT_TRUE(target.ok()) << target.error().message;
    auto made = DebeziumClient::open(config, *target, log_);
    ASSERT_TRUE(made.ok()) << made.error().message;
    client_ = *std::move(made);
  }

  void take(const Message& message, int32_t partition = 0, std::string key = R"({"id":1})",
            std::vector<std::pair<std::string_view, std::string_view>> headers = {}) {
    take_value(message.op == 't' ? message.value() : message.value(), partition, std::move(key), std::move(headers));
  }
  void take_value(const std::string& value, int32_t partition = 0, std::string key = R"({"id":1})",
                  std::vector<std::pair<std::string_view, std::string_view>> headers = {}) {
    DebeziumRecord record{.topic = "p.public.items",
                          .partition = partition,
                          .offset = offsets_[partition]++,
                          .key = key,
                          .value = value,
                          .headers = std::move(headers)};
    Status taken = client_->take(record);
    ASSERT_TRUE(taken.ok()) << taken.error().message;
  }

  // What was appended, "op key position"; ranges as "t position", "a position".
  std::vector<std::string> appended() {
    std::vector<std::string> all;
    auto append = client_->take_append();
    if (!append) return all;
    for (const EventBatch& batch : append->batches) {
      for (size_t i = 0; i < batch.rows(); ++i) {
        all.push_back(fmt::format("{} {} {}", static_cast<char>(batch.ops[i]), row_key_to_string(batch.row_key(i)),
                                  batch.positions[i].to_string()));
      }
      for (const RangeFact& range : batch.ranges) {
        all.push_back(fmt::format("{} {}", static_cast<char>(range.kind), range.position.to_string()));
      }
    }
    std::vector<LogAppend> appends;
    appends.push_back(*std::move(append));
    EXPECT_TRUE(log_.append(appends).ok());
    client_->appended();
    return all;
  }

  std::string stopped() const { return client_->stopped() ? client_->stopped()->reason : ""; }

  MemoryLog log_;
  std::unique_ptr<DebeziumClient> client_;
  std::map<int32_t, int64_t> offsets_;
};

TEST_F(DebeziumClientTest, PositionsAreTheLastCommitAndTheChange) {
  take({.op = 'r', .lsn = 500, .last_commit = "null", .snapshot = "first"});
  take({.op = 'c', .lsn = 600, .last_commit = "null", .micros = 1'000'001});
  take({.op = 'u', .lsn = 1000, .micros = 1'000'002});
  EXPECT_THAT(appended(), ElementsAre("r (1) 1:0/0:0/1F4:0", "c (1) 1:0/1:0/258:0", "u (1) 1:0/384:0/3E8:0"));
}

TEST_F(DebeziumClientTest, ARestartGoesOnBehindWhatIsDurable) {
  take({.lsn = 1000});
  EXPECT_EQ(appended().size(), 1u);
  take({.lsn = 1001, .micros = 1'000'001});  // not appended
  open();
  EXPECT_EQ(client_->next_offset({"p.public.items", 0}), 1);
  offsets_[0] = 0;
  take({.lsn = 1000});
  EXPECT_THAT(appended(), IsEmpty()) << "what is durable is passed over";
  take({.lsn = 1001, .micros = 1'000'001});
  EXPECT_EQ(appended().size(), 1u);
}

TEST_F(DebeziumClientTest, RepeatsOfAConnectorArePassedOver) {
  take({.lsn = 1000, .micros = 5});
  take({.lsn = 2000, .last_commit = "\\\"1900\\\"", .micros = 6});
  take({.lsn = 1000, .micros = 5});
  take({.lsn = 2000, .last_commit = "\\\"1900\\\"", .micros = 6});  // another row may share it
  EXPECT_THAT(appended(), ElementsAre("c (1) 1:0/384:0/3E8:0", "c (1) 1:0/76C:0/7D0:0", "c (1) 1:0/76C:0/7D0:0"));
  EXPECT_EQ(stopped(), "");
}

TEST_F(DebeziumClientTest, ALowerPositionAtALaterTimeStopsAndResetGoesOn) {
  take({.lsn = 2000, .micros = 6});
  EXPECT_EQ(appended().size(), 1u);
  take({.row = R"({"id":1,"name":"of another life"})", .lsn = 1000, .last_commit = "\\\"800\\\"", .micros = 7});
  EXPECT_THAT(stopped(), HasSubstr("came back with a lower position"));
  EXPECT_THAT(client_->stopped()->remedy, HasSubstr("client FILE reset acme"));
  EXPECT_THAT(appended(), IsEmpty());
  EXPECT_EQ(client_->next_offset({"p.public.items", 0}), 1) << "nothing is confirmed of what was not taken";

  log_.states["acme"]["reset"] = "1";
  open();
  offsets_[0] = 1;
  take({.lsn = 1000, .last_commit = "\\\"800\\\"", .micros = 7});
  EXPECT_THAT(appended(), ElementsAre("c (1) 2:0/320:0/3E8:0"));
  EXPECT_FALSE(log_.states["acme"].contains("reset"));
}

TEST_F(DebeziumClientTest, ASecondSnapshotBeginsAnEpochAndRemovesWhatItDoesNotTell) {
  take({.op = 'r', .lsn = 500, .last_commit = "null", .micros = 1, .snapshot = "last"});
  take({.lsn = 1000, .micros = 2});
  take({.lsn = 1000, .micros = 2}, 1);
  EXPECT_THAT(appended(), ElementsAre("r (1) 1:0/0:0/1F4:0", "c (1) 1:0/384:0/3E8:0", "c (1) 1:0/384:0/3E8:0"));
  take({.op = 'r', .lsn = 3000, .last_commit = "\\\"2900\\\"", .micros = 9, .snapshot = "last"});
  EXPECT_THAT(appended(), ElementsAre("r (1) 2:0/B54:0/BB8:0", "a 2:0/0:0/0:0"));
  take({.lsn = 1000, .micros = 2});  // again, from the slot
  EXPECT_THAT(appended(), IsEmpty());
  take({.op = 'u', .lsn = 2500, .last_commit = "\\\"2400\\\"", .micros = 5},
       1);  // before the snapshot, of the other partition
  EXPECT_THAT(appended(), ElementsAre("u (1) 1:0/960:0/9C4:0"));
  take({.op = 'u', .lsn = 3500, .last_commit = "\\\"3400\\\"", .micros = 10}, 1);
  EXPECT_THAT(appended(), ElementsAre("u (1) 2:0/D48:0/DAC:0"));
  EXPECT_EQ(stopped(), "");
}

TEST_F(DebeziumClientTest, ASwitchFromNativeCaptureContinuesInANewEpoch) {
  log_.states["acme"]["stream"] = std::string("\x02\x03\x00\x00\x00", 5);
  open();
  take({});
  EXPECT_THAT(appended(), ElementsAre("c (1) 4:0/384:0/3E8:0"));
}

TEST_F(DebeziumClientTest, TruncateIsARangeAlsoBeforeAnyRowOfThisRun) {
  take({});
  EXPECT_EQ(appended().size(), 1u);
  open();
  take({.op = 't', .lsn = 2000, .micros = 2'000'000}, 0, "");
  EXPECT_THAT(appended(), ElementsAre("t 1:0/384:0/7D0:0"));
}

TEST_F(DebeziumClientTest, AMessageThatIsNoneIsSetAsideAndTheRestFlows) {
  take({});
  take_value("{\"op\":\"c\"");
  take_value(R"({"after":{"id":1,"name":7},"source":{},"op":"c"})");
  take({.row = R"({"id":1,"name":{"a":7}})", .lsn = 1001});
  take({.lsn = 1002});
  EXPECT_EQ(appended().size(), 2u);
  ASSERT_EQ(client_->warnings().size(), 1u);
  EXPECT_THAT(client_->warnings()[0], HasSubstr("3 messages could not be read"));
  size_t dead = 0;
  for (const auto& [key, value] : log_.states["acme"]) dead += key.starts_with(debezium_dead_prefix) ? 1 : 0;
  EXPECT_EQ(dead, 3u);
  auto first = DebeziumDeadMessage::decode(log_.states["acme"]["debezium/dead/p.public.items/0/00000000000000000001"]);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->value, "{\"op\":\"c\"");
}

TEST_F(DebeziumClientTest, AColumnWithoutATypeStopsTheClientBeforeItIsTaken) {
  take({});
  take({.row = R"({"id":2,"name":"x","added":5})", .lsn = 1001}, 0, R"({"id":2})");
  EXPECT_THAT(stopped(), HasSubstr("the type of its column added is not named"));
  EXPECT_EQ(client_->next_offset({"p.public.items", 0}), 1);
  open("", {{"id", "int"}, {"name", "text"}, {"added", "int"}});
  offsets_[0] = 0;
  take({});
  take({.row = R"({"id":2,"name":"x","added":5})", .lsn = 1001}, 0, R"({"id":2})");
  EXPECT_EQ(stopped(), "");
  EXPECT_EQ(appended().size(), 2u);
  EXPECT_EQ(log_.schemas["acme"]["public.items"].size(), 2u);
}

TEST_F(DebeziumClientTest, ATableWithoutAKeyStopsTheClient) {
  take({}, 0, "");
  EXPECT_THAT(stopped(), HasSubstr("has no key"));
}

TEST_F(DebeziumClientTest, ClientsShareTopicsByDatabaseOrHeader) {
  open("?database=acme_db");
  take({.database = "other"});
  take({.lsn = 1001, .database = "acme_db"});
  EXPECT_THAT(appended(), ElementsAre("c (1) 1:0/384:0/3E9:0"));
  log_.states.clear();
  open("?header=tenant:acme");
  offsets_.clear();
  take({});
  take({.lsn = 1001}, 0, R"({"id":1})", {{"tenant", "other"}});
  take({.lsn = 1002}, 0, R"({"id":1})", {{"tenant", "acme"}});
  EXPECT_THAT(appended(), ElementsAre("c (1) 1:0/384:0/3EA:0"));
}

TEST_F(DebeziumClientTest, ClientsShareTopicsByAColumn) {
  open("?column=tenant:7", {{"id", "int"}, {"tenant", "int"}});
  take({.row = R"({"id":1,"tenant":7})"});
  take({.row = R"({"id":1,"tenant":8})", .lsn = 1001});
  take({.row = R"({"id":1,"tenant":8})", .before = R"({"id":1,"tenant":7})", .op = 'u', .lsn = 1002});
  take({.row = R"({"id":1,"tenant":9})", .before = R"({"id":1,"tenant":8})", .op = 'u', .lsn = 1003});
  EXPECT_THAT(appended(), ElementsAre("c (1) 1:0/384:0/3E8:0", "d (1) 1:0/384:0/3EA:0"))
      << "what becomes another's is gone";
  take({.row = R"({"id":1,"tenant":7})", .op = 'd', .lsn = 1004});
  EXPECT_EQ(appended().size(), 1u) << "FULL tells it";
}

TEST_F(DebeziumClientTest, ADeleteThatDoesNotTellWhoseStopsTheClient) {
  open("?column=tenant:7", {{"id", "int"}, {"tenant", "int"}});
  take({.row = R"({"id":1,"tenant":null})", .op = 'd'});
  EXPECT_THAT(stopped(), HasSubstr("a delete in public.items does not tell tenant"));
}

TEST(DebeziumUrl, SaysWhatIsWrong) {
  auto target = parse_debezium_url(
      "debezium+kafka://a:9092,b:9092/"
      "shop.acme?decimal.handling.mode=string&header=tenant:a%3Ab&security.protocol=SSL");
  ASSERT_TRUE(target.ok()) << target.error().message;
  EXPECT_EQ(target->brokers, "a:9092,b:9092");
  EXPECT_EQ(target->prefix, "shop.acme");
  EXPECT_EQ(target->modes.decimals, DecimalMode::kString);
  EXPECT_EQ(target->header, std::pair(std::string("tenant"), std::string("a:b")));
  for (const auto& [url, what] : std::vector<std::pair<std::string, std::string>>{
           {"debezium+kafka://a:1", "no topic prefix"},
           {"debezium+kafka:///p", "HOST:PORT"},
           {"debezium+kafka://me@a:1/p", "sasl.username"},
           {"debezium+kafka://a:1/p?decimal.handling.mode=exact", "precise, double, string"},
           {"debezium+kafka://a:1/p?tenant=x", "there is no parameter tenant"},
           {"debezium+kafka://a:1/p?column=x", "column=NAME:VALUE"},
           {"debezium+kafka://a:1/p?x", "NAME=VALUE"}}) {
    auto refused = parse_debezium_url(url);
    ASSERT_FALSE(refused.ok()) << url;
    EXPECT_THAT(refused.error().message, HasSubstr(what)) << url;
  }
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (char c : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(c));
  return text;
}

std::string stored_state() {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/formats/debezium-state.txt");
  std::string text;
  file >> text;
  return text;
}

TEST(DebeziumState, IsReadBackAndOtherBytesAreRefused) {
  DebeziumState state{.epoch = 2, .dead = 3};
  state.topics["p.public.items"] = {.epoch = 3, .snapshot_change = 5, .snapshot_micros = 6};
  state.partitions[{"p.public.items", 1}] = {
      .next = 7, .highest = {3, 8, 9, 0}, .latest_micros = 10, .repeated = {2, 11, 12, 0}, .repeated_micros = 13};
  std::string bytes = state.encode();
  auto read = DebeziumState::decode(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, state);
  EXPECT_EQ(hex(bytes), stored_state()) << "docs/formats/capture-state.md: stored data directories have these bytes";
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(DebeziumState::decode(bytes.substr(0, size)).ok()) << size;
  EXPECT_FALSE(DebeziumState::decode(bytes + "x").ok());
}

}  // namespace
}  // namespace tributary
