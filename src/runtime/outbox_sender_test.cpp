#include "runtime/outbox_sender.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

using testing::HasSubstr;

// Takes rows of every table but "refused".
class PickyStore : public AnalyticsStore {
 public:
  Status prepare(std::span<const TableDefinition>, std::span<const ClientId>) override { return {}; }
  Result<std::string> encode(const TableDefinition&, const OutputBatch&) const override { return std::string(); }
  Status insert(const std::string& table, std::span<const std::string_view> encoded) override {
    if (refuses && table == "refused") return Error{ErrorCode::kInvalidInput, "its columns do not fit"};
    std::lock_guard lock(mutex);
    inserted[table] += encoded.size();
    return {};
  }
  Result<std::map<std::string, TableMark>> marks() override { return std::map<std::string, TableMark>{}; }
  Status drop(const std::string&) override { return {}; }
  Status withdraw(const Withdrawal& withdrawal) override {
    if (withdrawals_left == 0) return Error{ErrorCode::kUnavailable, "away"};
    --withdrawals_left;
    withdrawn.push_back(withdrawal.client.value + withdrawal.low + withdrawal.below.to_decimal());
    return {};
  }

  std::mutex mutex;
  size_t withdrawals_left = 1'000'000;
  std::vector<std::string> withdrawn;
  bool refuses = true;
  std::map<std::string, size_t> inserted;
};

class OutboxSenderTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
    open();
  }
  void open() {
    sender = std::make_unique<OutboxSender>(*storage, store, SenderLimits{.aside_bytes_max = 100'000});
    ASSERT_TRUE(sender->open().ok());
  }
  void add(const std::string& table, size_t bytes) { add(OutboxRows{table, 1, std::string(bytes, 'x')}); }
  // Everything below a version that only its last byte tells.
  void add_withdrawal(const std::string& table, const std::string& client, const std::string& low, uint8_t below) {
    OutboxWithdrawal withdrawal;
    withdrawal.withdrawal.view = table;
    withdrawal.withdrawal.client = ClientId{client};
    withdrawal.withdrawal.low = low;
    withdrawal.withdrawal.below = version(below);
    add(withdrawal);
  }
  static Version version(uint8_t of) {
    Version version;
    version.bytes.back() = of;
    return version;
  }
  void add(const OutboxEntry& rows) {
    StorageBatch batch;
    std::string entry = encode_outbox_entry(rows).text();
    batch.put(Family::kOutbox, outbox_key(Checkpoint{++checkpoint}, 0), entry);
    ASSERT_TRUE(storage->write(batch).ok());
    sender->note_added(entry.size());
  }
  void send_all() {
    while (true) {
      Result<bool> sent = sender->send([] { return true; });
      ASSERT_TRUE(sent.ok()) << sent.error().to_string();
      if (!*sent) return;
    }
  }
  uint64_t stored_bytes() {
    uint64_t bytes = 0;
    for (StorageIterator it = storage->iterate(Family::kOutbox, {}); it.valid(); it.next()) bytes += it.value().size();
    return bytes;
  }

  TemporaryDirectory directory;
  PickyStore store;
  std::unique_ptr<Storage> storage;
  std::unique_ptr<OutboxSender> sender;
  uint64_t checkpoint = 0;
};

TEST_F(OutboxSenderTest, ATableSetAsideIsNoBackPressureForTheOthers) {
  for (int i = 0; i < 50; ++i) {
    add("refused", 1000);
    add("good", 10);
  }
  send_all();
  EXPECT_EQ(sender->waiting_bytes(), 0U);
  EXPECT_EQ(store.inserted["good"], 50U);
  EXPECT_THAT(sender->set_aside()["refused"], HasSubstr("do not fit"));
  // Within the limit nothing is lost: mended, it gets all of its rows.
  store.refuses = false;
  sender->offer_again();
  EXPECT_GT(sender->waiting_bytes(), 50'000U);
  send_all();
  EXPECT_EQ(store.inserted["refused"], 50U);
  EXPECT_EQ(sender->waiting_bytes(), 0U);
  EXPECT_EQ(stored_bytes(), 0U);
  EXPECT_TRUE(sender->set_aside().empty());
}

// The rounds' thread notes what it added when its round has ended, and what it added may be gone by then.
TEST_F(OutboxSenderTest, WhatIsSentBeforeItIsNotedDoesNotCountAsWaiting) {
  StorageBatch batch;
  std::string entry = encode_outbox_entry(OutboxRows{"good", 1, std::string(100, 'x')}).text();
  batch.put(Family::kOutbox, outbox_key(Checkpoint{++checkpoint}, 0), entry);
  ASSERT_TRUE(storage->write(batch).ok());
  send_all();
  EXPECT_EQ(store.inserted["good"], 1U);
  EXPECT_EQ(sender->waiting_bytes(), 0U);
  sender->note_added(entry.size());
  EXPECT_EQ(sender->waiting_bytes(), 0U);
  add("good", 10);
  EXPECT_EQ(sender->waiting_bytes(), stored_bytes());
}

// A round may have committed rows of a table that is to be widened first.
TEST_F(OutboxSenderTest, NothingIsSentBeforeItsTablesArePrepared) {
  add("good", 10);
  bool tables_changed = true;
  auto prepared = [&] {
    EXPECT_TRUE(tables_changed || store.inserted.empty());
    return !std::exchange(tables_changed, false);
  };
  Result<bool> sent = sender->send(prepared);
  EXPECT_TRUE(sent.ok() && *sent);  // there is something to do
  EXPECT_TRUE(store.inserted.empty());
  EXPECT_EQ(sender->waiting_bytes(), stored_bytes());
  sent = sender->send(prepared);
  EXPECT_TRUE(sent.ok() && *sent);
  EXPECT_EQ(store.inserted["good"], 1U);
}

TEST_F(OutboxSenderTest, BeyondItsLimitATableSetAsideIsIncompleteByName) {
  for (int i = 0; i < 300; ++i) add("refused", 1000);
  send_all();
  EXPECT_EQ(sender->waiting_bytes(), 0U);
  EXPECT_LE(stored_bytes(), 100'000U);
  EXPECT_THAT(sender->set_aside()["refused"], HasSubstr("incomplete"));
  // That stays so, whatever the store takes later, and whoever looks.
  store.refuses = false;
  sender->offer_again();
  send_all();
  EXPECT_EQ(stored_bytes(), 0U);
  open();
  EXPECT_THAT(sender->set_aside()["refused"], HasSubstr("incomplete"));
  // Only another build of it ends that.
  ASSERT_TRUE(sender->forget_table("refused").ok());
  EXPECT_TRUE(sender->set_aside().empty());
  open();
  EXPECT_TRUE(sender->set_aside().empty());
}

TEST_F(OutboxSenderTest, AWithdrawalThatALaterOneCoversIsNotSent) {
  for (uint8_t i = 1; i <= 100; ++i) {
    add("good", 10);
    add_withdrawal("good", "acme", "a", i);
    add_withdrawal("good", "acme", "b", i);
  }
  add_withdrawal("good", "globex", "a", 3);
  add_withdrawal("good", "globex", "a", 2);  // not all that the one before does
  add("good", 10);
  // Nothing is called done that was left to one that is not done.
  store.withdrawals_left = 1;
  EXPECT_FALSE(sender->send([] { return true; }).ok());
  EXPECT_EQ(sender->waiting_bytes(), stored_bytes());
  store.withdrawn.clear();
  store.withdrawals_left = 100;
  open();
  send_all();
  EXPECT_THAT(store.withdrawn, testing::ElementsAre("acmea100", "acmeb100", "globexa3", "globexa2"));
  EXPECT_EQ(stored_bytes(), 0U);
}

TEST_F(OutboxSenderTest, WhatWasThroughOfABatchIsNotBegunAnew) {
  for (int i = 0; i < 10; ++i) {
    add("good", 10);
    add_withdrawal("good", "client" + std::to_string(i), "", 1);
  }
  store.withdrawals_left = 7;
  EXPECT_FALSE(sender->send([] { return true; }).ok());
  open();
  store.withdrawals_left = 100;
  send_all();
  EXPECT_EQ(store.withdrawn.size(), 10U);
  EXPECT_EQ(store.inserted["good"], 11U);  // those before the one that failed twice
  EXPECT_EQ(sender->waiting_bytes(), 0U);
}

TEST_F(OutboxSenderTest, WhatWaitsForADroppedTableIsGoneForTheNextRun) {
  for (bool kept : {false, true}) {  // by a table set aside
    add("refused", 1000);
    add("good", 10);
    if (kept) send_all();
    ASSERT_TRUE(sender->forget_table("refused").ok());
    EXPECT_EQ(sender->waiting_bytes(), stored_bytes());
    open();  // as after a kill
    send_all();
    EXPECT_TRUE(sender->set_aside().empty());
    EXPECT_EQ(sender->waiting_bytes(), 0U);
    EXPECT_EQ(stored_bytes(), 0U);
  }
}

}  // namespace
}  // namespace tributary
