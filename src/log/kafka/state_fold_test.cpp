#include "log/kafka/state_fold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

const ClientId acme("acme");

struct Topic {
  StateFold fold;

  void write(const StateRecordKey& key, std::string_view value) {
    ASSERT_TRUE(fold.apply(key.encode(), value).ok()) << key.encode();
  }
  void lease(uint64_t number, std::string writer) {
    write(
        {.kind = StateRecordKind::kLease, .client = "acme", .number = number, .writer = std::move(writer), .name = {}},
        "1");
  }
  void entry(uint64_t number, std::string name, std::string bytes) {
    write({.kind = StateRecordKind::kSource, .client = "acme", .number = number, .writer = {}, .name = std::move(name)},
          SourceRecordValue{{}, std::move(bytes)}.encode());
  }
  void entries(uint64_t number, const SourceState& all) { entry(number, "", encode_entries(all)); }
  void schema(uint32_t version, std::string writer, std::string column) {
    TableSchema schema;
    schema.table = "public.orders";
    schema.version = version;
    schema.columns = {{std::move(column), {TypeId::kInt64}, "bigint", true, false}};
    schema.key_columns = {0};
    write({.kind = StateRecordKind::kSchema,
           .client = "acme",
           .number = version,
           .writer = std::move(writer),
           .name = "public.orders"},
          schema.encode());
  }
};

TEST(StateRecordKey, GivesBackWhatWasWritten) {
  for (StateRecordKey key : {StateRecordKey{StateRecordKind::kSource, "acme", 3, "", "snapshot/public.a/b"},
                             StateRecordKey{StateRecordKind::kSource, "acme", 3, "", ""},
                             StateRecordKey{StateRecordKind::kLease, "acme", 12, "9f", ""},
                             StateRecordKey{StateRecordKind::kEnds, "acme", 0, "", ""},
                             StateRecordKey{StateRecordKind::kTopic, "", 0, "", "shop.order/created"},
                             StateRecordKey{StateRecordKind::kSchema, "acme", 2, "9f", "public.or/ders"}}) {
    auto read = StateRecordKey::decode(key.encode());
    ASSERT_TRUE(read) << key.encode();
    EXPECT_EQ(read->encode(), key.encode());
    EXPECT_EQ(read->client, key.client);
    EXPECT_EQ(read->name, key.name);
    EXPECT_EQ(read->writer, key.writer);
  }
  EXPECT_FALSE(StateRecordKey::decode("source/acme/x/stream"));
  EXPECT_FALSE(StateRecordKey::decode("later/acme/1/"));
  EXPECT_FALSE(StateRecordKey::decode(""));
}

TEST(StateFold, AnOlderLeaseRemembersNothingAnyMore) {
  Topic topic;
  topic.lease(1, "one");
  topic.entry(1, "stream", "100");
  topic.lease(2, "two");
  topic.entries(2, {{"stream", "100"}});
  topic.entry(2, "stream", "200");
  topic.entry(1, "stream", "150");  // the zombie
  EXPECT_THAT(topic.fold.client(acme).entries, ElementsAre(Pair("stream", "200")));
  EXPECT_EQ(topic.fold.client(acme).owner, "two");
  EXPECT_THAT(topic.fold.client(acme).outdated,
              UnorderedElementsAre("lease/acme/1/one", "source/acme/1/stream", "source/acme/1/stream"));
}

TEST(StateFold, TheFirstLeaseOfANumberCounts) {
  Topic topic;
  topic.lease(1, "one");
  topic.lease(1, "two");
  EXPECT_EQ(topic.fold.client(acme).owner, "one");
  topic.lease(2, "two");
  EXPECT_EQ(topic.fold.client(acme).owner, "two");
}

TEST(StateFold, EntriesAreReplacedRemovedAndReplacedAsAWhole) {
  Topic topic;
  topic.lease(1, "one");
  topic.entry(1, "stream", "1");
  topic.entry(1, "snapshot/public.orders", "half");
  topic.entry(1, "snapshot/public.orders", "");
  EXPECT_THAT(topic.fold.client(acme).entries, ElementsAre(Pair("stream", "1")));
  topic.entries(1, {{"reset", "1"}});
  EXPECT_THAT(topic.fold.client(acme).entries, ElementsAre(Pair("reset", "1")));
}

TEST(StateFold, TheFirstWriterOfASchemaVersionIsRight) {
  Topic topic;
  topic.schema(1, "one", "id");
  topic.schema(1, "two", "number");
  topic.schema(2, "two", "number");
  topic.schema(4, "two", "gap");
  auto client = topic.fold.client(acme);
  const auto& versions = client.schemas["public.orders"];
  ASSERT_EQ(versions.size(), 2U);
  EXPECT_EQ(versions[0]->columns[0].name, "id");
  EXPECT_EQ(versions[1]->columns[0].name, "number");
}

TEST(StateFold, EndsHoldWhoeverWroteThem) {
  StateFold fold;
  AppendedPart part{{"shop.order.created", PartitionId{3}}, Offset{17}, 3, 2, 300};
  StateRecordKey stale{.kind = StateRecordKind::kSource, .client = "acme", .number = 9, .writer = {}, .name = "stream"};
  auto parts = fold.apply(stale.encode(), SourceRecordValue{{part}, "5"}.encode());
  ASSERT_TRUE(parts.ok());
  EXPECT_THAT(*parts, ElementsAre(part));
  EXPECT_THAT(fold.client(acme).entries, IsEmpty());
}

TEST(StateFold, DamagedRecordsAreErrorsAndUnknownOnesAreNot) {
  StateFold fold;
  EXPECT_TRUE(fold.apply("later/acme/1/x", "anything").ok());
  EXPECT_TRUE(fold.apply("source/acme/1/stream", std::nullopt).ok());
  EXPECT_FALSE(fold.apply("source/acme/1/stream", "").ok());
  EXPECT_FALSE(fold.apply("schema/acme/1/one/public.orders", "?").ok());
}

}  // namespace
}  // namespace tributary
