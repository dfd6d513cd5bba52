// One client out of a connector's messages: whose they are, in which order they count, and what stops it.
#include "capture/debezium/debezium_client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "base/hex.h"
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
                          .headers = std::move(headers),
                          .fingerprint = std::hash<std::string>{}(key + value)};
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

TEST_F(DebeziumClientTest, AnUpdateThatDoesNotTellWhoseTheRowWasStopsTheClient) {
  open("?column=tenant:7", {{"id", "int"}, {"tenant", "int"}});
  take({.row = R"({"id":1,"tenant":7})"});
  take({.row = R"({"id":1,"tenant":7})", .op = 'u', .lsn = 1001});
  EXPECT_EQ(stopped(), "");
  take({.row = R"({"id":1,"tenant":8})", .op = 'u', .lsn = 1002});
  EXPECT_THAT(stopped(), HasSubstr("an update in public.items does not tell what tenant was"));
  EXPECT_THAT(appended(), ElementsAre("c (1) 1:0/384:0/3E8:0", "u (1) 1:0/384:0/3E9:0"));
}

TEST_F(DebeziumClientTest, AnUpdateUnderAKeyThatHasTheTenantIsTheTenantsOwn) {
  open("?column=tenant:7", {{"id", "int"}, {"tenant", "int"}});
  take({.row = R"({"id":1,"tenant":7})", .op = 'u'}, 0, R"({"tenant":7,"id":1})");
  take({.row = R"({"id":1,"tenant":8})", .op = 'u', .lsn = 1001}, 0, R"({"tenant":8,"id":1})");
  EXPECT_EQ(stopped(), "");
  EXPECT_EQ(appended().size(), 1u);
}

TEST_F(DebeziumClientTest, ARowThatBecomesOursTellsNothingOfWhoseItWas) {
  open("?column=tenant:7", {{"id", "int"}, {"tenant", "int"}, {"name", "text"}});
  take({.row = R"({"id":1,"tenant":7,"name":"ours now"})",
        .before = R"({"id":1,"tenant":8,"name":"theirs"})",
        .op = 'u'});
  auto append = client_->take_append();
  ASSERT_TRUE(append && append->batches.size() == 1);
  const EventBatch& batch = append->batches[0];
  EXPECT_EQ(batch.ops[0], Op::kCreate);
  for (const Column& column : batch.before) EXPECT_EQ(column.state(0), CellState::kAbsent);
}

TEST_F(DebeziumClientTest, APaddedTenantIsFoundByItsDeclaredType) {
  open("?column=tenant:acme", {{"id", "int"}, {"tenant", "text"}});
  take({.row = R"({"id":1,"tenant":"acme    "})"});
  EXPECT_THAT(stopped(), HasSubstr("blanks behind its tenant"));
  EXPECT_THAT(client_->stopped()->remedy, HasSubstr("tenant: char(8)"));
  open("?column=tenant:acme", {{"id", "int"}, {"tenant", "char(8)"}});
  offsets_.clear();
  take({.row = R"({"id":1,"tenant":"acme    "})"});
  take({.row = R"({"id":2,"tenant":"globex  "})", .lsn = 1001}, 0, R"({"id":2})");
  EXPECT_THAT(appended(), ElementsAre("c (1) 1:0/384:0/3E8:0"));
}

TEST_F(DebeziumClientTest, ATenantOfATypeThatCannotBeComparedIsNamed) {
  open("?column=tenant:7", {{"id", "int"}, {"tenant", "double precision"}});
  take({.row = R"({"id":1,"tenant":7.5})"});
  EXPECT_THAT(stopped(), HasSubstr("tenant of public.items is of a type by which rows cannot be told apart"));
}

TEST_F(DebeziumClientTest, AnothersBrokenMessageIsNotOurs) {
  open("?header=tenant:acme");
  take_value("{", 0, R"({"id":1})", {{"tenant", "globex"}});
  EXPECT_THAT(client_->warnings(), IsEmpty());
  take_value("{", 0, R"({"id":1})", {{"tenant", "acme"}});
  EXPECT_EQ(client_->warnings().size(), 1u);
}

TEST_F(DebeziumClientTest, WhatIsNoChangeEventIsSetAside) {
  take({});
  take_value(R"({"id":1,"name":"flattened"})", 0);
  take_value(R"({"schema":{"type":"struct","fields":[]},"payload":{"id":1}})", 0);
  take_value(R"({"schema":{"type":"string"},"payload":"text"})", 0);
  take_value(R"({"schema":null,"payload":null})", 0);  // a tombstone
  take_value("", 0);  // likewise
  ASSERT_EQ(client_->warnings().size(), 1u);
  EXPECT_THAT(client_->warnings()[0], HasSubstr("3 messages could not be read"));
  EXPECT_EQ(stopped(), "");
}

// Messages, keys and headers, cut, with a byte missing and with one that is no text: all of it is set aside, or read.
TEST_F(DebeziumClientTest, NoBytesOfAMessageBreakAnything) {
  const std::string plain = Message{.before = R"({"id":1,"name":"y"})", .op = 'u', .snapshot = "incremental"}.value();
  const std::string fields =
      R"({"type":"struct","fields":[{"type":"struct","field":"after","fields":[{"type":"int32","field":"id"},)"
      R"({"type":"string","field":"name","optional":true}]}]})";
  const std::string whole = R"({"schema":)" + fields + R"(,"payload":)" + plain + "}";
  const std::string key = R"({"id":1})";
  const std::string key_whole = R"({"schema":{"type":"struct"},"payload":{"id":1}})";
  size_t taken = 0;
  auto give = [&](const std::string& value, const std::string& of_key, const std::string& header) {
    if (client_->stopped() ||
        ++taken % 300 == 0) {  // it stops where no key is left, and after 1,000 that are set aside
      log_.states.clear();
      offsets_.clear();
      open();
    }
    take_value(value, 0, of_key, {{"__debezium.oldkey", header}});
  };
  auto damaged = [](const std::string& text, const std::function<void(const std::string&)>& each) {
    for (size_t at = 0; at < text.size(); ++at) {
      each(text.substr(0, at));
      each(text.substr(0, at) + text.substr(at + 1));
      std::string other = text;
      other[at] = static_cast<char>(0xff);
      each(other);
    }
  };
  for (const std::string& message : {plain, whole}) {
    for (const std::string& with : {key, key_whole}) {
      give(message, with, key);
      damaged(message, [&](const std::string& value) { give(value, with, key); });
    }
    damaged(key, [&](const std::string& other) { give(message, other, key); });
    damaged(key_whole, [&](const std::string& other) { give(message, other, key); });
    damaged(key, [&](const std::string& other) { give(message, key, other); });
    damaged(key_whole, [&](const std::string& other) { give(message, key, other); });
  }
  EXPECT_GT(taken, 3000u);
}

TEST_F(DebeziumClientTest, AMalformedSchemaIsTheMessagesOwnTrouble) {
  take({});
  take_value(R"({"schema":{"type":"struct","fields":"none"},"payload":)" + Message{.lsn = 1001}.value() + "}");
  take({.lsn = 1002});
  EXPECT_EQ(stopped(), "");
  EXPECT_EQ(appended().size(), 2u);
  ASSERT_EQ(client_->warnings().size(), 1u);
}

TEST_F(DebeziumClientTest, AnIncrementalSnapshotsRowsStandWhereTheStreamIs) {
  take({.lsn = 1000});
  std::string row =
      Message{.op = 'r', .lsn = 1, .last_commit = "null", .micros = 9'000'000, .snapshot = "incremental"}.value();
  for (size_t at = row.find("\"lsn\":1}"); at != std::string::npos; at = std::string::npos)
    row.replace(at, 8, "\"lsn\":null}");
  take_value(row);
  take({.lsn = 1001, .micros = 1'000'001});
  EXPECT_THAT(appended(),
              ElementsAre("c (1) 1:0/384:0/3E8:0", "r (1) 1:0/384:0/3E8:2147483648", "c (1) 1:0/384:0/3E9:0"));
  EXPECT_EQ(stopped(), "");
}

TEST_F(DebeziumClientTest, AnIncrementalSnapshotMayComeBeforeAnyChange) {
  std::string row = Message{.op = 'r', .lsn = 1, .last_commit = "null", .snapshot = "incremental"}.value();
  row.replace(row.find("\"lsn\":1}"), 8, "\"lsn\":null}");
  take_value(row);
  take({.op = 'u', .lsn = 700, .last_commit = "null"});
  EXPECT_THAT(appended(), ElementsAre("r (1) 1:0/0:0/0:2147483648", "u (1) 1:0/1:0/2BC:0"));
}

TEST_F(DebeziumClientTest, AFilteredSnapshotLeavesTheOtherRowsWhereTheAddressSaysSo) {
  open("?snapshots=partial");
  take({.op = 'r', .lsn = 500, .last_commit = "null", .micros = 1, .snapshot = "last"});
  take({.op = 'r', .lsn = 3000, .micros = 9, .snapshot = "last"});
  EXPECT_THAT(appended(), ElementsAre("r (1) 1:0/0:0/1F4:0", "r (1) 2:0/384:0/BB8:0"));
  EXPECT_THAT(client_->warnings(), IsEmpty());
}

TEST_F(DebeziumClientTest, ALaterSnapshotIsToldOfSinceItTakesRowsAway) {
  take({.op = 'r', .lsn = 500, .last_commit = "null", .micros = 1, .snapshot = "last"});
  EXPECT_THAT(client_->warnings(), IsEmpty());
  take({.op = 'r', .lsn = 3000, .micros = 9, .snapshot = "last"});
  ASSERT_EQ(client_->warnings().size(), 1u);
  EXPECT_THAT(client_->warnings()[0], HasSubstr("snapshots=partial"));
}

// Rows that nobody wrote since lack it, and no message tells what they have.
TEST_F(DebeziumClientTest, AColumnThatCameIsToldOfUntilAWholeSnapshot) {
  std::map<std::string, std::string> columns{{"id", "int"}, {"name", "text"}, {"tier", "text"}};
  std::string wide = R"({"id":1,"name":"x","tier":"basic"})";
  open("", columns);
  take({.op = 'r', .lsn = 500, .last_commit = "null", .micros = 1, .snapshot = "last"});
  take({.op = 'u', .lsn = 1000, .micros = 2});
  EXPECT_THAT(client_->warnings(), IsEmpty());
  take({.row = wide, .op = 'u', .lsn = 1100, .micros = 3});
  appended();
  for (bool restarted : {false, true}) {
    if (restarted) open("", columns);
    ASSERT_EQ(client_->warnings().size(), 1u);
    EXPECT_THAT(client_->warnings()[0], HasSubstr("tier of public.items came"));
  }
  take({.op = 'u', .lsn = 1200, .micros = 4});  // of another partition's past: what it lacks was known before
  take({.row = wide, .op = 'u', .lsn = 1300, .micros = 5});
  ASSERT_EQ(client_->warnings().size(), 1u);
  take({.row = wide, .op = 'r', .lsn = 3000, .micros = 9, .snapshot = "last"});
  appended();
  open("", columns);
  EXPECT_THAT(client_->warnings(), IsEmpty());
}

TEST_F(DebeziumClientTest, ALaterSnapshotOfOneRowIsWholeOnceTheStreamGoesOn) {
  take({.op = 'r', .lsn = 500, .last_commit = "null", .micros = 1, .snapshot = "last"});
  take({.op = 'r', .lsn = 3000, .micros = 9, .snapshot = "first"});  // the only row of a first table has no other mark
  EXPECT_THAT(appended(), ElementsAre("r (1) 1:0/0:0/1F4:0", "r (1) 2:0/384:0/BB8:0"));
  open();  // and a restart in between
  take({.op = 'u', .lsn = 3500, .last_commit = "\\\"3400\\\"", .micros = 10});
  EXPECT_THAT(appended(), ElementsAre("u (1) 2:0/D48:0/DAC:0", "a 2:0/0:0/0:0"));
}

TEST_F(DebeziumClientTest, ATopicMadeAnewIsNoticedByTheLastRecord) {
  const TopicPartitionKey key{"p.public.items", 0};
  take({.lsn = 1000});
  take({.lsn = 1001, .micros = 1'000'001});
  EXPECT_EQ(appended().size(), 2u);
  open();
  client_->find(key, 0, 4);
  EXPECT_EQ(client_->begin_offset(key), 1);
  offsets_[0] = 1;
  take({.lsn = 1001, .micros = 1'000'001});  // the same one
  EXPECT_EQ(stopped(), "");
  open();
  client_->find(key, 0, 4);
  offsets_[0] = 1;
  take({.lsn = 5001, .micros = 5'000'001});
  EXPECT_THAT(stopped(), HasSubstr("another message at offset 1"));
  EXPECT_THAT(appended(), IsEmpty());

  log_.states["acme"]["reset"] = "1";
  open();
  client_->find(key, 0, 4);
  offsets_[0] = 1;
  take({.lsn = 5001, .micros = 5'000'001});
  EXPECT_EQ(stopped(), "");
  EXPECT_TRUE(client_->goes_back());
  EXPECT_EQ(client_->next_offset(key), 0);
  offsets_[0] = 0;
  take({.lsn = 5000, .micros = 5'000'000});
  take({.lsn = 5001, .micros = 5'000'001});
  EXPECT_THAT(appended(), ElementsAre("c (1) 2:0/384:0/1388:0", "c (1) 2:0/384:0/1389:0"));
}

TEST_F(DebeziumClientTest, AfterAResetATopicWithoutTheWantedOffsetIsReadFromItsBeginning) {
  const TopicPartitionKey key{"p.public.items", 0};
  for (uint64_t i = 0; i < 5; ++i) take({.lsn = 1000 + i});
  EXPECT_EQ(appended().size(), 5u);
  open();
  client_->find(key, 0, 2);
  EXPECT_THAT(stopped(), HasSubstr("the topic was made anew"));
  log_.states["acme"]["reset"] = "1";
  open();
  client_->find(key, 0, 2);
  EXPECT_EQ(stopped(), "");
  EXPECT_EQ(client_->begin_offset(key), 0);
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
           {"debezium+kafka://a:1/p?snapshots=some", "whole or partial"},
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

std::vector<std::string> stored_states() {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/formats/debezium-state.txt");
  std::vector<std::string> lines;
  for (std::string line; file >> line;) lines.push_back(line);
  return lines;
}

TEST(DebeziumState, IsReadBackAndOtherBytesAreRefused) {
  DebeziumState state{.epoch = 2, .dead = 3};
  state.topics["p.public.items"] = {.epoch = 3, .snapshot_change = 5, .snapshot_micros = 6, .absence_due = 14};
  state.partitions[{"p.public.items", 1}] = {.next = 7,
                                             .highest = {3, 8, 9, 0},
                                             .latest_micros = 10,
                                             .repeated = {2, 11, 12, 0},
                                             .repeated_micros = 13,
                                             .last_offset = 6,
                                             .last_fingerprint = 15,
                                             .may_be_anew = true};
  std::string bytes = state.encode();
  auto read = DebeziumState::decode(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, state);
  ASSERT_EQ(stored_states().size(), 2u);
  EXPECT_EQ(hex(bytes), stored_states()[1])
      << "docs/formats/capture-state.md: stored data directories have these bytes";
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(DebeziumState::decode(bytes.substr(0, size)).ok()) << size;
  EXPECT_FALSE(DebeziumState::decode(bytes + "x").ok());
}

TEST(DebeziumState, OfVersion1IsRead) {
  auto bytes = from_hex(stored_states()[0]);
  ASSERT_TRUE(bytes.has_value());
  auto read = DebeziumState::decode(*bytes);
  ASSERT_TRUE(read.ok());
  const DebeziumPartition& partition = read->partitions.at({"p.public.items", 1});
  EXPECT_EQ(partition.next, 7);
  EXPECT_EQ(partition.repeated_micros, 13);
  EXPECT_EQ(partition.last_offset, -1);
}

}  // namespace
}  // namespace tributary
