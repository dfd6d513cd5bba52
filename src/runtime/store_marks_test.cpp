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
  std::vector<std::string> lost() { return StoreMarks(*storage, store).lost().value(); }

  TemporaryDirectory directory;
  MarkedStore store;
  std::unique_ptr<Storage> storage;
};

TEST_F(StoreMarksTest, WhatHasLessThanItHadIsLost) {
  store.tables = {
      {"gone", {"a", 1}}, {"made anew", {"b", 2}}, {"older", {"c", 3}}, {"newer", {"d", 4}}, {"same", {"e", 5}}};
  ASSERT_TRUE(StoreMarks(*storage, store).note().ok());
  EXPECT_THAT(lost(), IsEmpty());
  store.tables = {
      {"made anew", {"x", 9}}, {"older", {"c", 2}}, {"newer", {"d", 5}}, {"same", {"e", 5}}, {"other", {"f", 0}}};
  EXPECT_THAT(lost(), ElementsAre("gone", "made anew", "older"));
  EXPECT_THAT(lost(), ElementsAre("gone", "made anew", "older"));  // until something new is noted
}

TEST_F(StoreMarksTest, WhatWeAlterOurselvesIsForgottenBefore) {
  StoreMarks marks(*storage, store);
  store.tables = {{"sales", {"a", 7}}};
  ASSERT_TRUE(marks.note().ok());
  ASSERT_TRUE(marks.forget().ok());
  store.tables = {{"sales", {"b", 1}}};
  EXPECT_THAT(lost(), IsEmpty());
  ASSERT_TRUE(marks.note().ok());
  store.tables = {{"sales", {"b", 0}}};
  EXPECT_THAT(lost(), ElementsAre("sales"));
}

TEST_F(StoreMarksTest, AStoreThatDoesNotTellHasLostNothing) {
  store.tables = {{"sales", {"a", 7}}};
  ASSERT_TRUE(StoreMarks(*storage, store).note().ok());
  store.trouble = ErrorCode::kUnavailable;  // it is asked again
  EXPECT_EQ(StoreMarks(*storage, store).lost().error().code, ErrorCode::kUnavailable);
  store.trouble = ErrorCode::kPermissionDenied;  // it will not say
  EXPECT_THAT(lost(), IsEmpty());
}

}  // namespace
}  // namespace tributary
