// What the runtime keeps beside its rounds, as bytes of docs/formats/state.md once written: they must be read for ever.
#include <gtest/gtest.h>

#include "runtime/builds.h"
#include "runtime/dead_letters.h"
#include "runtime/stored_facts.h"
#include "storage/temporary_directory.h"

namespace tributary {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

class StoredFacts : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
  }
  void put(Family family, std::string_view key, std::string_view value) {
    StorageBatch batch;
    batch.put(family, key, value);
    ASSERT_TRUE(storage->write(batch).ok());
  }
  std::string get(Family family, std::string_view key) { return storage->get(family, key).value().value_or(""); }

  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage;
};

TEST_F(StoredFacts, AMarkAndAnIncompleteTableAreRead) {
  put(Family::kMeta, "runtime/mark/sales", from_hex("0700000000000000") + "an identity");
  put(Family::kMeta, "runtime/incomplete/lost one", "lost");
  put(Family::kMeta, "runtime/incomplete/refused", "");
  EXPECT_EQ(stored_marks(*storage).value(), (std::map<std::string, TableMark>{{"sales", {"an identity", 7}}}));
  EXPECT_EQ(stored_incomplete(*storage).value(),
            (std::map<std::string, Incomplete>{{"lost one", Incomplete::kLost}, {"refused", Incomplete::kDropped}}));
  StorageBatch again;
  put_mark(again, "again", {"an identity", 7});
  put_incomplete(again, "again", Incomplete::kLost);
  ASSERT_TRUE(storage->write(again).ok());
  EXPECT_EQ(get(Family::kMeta, "runtime/mark/again"), get(Family::kMeta, "runtime/mark/sales"));
  EXPECT_EQ(get(Family::kMeta, "runtime/incomplete/again"), "lost");
}

TEST_F(StoredFacts, ADeadLetterIsRead) {
  // Operator 4 · client acme · table sales · key "k". Position 1:0/10:0/20:3 · dropped · "no".
  std::string key = from_hex(
      "0004"
      "0461636d65"
      "0573616c6573"
      "6b");
  std::string value = from_hex(
      "01"
      "000000010000000000000010000000000000002000000003"
      "01"
      "026e6f");
  put(Family::kState, key, value);
  auto letters = DeadLetters::stored(*storage, ClientId("acme"), "sales");
  ASSERT_TRUE(letters.ok()) << letters.error().to_string();
  ASSERT_EQ(letters->size(), 1U);
  const DeadLetter& letter = letters->front();
  EXPECT_EQ(letter.key, "k");
  EXPECT_EQ(letter.position, (Position{1, 0x10, 0x20, 3}));
  EXPECT_EQ(letter.reason, "no");
  EXPECT_TRUE(letter.dropped);
  StorageBatch again;
  DeadLetters::put(again, ClientId("acme"), "sales", letter);
  ASSERT_TRUE(storage->write(again).ok());
  EXPECT_EQ(get(Family::kState, key), value);
}

TEST_F(StoredFacts, BuildsAndWhatIsFedToThemAreRead) {
  std::string build_key = "runtime/build/" + from_hex(
                                                 "0573616c6573"
                                                 "00000002");
  std::string build = from_hex(
      "01"
      "02"
      "01"
      "026162"
      "00"
      "00"
      "00");
  std::string refeed_key = "runtime/refeed/" + from_hex(
                                                   "00000002"
                                                   "0461636d65"
                                                   "066f7264657273");
  put(Family::kMeta, build_key, build);
  put(Family::kMeta, refeed_key, "cursor");
  put(Family::kMeta, "runtime/generation", from_hex("02000000"));
  auto builds = Builds::load(*storage);
  ASSERT_TRUE(builds.ok()) << builds.error().to_string();
  ASSERT_EQ(builds->all().size(), 1U);
  const Build& first = builds->all().front();
  EXPECT_EQ(first.table(), "sales@2");
  EXPECT_TRUE(first.whole);
  EXPECT_FALSE(first.shown || first.interrupted);
  EXPECT_EQ(first.fingerprint.exact, "ab");
  EXPECT_EQ(builds->refeeds(), (std::vector<Refeed>{{2, ClientId("acme"), "orders", "cursor"}}));
  EXPECT_EQ(builds->fresh_generation(), 3U);

  builds->find("sales", 2)->shown = true;
  StorageBatch write;
  builds->save(write);
  ASSERT_TRUE(storage->write(write).ok());
  EXPECT_EQ(get(Family::kMeta, build_key), from_hex("01"
                                                    "03"
                                                    "02"
                                                    "026162"
                                                    "00"
                                                    "00"
                                                    "00"));
  put(Family::kMeta, build_key,
      from_hex("02"
               "03"));
  EXPECT_FALSE(Builds::load(*storage).ok());
}

}  // namespace
}  // namespace tributary
