#include "runtime/releases.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "storage/temporary_directory.h"

namespace tributary {
namespace {

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

class ReleasesTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
    load();
  }
  void load() {
    auto loaded = Releases::load(*storage);
    ASSERT_TRUE(loaded.ok()) << loaded.error().to_string();
    releases = std::move(*loaded);
  }
  void save_and_load() {
    StorageBatch write;
    releases.save(write);
    ASSERT_TRUE(storage->write(write).ok());
    load();
  }
  std::vector<uint32_t> numbers() {
    std::vector<uint32_t> out;
    for (const Release* release : releases.all()) out.push_back(release->number);
    return out;
  }

  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage;
  Releases releases;
};

TEST_F(ReleasesTest, OtherViewsAtAStartTakeThePlaceOfWhatIsLive) {
  releases.start_with("a", 1);
  releases.live().builds["sales"] = 1;
  save_and_load();
  releases.start_with("a", 2);
  EXPECT_EQ(numbers(), std::vector<uint32_t>{1});
  releases.start_with("b", 3);
  save_and_load();
  EXPECT_EQ(numbers(), std::vector<uint32_t>{2});
  EXPECT_EQ(releases.live().views, "b");
  EXPECT_EQ(releases.live().builds.at("sales"), 1U);  // where the plan is the same, the build goes on
  EXPECT_EQ(releases.live().replaced, 0U);
}

TEST_F(ReleasesTest, ViewsOfAKeptReleaseAtAStartChangeNothing) {
  releases.start_with("a", 1);
  releases.add("b", 2);
  releases.add("c", 2).scope.clients.emplace("acme");
  save_and_load();
  releases.start_with("b", 3);
  EXPECT_EQ(releases.live().number, 1U);
  EXPECT_EQ(numbers(), (std::vector<uint32_t>{1, 2, 3}));
  releases.start_with("c", 4);  // of a release with a part of raw only nobody could ever switch to it
  EXPECT_EQ(releases.live().number, 4U);
  EXPECT_EQ(numbers(), (std::vector<uint32_t>{4, 2, 3}));
}

TEST_F(ReleasesTest, WhatWasReplacedIsKnownUntilItIsDropped) {
  releases.start_with("a", 1);
  releases.add("b", 2);
  releases.add("c", 3);
  releases.make_live(2);
  releases.make_live(3);
  save_and_load();
  EXPECT_EQ(releases.live().replaced, 2U);
  releases.make_live(2);  // back
  EXPECT_EQ(releases.live().replaced, 1U);
  releases.make_live(3);
  EXPECT_EQ(releases.live().replaced, 2U);
  releases.remove(2);
  EXPECT_EQ(releases.live().replaced, 0U);
  save_and_load();
  EXPECT_EQ(numbers(), (std::vector<uint32_t>{3, 1}));
  EXPECT_EQ(releases.add("d", 4).number, 4U);
}

TEST_F(ReleasesTest, AGenerationBelongsToWhoeverUsesIt) {
  releases.start_with("a", 1);
  releases.live().builds = {{"sales", 1}, {"people", 1}};
  Release& other = releases.add("b", 2);
  other.builds = {{"sales", 2}, {"people", 1}};
  EXPECT_EQ(releases.only_for(1), nullptr);
  ASSERT_NE(releases.only_for(2), nullptr);
  EXPECT_EQ(releases.only_for(2)->number, 2U);
  EXPECT_TRUE(releases.used_by_live(1));
  EXPECT_FALSE(releases.used_by_live(2));
  Release& part = releases.add("c", 3);
  part.scope.clients.emplace("acme");
  part.builds = {{"sales", 3}};
  EXPECT_TRUE(releases.scope_of(2).whole());
  EXPECT_FALSE(releases.scope_of(3).takes(ClientId("globex")));
}

// docs/formats/state.md, once written: it must be read for ever.
TEST_F(ReleasesTest, StoredBytesAreReadAndWrittenTheSame) {
  std::string value = from_hex(
      "01"
      "025b5d"            // views []
      "0500000000000000"  // made
      "01000000"          // replaced
      "010573616c6573"    // anew: sales
      "07000000"          // first generation
      "010461636d65"      // acme
      "03"
      "0a00000000000000"
      "1400000000000000"
      "e8030000"          // 1,000 events/s
      "010573616c657308000000");
  StorageBatch write;
  write.put(Family::kMeta, std::string("runtime/release/") + from_hex("00000002"), value);
  write.put(Family::kMeta, std::string("runtime/live_release"), from_hex("0203"));
  ASSERT_TRUE(storage->write(write).ok());
  load();
  const Release& release = releases.live();
  EXPECT_EQ(release.number, 2U);
  EXPECT_EQ(release.views, "[]");
  EXPECT_EQ(release.made_micros, 5);
  EXPECT_EQ(release.replaced, 1U);
  EXPECT_EQ(release.again, std::set<std::string>{"sales"});
  EXPECT_EQ(release.first_generation, 7U);
  EXPECT_EQ(release.scope, (FeedScope{.clients = {ClientId("acme")}, .from_micros = 10, .to_micros = 20}));
  EXPECT_EQ(release.events_per_second_max, 1000U);
  EXPECT_EQ(release.builds, (std::map<std::string, uint32_t>{{"sales", 8}}));
  // Written again, after a change and back.
  releases.live().replaced = 0;
  save_and_load();
  releases.live().replaced = 1;
  save_and_load();
  EXPECT_EQ(storage->get(Family::kMeta, std::string("runtime/release/") + from_hex("00000002")).value(), value);

  for (size_t size = 0; size < value.size(); ++size) {
    StorageBatch cut;
    cut.put(Family::kMeta, std::string("runtime/release/") + from_hex("00000002"), value.substr(0, size));
    ASSERT_TRUE(storage->write(cut).ok());
    EXPECT_FALSE(Releases::load(*storage).ok()) << size;
  }
}

}  // namespace
}  // namespace tributary
