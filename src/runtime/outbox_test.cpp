#include "runtime/outbox.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

// Bytes as docs/formats/outbox.md has them, once written: they must decode for ever.
const std::string stored_rows = from_hex("0101066f7264657273ac0203616243");
const std::string stored_withdrawal = from_hex(
    "0102066f72646572730461636d65000000010000000000000010000000000000002000000003000000040000000501"
    "6100");
const std::string stored_progress = from_hex(
    "0103010461636d6507c801000000010000000000000010000000000000002000000003010"
    "66f726465727305e807");

TEST(Outbox, StoredRowsDecode) {
  auto entry = decode_outbox_entry(stored_rows);
  ASSERT_TRUE(entry.ok()) << entry.error().to_string();
  const auto& rows = std::get<OutboxRows>(*entry);
  EXPECT_EQ(rows.table, "orders");
  EXPECT_EQ(rows.rows, 300u);
  EXPECT_EQ(rows.encoded, "abC");
  EXPECT_EQ(encode_outbox_entry(*entry).text(), stored_rows);
}

TEST(Outbox, StoredWithdrawalDecodes) {
  auto entry = decode_outbox_entry(stored_withdrawal);
  ASSERT_TRUE(entry.ok()) << entry.error().to_string();
  const Withdrawal& withdrawal = std::get<OutboxWithdrawal>(*entry).withdrawal;
  EXPECT_EQ(withdrawal.view, "orders");
  EXPECT_EQ(withdrawal.client.value, "acme");
  EXPECT_EQ(withdrawal.below, Version::of_row({1, 0x10, 0x20, 3}, 4, 5));
  EXPECT_EQ(withdrawal.low, "a");
  EXPECT_EQ(withdrawal.high, "");
  EXPECT_EQ(encode_outbox_entry(*entry).text(), stored_withdrawal);
}

TEST(Outbox, StoredProgressDecodes) {
  auto entry = decode_outbox_entry(stored_progress);
  ASSERT_TRUE(entry.ok()) << entry.error().to_string();
  const auto& progress = std::get<OutboxProgress>(*entry);
  ASSERT_EQ(progress.clients.size(), 1u);
  EXPECT_EQ(progress.clients[0].client.value, "acme");
  EXPECT_EQ(progress.clients[0].events, 7u);
  EXPECT_EQ(progress.clients[0].commit_micros, 100);
  EXPECT_EQ(progress.clients[0].position, (Position{1, 0x10, 0x20, 3}));
  ASSERT_EQ(progress.consumed.size(), 1u);
  EXPECT_EQ(progress.consumed[0].topic, "orders");
  EXPECT_EQ(progress.consumed[0].partition.value, 5u);
  EXPECT_EQ(progress.consumed[0].next.value, 1000u);
  EXPECT_EQ(encode_outbox_entry(*entry).text(), stored_progress);
}

TEST(Outbox, StoredSwitchDecodes) {
  const std::string stored = from_hex("01040573616c657303");
  auto entry = decode_outbox_entry(stored);
  ASSERT_TRUE(entry.ok()) << entry.error().to_string();
  EXPECT_EQ(std::get<OutboxSwitch>(*entry).view, "sales");
  EXPECT_EQ(std::get<OutboxSwitch>(*entry).generation, 3U);
  EXPECT_EQ(encode_outbox_entry(*entry).text(), stored);
}

TEST(Outbox, CutBytesAreCorrectlyRefused) {
  for (const std::string& stored : {stored_rows, stored_withdrawal, stored_progress}) {
    for (size_t size = 0; size < stored.size(); ++size) {
      EXPECT_FALSE(decode_outbox_entry(stored.substr(0, size)).ok()) << size;
    }
  }
}

TEST(Outbox, KeysOrderByCheckpointThenIndex) {
  EXPECT_LT(outbox_key(Checkpoint{1}, 9), outbox_key(Checkpoint{2}, 0));
  EXPECT_LT(outbox_key(Checkpoint{255}, 0), outbox_key(Checkpoint{256}, 0));
  EXPECT_LT(outbox_key(Checkpoint{2}, 1), outbox_key(Checkpoint{2}, 256));
  EXPECT_EQ(outbox_checkpoint(outbox_key(Checkpoint{77}, 3))->value, 77u);
}

}  // namespace
}  // namespace tributary
