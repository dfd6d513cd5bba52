#include "runtime/untold_progress.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

const TopicPartition first{"order.created", PartitionId{0}};
const TopicPartition second{"order.created", PartitionId{1}};

class UntoldProgressTest : public testing::Test {
 protected:
  void add(const std::string& client, const TopicPartition& at, uint64_t next) {
    LogBlock block{.at = at, .first = Offset{next - 1}, .next = Offset{next}, .events = 1, .bytes = {}, .decoded = {}};
    EventBatch events(ClientId{client}, "orders", std::make_shared<TableSchema>());
    events.positions.push_back({1, next, next, 0});
    events.commit_micros.push_back(static_cast<int64_t>(next));
    untold.add(block, events);
  }
  // "acme 2 events, order.created/0 to 5"
  std::string take(const std::set<std::string>& unfinished) {
    auto of_client = [&](const ClientId& client) { return unfinished.contains(client.value); };
    bool any = untold.can_be_told(of_client, !unfinished.empty());
    OutboxProgress told = untold.take(of_client, !unfinished.empty());
    EXPECT_EQ(any, !told.clients.empty() || !told.consumed.empty());
    std::string out;
    for (const auto& client : told.clients)
      out += fmt::format("{} {} to {}; ", client.client.value, client.events, client.position.commit);
    for (const auto& at : told.consumed) out += fmt::format("{} to {}; ", at.partition.value, at.next.value);
    return out;
  }

  UntoldProgress untold;
};

TEST_F(UntoldProgressTest, OfAClientAndItsPartitionsOnceItsRowsAreThere) {
  add("acme", first, 4);
  add("globex", second, 7);
  EXPECT_EQ(take({"acme"}), "globex 1 to 7; 1 to 7; ");
  EXPECT_EQ(take({"acme"}), "");
  add("acme", first, 5);
  EXPECT_EQ(take({"globex"}), "acme 2 to 5; 0 to 5; ");
  EXPECT_EQ(take({}), "");
}

TEST_F(UntoldProgressTest, APartitionWaitsForAllWhoseEventsAreInIt) {
  add("acme", first, 4);
  add("globex", first, 5);
  EXPECT_EQ(take({"acme"}), "globex 1 to 5; ");
  EXPECT_EQ(untold.clients(), std::set<ClientId>{ClientId{"acme"}});
  add("globex", first, 6);
  EXPECT_EQ(take({"globex"}), "acme 1 to 4; ");
  EXPECT_EQ(take({}), "globex 1 to 6; 0 to 6; ");
}

TEST_F(UntoldProgressTest, WhatWasReadBeforeTheStartWaitsForAll) {
  untold.add_earlier(second, Offset{3});
  EXPECT_EQ(take({"acme"}), "");
  EXPECT_EQ(untold.clients(), std::nullopt);
  EXPECT_EQ(take({}), "1 to 3; ");
  EXPECT_EQ(untold.clients(), std::set<ClientId>{});
}

}  // namespace
}  // namespace tributary
