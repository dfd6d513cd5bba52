#include "runtime/progress_journal.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "storage/temporary_directory.h"

namespace tributary {
namespace {

constexpr int64_t second = 1'000'000;
constexpr int64_t hour = 3600 * second;
constexpr int64_t day = 24 * hour;
constexpr int64_t begin = 1'700'000'000 * second;

const TopicPartition partition{"orders", PartitionId{3}};

class Journal : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
  }
  void note(ProgressJournal& journal, int64_t at, uint64_t captured, uint64_t processed, uint64_t stored) {
    ASSERT_TRUE(journal
                    .note(at, {.captured = {{partition, Offset{captured}}},
                               .processed = {{partition, Offset{processed}}},
                               .stored = {{partition, Offset{stored}}}})
                    .ok());
  }
  size_t entries() {
    size_t count = 0;
    for (StorageIterator it = storage->iterate(Family::kMeta, "runtime/progress/"); it.valid(); it.next()) ++count;
    return count;
  }
  EventTimes times(uint64_t offset) { return times_of(*storage, partition, Offset{offset}).value(); }

  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage;
};

TEST_F(Journal, TellsBetweenWhichLooksAnEventCame) {
  ProgressJournal journal(*storage);
  note(journal, begin, 10, 10, 10);
  note(journal, begin + second, 10, 10, 10);
  note(journal, begin + 2 * second, 14, 10, 10);
  note(journal, begin + 3 * second, 20, 14, 12);
  EXPECT_EQ(entries(), 3U) << "a look at which nothing moved writes nothing";
  EventTimes of = times(13);
  EXPECT_EQ(of.captured, (SeenBetween{begin + second, begin + 2 * second}));
  EXPECT_EQ(of.processed, (SeenBetween{begin + 2 * second, begin + 3 * second}));
  EXPECT_EQ(of.stored, std::nullopt);
  EXPECT_EQ(times(9).captured, (SeenBetween{0, begin})) << "what was there at the first look came at any time before";
  EXPECT_EQ(times(20).captured, std::nullopt);
  EXPECT_EQ(times_of(*storage, {"orders", PartitionId{4}}, Offset{0}).value().captured, std::nullopt);
}

TEST_F(Journal, ANewRunDoesNotKnowWhatWasBetween) {
  {
    ProgressJournal journal(*storage);
    note(journal, begin, 10, 10, 10);
  }
  ProgressJournal journal(*storage);
  note(journal, begin + hour, 12, 12, 12);
  note(journal, begin + hour + second, 13, 13, 13);
  EXPECT_EQ(times(11).captured, (SeenBetween{0, begin + hour}));
  EXPECT_EQ(times(12).captured, (SeenBetween{begin + hour, begin + hour + second}));
}

TEST_F(Journal, ThinsWhatIsOldAndStaysRight) {
  ProgressJournal journal(*storage);
  for (uint64_t i = 0; i < 120; ++i) note(journal, begin + static_cast<int64_t>(i) * second, i + 1, i + 1, i + 1);
  ASSERT_TRUE(journal.thin(begin + 120 * second).ok());
  EXPECT_EQ(entries(), 120U) << "nothing is an hour old";
  ASSERT_TRUE(journal.thin(begin + 2 * hour).ok());
  EXPECT_LE(entries(), 3U);
  for (uint64_t offset : {0, 1, 59, 60, 119}) {
    SeenBetween between = times(offset).captured.value();
    int64_t came = begin + static_cast<int64_t>(offset) * second;
    EXPECT_LT(between.after_micros, came);
    EXPECT_LE(came, between.by_micros);
    EXPECT_LE(between.by_micros - came, 60 * second);
  }
  ASSERT_TRUE(journal.thin(begin + 2 * day).ok());
  EXPECT_LE(entries(), 2U);
  // One stays, however old: later entries say nothing of what it knew.
  ASSERT_TRUE(journal.thin(begin + 40 * day).ok());
  EXPECT_EQ(entries(), 1U);
  note(journal, begin + 40 * day, 130, 130, 130);
  EXPECT_EQ(times(5).captured->after_micros, 0);
  EXPECT_LE(times(5).captured->by_micros, begin + 120 * second);
  EXPECT_EQ(times(125).captured, (SeenBetween{begin + 119 * second, begin + 40 * day}));
}

TEST_F(Journal, StoredBytesStayReadable) {
  StorageBatch batch;
  batch.put(Family::kMeta,
            std::string("runtime/progress/") + from_hex("066f7264657273"
                                                        "00000003"
                                                        "00060a24181e4000")
                                                   .value(),
            from_hex("01"
                     "00401e18240a0600"
                     "ac02"
                     "0a"
                     "00")
                .value());
  ASSERT_TRUE(storage->write(batch).ok());
  EventTimes of = times(9);
  EXPECT_EQ(of.captured, (SeenBetween{begin, begin})) << of.captured->after_micros << " " << of.captured->by_micros;
  EXPECT_EQ(of.processed, of.captured);
  EXPECT_EQ(of.stored, std::nullopt);
  EXPECT_NE(times(299).captured, std::nullopt);
  EXPECT_EQ(times(300).captured, std::nullopt);
}

}  // namespace
}  // namespace tributary
