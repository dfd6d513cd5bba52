#include "runtime/store_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MarkedStore : public AnalyticsStore {
 public:
  Status prepare(std::span<const TableDefinition>, std::span<const ClientId>) override { return {}; }
  Result<std::string> encode(const TableDefinition&, const OutputBatch&) const override { return std::string(); }
  Status insert(const std::string&, std::span<const std::string_view>) override { return {}; }
  Status withdraw(const Withdrawal&) override { return {}; }
  Status drop(const std::string&) override { return {}; }
  Result<std::map<std::string, TableMark>> marks() override {
    if (trouble) return Error{*trouble, "no marks"};
    return tables;
  }

  std::optional<ErrorCode> trouble;
  std::map<std::string, TableMark> tables;
};

class StoreMarksTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
  }
  std::vector<std::string> lost() { return StoreMarks(*storage, store).lost(ours()).value(); }
  // Each with one column.
  static std::vector<TableDefinition> ours() {
    std::vector<TableDefinition> all;
    for (const char* name : {"gone", "made anew", "newer", "older", "other", "sales", "same"}) {
      TableDefinition& table = all.emplace_back();
      table.name = name;
      table.columns.push_back({"country", LogicalType{}});
      table.options.history = true;
    }
    return all;
  }

  TemporaryDirectory directory;
  MarkedStore store;
  std::unique_ptr<Storage> storage;
};

TEST_F(StoreMarksTest, WhatHasLessThanItHadIsLost) {
  store.tables = {
      {"gone", {"a", 1}}, {"made anew", {"b", 2}}, {"older", {"c", 3}}, {"newer", {"d", 4}}, {"same", {"e", 5}}};
  ASSERT_TRUE(StoreMarks(*storage, store).note(ours()).ok());
  EXPECT_THAT(lost(), IsEmpty());
  store.tables = {
      {"made anew", {"x", 9}}, {"older", {"c", 2}}, {"newer", {"d", 5}}, {"same", {"e", 5}}, {"other", {"f", 0}}};
  EXPECT_THAT(lost(), ElementsAre("gone", "made anew", "older"));
  EXPECT_THAT(lost(), ElementsAre("gone", "made anew", "older"));  // until something new is noted
}

TEST_F(StoreMarksTest, WhatWeAlterOurselvesIsForgottenBefore) {
  StoreMarks marks(*storage, store);
  store.tables = {{"sales", {"a", 7}}};
  ASSERT_TRUE(marks.note(ours()).ok());
  ASSERT_TRUE(marks.forget().ok());
  store.tables = {{"sales", {"b", 1}}};
  EXPECT_THAT(lost(), IsEmpty());
  ASSERT_TRUE(marks.note(ours()).ok());
  store.tables = {{"sales", {"b", 0}}};
  EXPECT_THAT(lost(), ElementsAre("sales"));
}

TEST_F(StoreMarksTest, AStoreThatDoesNotTellHasLostNothing) {
  store.tables = {{"sales", {"a", 7}}};
  ASSERT_TRUE(StoreMarks(*storage, store).note(ours()).ok());
  store.trouble = ErrorCode::kUnavailable;  // it is asked again
  EXPECT_EQ(StoreMarks(*storage, store).lost(ours()).error().code, ErrorCode::kUnavailable);
  store.trouble = ErrorCode::kPermissionDenied;  // it will not say
  EXPECT_THAT(lost(), IsEmpty());
}

// Added again by us it would be without its values, and look whole.
TEST_F(StoreMarksTest, ATableThatLacksAColumnThatItHadIsLost) {
  for (const std::string& column : {std::string("country"), history_suffix + std::string("country")}) {
    StoreMarks marks(*storage, store);
    store.tables = {{"sales", {"a", 1, {"_history", "_historycountry", "country", "theirs"}}}};
    EXPECT_THAT(marks.note(ours()).value(), IsEmpty());
    store.tables["sales"].columns.erase("theirs");
    EXPECT_THAT(marks.note(ours()).value(), IsEmpty());
    store.tables["sales"].columns.erase(column);
    EXPECT_THAT(lost(), ElementsAre("sales"));
    EXPECT_THAT(marks.note(ours()).value(), ElementsAre("sales"));
    EXPECT_THAT(lost(), ElementsAre("sales"));  // it was not noted
    // While the table is altered all else is forgotten, and a kill may come.
    ASSERT_TRUE(marks.forget().ok());
    EXPECT_THAT(lost(), ElementsAre("sales"));
    store.tables["sales"].columns.insert(column);
    store.tables["sales"].identity = "b";
    EXPECT_THAT(lost(), IsEmpty());
  }
}

TEST_F(StoreMarksTest, ATableThatGoesWhileWeRunIsLost) {
  StoreMarks marks(*storage, store);
  store.tables = {{"sales", {"a", 1}}, {"replicated", {"", 0}}};
  ASSERT_TRUE(marks.note(ours()).ok());
  store.tables.clear();
  EXPECT_THAT(marks.note(ours()).value(), ElementsAre("sales"));
}

}  // namespace
}  // namespace tributary
