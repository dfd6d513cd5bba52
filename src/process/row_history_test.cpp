#include "process/row_history.h"

#include <gtest/gtest.h>

#include <map>

namespace tributary {
namespace {

class RowHistoryTest : public testing::Test {
 protected:
  // nullptr: absent.
  void fact(Op op, int64_t id, uint64_t at, const char* name, const char* body, std::optional<int64_t> moved = {}) {
    EventBatch batch(ClientId{"acme"}, "items", schema_);
    batch.ops.push_back(op);
    batch.positions.push_back({1, at, at, 0});
    batch.commit_micros.push_back(7);
    batch.transactions.push_back(8);
    batch.columns[0].append_fixed<int64_t>(id);
    for (auto [index, text] : {std::pair{1, name}, {2, body}}) {
      auto& column = batch.columns[static_cast<size_t>(index)];
      if (text == nullptr) {
        column.append_absent();
      } else {
        column.append_bytes(text);
      }
    }
    if (moved) batch.moved.push_back({0, key(*moved)});
    facts_[key(id)].push_back(std::move(batch));
  }

  std::string key(int64_t id) const {
    EventBatch batch(ClientId{"acme"}, "items", schema_);
    batch.ops.push_back(Op::kCreate);
    batch.columns[0].append_fixed<int64_t>(id);
    return batch.row_key(0);
  }

  // "name body position" of the completed row, or "nothing".
  std::string completed(int64_t id) {
    auto row =
        complete_row(key(id), [&](const std::string& of) { return Result<std::vector<EventBatch>>(facts_[of]); });
    EXPECT_TRUE(row.ok());
    if (!row.ok() || !*row) return "nothing";
    EXPECT_TRUE((*row)->validate().ok());
    return std::string((*row)->columns[1].bytes(0)) + " " + std::string((*row)->columns[2].bytes(0)) + " " +
           (*row)->positions[0].to_string();
  }

  SchemaPtr schema_ = [] {
    TableSchema table;
    table.table = "public.items";
    table.version = 1;
    table.columns = {{"id", {TypeId::kInt64}, "bigint", true, false},
                     {"name", {TypeId::kText}, "text", false, true},
                     {"body", {TypeId::kText}, "text", false, true}};
    table.key_columns = {0};
    return std::make_shared<TableSchema>(std::move(table));
  }();
  std::map<std::string, std::vector<EventBatch>> facts_;
};

TEST_F(RowHistoryTest, WhatTheNewestFactLeavesOutIsTheNewestThatOlderOnesTell) {
  fact(Op::kUpdate, 1, 30, "c", nullptr);
  fact(Op::kCreate, 1, 10, "a", "old");
  fact(Op::kUpdate, 1, 20, "b", "long");
  EXPECT_EQ(completed(1), "c long 1:0/1E:0/1E:1073741824");
}

TEST_F(RowHistoryTest, ARowTakesItsValuesFromTheKeysThatItHad) {
  fact(Op::kSnapshot, 1, 10, "a", "long");
  fact(Op::kUpdate, 1, 15, "b", nullptr);
  fact(Op::kDelete, 1, 20, nullptr, nullptr, 2);
  fact(Op::kCreate, 2, 20, "b", nullptr, 1);
  fact(Op::kDelete, 2, 30, nullptr, nullptr, 3);
  fact(Op::kCreate, 3, 30, "b", nullptr, 2);
  fact(Op::kUpdate, 3, 40, "c", nullptr);
  fact(Op::kCreate, 1, 50, "another row under the old key", "other");
  EXPECT_EQ(completed(3), "c long 1:0/28:0/28:1073741824");
}

TEST_F(RowHistoryTest, NothingOfAnEarlierRowUnderTheKeyIsTaken) {
  fact(Op::kCreate, 1, 10, "a", "of the deleted row");
  fact(Op::kDelete, 1, 20, nullptr, nullptr);
  fact(Op::kCreate, 1, 30, "b", nullptr);
  EXPECT_EQ(completed(1), "nothing");
  fact(Op::kUpdate, 1, 40, "c", nullptr);
  EXPECT_EQ(completed(1), "nothing");
}

TEST_F(RowHistoryTest, WholeAndDeletedRowsNeedNothing) {
  fact(Op::kCreate, 1, 10, "a", "b");
  EXPECT_EQ(completed(1), "nothing");
  fact(Op::kDelete, 1, 20, nullptr, nullptr);
  EXPECT_EQ(completed(1), "nothing");
  EXPECT_EQ(completed(2), "nothing");
}

}  // namespace
}  // namespace tributary
