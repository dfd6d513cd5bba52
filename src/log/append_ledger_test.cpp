#include "log/append_ledger.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

const ClientId acme("acme");
const ClientId globex("globex");
const TopicPartition here{"orders", PartitionId{3}};

struct Log {
  AppendLedger ledger;
  uint64_t end = 0;

  void append(const ClientId& client, uint64_t events, uint64_t bytes, int64_t micros) {
    end += events;
    ledger.add({client, here, Offset(end), events, events, bytes, micros});
  }
  // Both clients' events may be in the partition, nobody else's.
  LogLag lag(uint64_t from) {
    return ledger.lag({{here, Offset(end)}}, {{here, Offset(from)}}, {acme, globex, ClientId("elsewhere")},
                      [](const ClientId& client, const TopicPartition&) { return client.value != "elsewhere"; });
  }
};

TEST(AppendLedger, CountsWhatLiesBehindByClientAndPartition) {
  Log log;
  log.append(acme, 10, 100, 1);
  log.append(globex, 5, 50, 2);
  log.append(acme, 20, 200, 3);
  LogLag lag = log.lag(10);
  EXPECT_EQ(lag.clients[acme].events, 20U);
  EXPECT_EQ(lag.clients[acme].bytes, 200U);
  EXPECT_EQ(lag.clients[acme].oldest_micros, 3);
  EXPECT_TRUE(lag.clients[acme].exact);
  EXPECT_EQ(lag.clients[globex].events, 5U);
  EXPECT_EQ(lag.partitions[here].events, 25U);
  EXPECT_EQ(lag.partitions[here].bytes, 250U);
  EXPECT_EQ(lag.partitions[here].oldest_micros, 2);
  EXPECT_TRUE(log.lag(35).clients.empty());
  EXPECT_TRUE(log.lag(35).partitions.empty());
}

TEST(AppendLedger, EventsOfBeforeAreAnUpperBoundForThoseWhoMayHaveThem) {
  Log log;
  log.end = 100;
  log.append(acme, 10, 100, 1);
  LogLag lag = log.lag(60);
  EXPECT_EQ(lag.partitions[here].events, 50U);
  EXPECT_EQ(lag.clients[acme].events, 50U);
  EXPECT_FALSE(lag.clients[acme].exact);
  EXPECT_EQ(lag.clients[globex].events, 40U);
  EXPECT_FALSE(lag.clients[globex].exact);
  EXPECT_FALSE(lag.clients.contains(ClientId("elsewhere")));
  lag = log.lag(100);
  EXPECT_EQ(lag.clients[acme].events, 10U);
  EXPECT_TRUE(lag.clients[acme].exact);
  EXPECT_FALSE(lag.clients.contains(globex));
}

TEST(AppendLedger, EventsMayShareAnOffsetAndAnOffsetMayBeNoEvents) {
  Log log;
  log.end = 7;
  for (int i = 0; i < 3; ++i) log.ledger.add({acme, here, Offset(++log.end), 1, 500, 4096, 1});  // blocks
  log.end += 4;
  log.ledger.add({globex, here, Offset(log.end), 4, 2, 100, 2});  // two deletes, each with its tombstone
  LogLag lag = log.lag(8);
  EXPECT_EQ(lag.clients[acme].events, 1000U);
  EXPECT_TRUE(lag.clients[acme].exact);
  EXPECT_EQ(lag.clients[globex].events, 2U);
  EXPECT_TRUE(lag.clients[globex].exact);
  EXPECT_EQ(lag.partitions[here].events, 1002U);
  EXPECT_EQ(log.lag(10).partitions[here].events, 2U);
}

TEST(AppendLedger, KeepsFewEntriesAndLosesNoEvent) {
  Log log;
  for (int i = 0; i < 10'000; ++i) log.append(acme, 1, 10, 100 + i);
  LogLag lag = log.lag(0);
  EXPECT_EQ(lag.clients[acme].events, 10'000U);
  EXPECT_EQ(lag.clients[acme].bytes, 100'000U);
  EXPECT_EQ(lag.clients[acme].oldest_micros, 100);
  EXPECT_TRUE(lag.clients[acme].exact);
  // Of entries that grew together a part that is read still counts in full.
  lag = log.lag(9'999);
  EXPECT_EQ(lag.partitions[here].events, 1U);
  EXPECT_GE(lag.clients[acme].events, 1U);
  EXPECT_LE(lag.clients[acme].events, 2 * 10'000U / AppendLedger::entries_max);
}

TEST(AppendLedger, FollowsAReaderThatStaysBehind) {
  Log log;
  for (int second = 1; second <= 100; ++second) {
    for (int i = 0; i < 100; ++i) log.append(acme, 1, 10, second);
    if (second <= 5) continue;
    uint64_t behind = 500;
    LogLag lag = log.lag(log.end - behind);
    EXPECT_EQ(lag.partitions[here].events, behind);
    EXPECT_GE(lag.clients[acme].events, behind);
    EXPECT_LE(lag.clients[acme].events, behind + behind / 5);
    EXPECT_GE(lag.clients[acme].oldest_micros, second - 6);
  }
}

}  // namespace
}  // namespace tributary
