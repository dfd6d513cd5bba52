#include "runtime/dead_letters.h"

#include <gtest/gtest.h>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

const ClientId acme("acme");
const std::string table = "sales";

class DeadLettersTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
  }

  static DeadRow row(const std::string& key, uint64_t commit = 1) {
    return {acme, key, {1, commit, 1, 0}, "no number", {}, {}};
  }
  void fail(const std::vector<DeadRow>& rows) {
    StorageBatch write;
    letters.note(write, table, rows, {});
    commit(write);
  }
  void compute(const std::string& key, uint64_t commit_number = 9) {
    StorageBatch write;
    letters.note(write, table, {}, {{acme, key, {1, commit_number, 1, 0}}});
    commit(write);
  }
  void drop(const std::vector<std::string>& keys) {
    StorageBatch write;
    ASSERT_TRUE(letters.drop(write, *storage, acme, table, keys).ok());
    commit(write);
  }
  void commit(StorageBatch& write) {
    ASSERT_TRUE(storage->write(write).ok());
    letters.commit();
  }
  DeadLetterCount count() {
    auto counts = letters.counts();
    return counts[{acme, table}];
  }
  // Counts are those of the letters that are stored, also after a start.
  void expect_listed(const std::vector<std::string>& keys) {
    std::vector<std::string> listed;
    auto stored = DeadLetters::stored(*storage, acme, table);
    ASSERT_TRUE(stored.ok());
    for (const DeadLetter& letter : *stored) {
      if (!letter.dropped) listed.push_back(letter.key);
    }
    EXPECT_EQ(listed, keys);
    EXPECT_EQ(count().kept, keys.size());
    DeadLetters again(3);
    ASSERT_TRUE(again.load(*storage).ok());
    auto counts = again.counts();
    EXPECT_EQ((counts[{acme, table}].kept), keys.size());
    EXPECT_EQ(again.tables().contains(table), !keys.empty());
  }

  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage;
  DeadLetters letters{3};
};

TEST_F(DeadLettersTest, ARowThatIsComputedIsListedNoMore) {
  fail({row("a"), row("b")});
  fail({row("a", 2)});  // still
  expect_listed({"a", "b"});
  compute("a");
  compute("z");
  expect_listed({"b"});
}

TEST_F(DeadLettersTest, OlderFactsChangeNothing) {
  fail({row("a", 5)});
  compute("a", 4);
  expect_listed({"a"});
  fail({row("a", 3)});
  compute("a", 4);
  expect_listed({"a"});
  compute("a", 5);  // filled, or under other attributes
  expect_listed({});
}

TEST_F(DeadLettersTest, ADroppedLetterIsNotCountedAndOneThatFailsAgainIs) {
  fail({row("a"), row("b"), row("c")});
  drop({"a", "b"});
  expect_listed({"c"});
  compute("a");
  expect_listed({"c"});
  fail({row("b", 2)});
  expect_listed({"b", "c"});
}

TEST_F(DeadLettersTest, TheBreakerCountsWhatItDoesNotKeep) {
  fail({row("a"), row("b"), row("c"), row("d"), row("e")});
  EXPECT_TRUE(count().tripped());
  EXPECT_EQ(count().not_kept, 2u);
  expect_listed({"a", "b", "c"});
  fail({row("a", 2)});  // kept already
  EXPECT_EQ(count().not_kept, 2u);
  drop({});
  EXPECT_FALSE(count().tripped());
  fail({row("f")});
  expect_listed({"f"});
  StorageBatch write;
  letters.forget(write, *storage, acme, table);
  commit(write);
  expect_listed({});
}

TEST_F(DeadLettersTest, RowsThatAreGoneGoWithTheirRange) {
  fail({row("a", 5), row("b", 5), row("c", 9)});
  StorageBatch write;
  ASSERT_TRUE(letters.note_gone(write, *storage, table, {{acme, "b", "", {1, 7, 0, 0}}}).ok());
  commit(write);
  expect_listed({"a", "c"});  // c is newer than what made the range void
}

TEST_F(DeadLettersTest, ARoundThatFailsLeavesNothing) {
  fail({row("a"), row("b")});
  StorageBatch write;
  letters.note(write, table, {row("c"), row("d")}, {{acme, "a", {1, 9, 1, 0}}});
  letters.roll_back();
  expect_listed({"a", "b"});
}

}  // namespace
}  // namespace tributary
