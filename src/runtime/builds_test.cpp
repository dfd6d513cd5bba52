#include "runtime/builds.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

const ClientId acme("acme");

PlanFingerprint plan(const std::string& text) { return {.exact = text}; }

class BuildsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Storage::open(directory.path() / "db", {});
    ASSERT_TRUE(opened.ok());
    storage = std::move(*opened);
    load();
  }
  void load() {
    auto loaded = Builds::load(*storage);
    ASSERT_TRUE(loaded.ok());
    builds = std::move(*loaded);
  }
  void save_and_load() {
    StorageBatch write;
    builds.save(write);
    ASSERT_TRUE(storage->write(write).ok());
    load();
  }
  // As a start does, of one view.
  Build start(const std::string& text, bool nothing_before = false) {
    PlanFingerprint fingerprint = plan(text);
    Build used = builds.use({.view = "sales", .fingerprint = fingerprint, .nothing_before = nothing_before},
                            builds.fresh_generation());
    builds.interrupt_others({used.table()});
    save_and_load();
    return used;
  }

  std::string& cursor_of_first() {
    return std::find_if(builds.refeeds().begin(), builds.refeeds().end(),
                        [](const Refeed& refeed) {
                          return refeed.generation == 2 && refeed.client == acme && refeed.domain == "orders";
                        })
        ->cursor;
  }

  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage;
  Builds builds;
};

TEST_F(BuildsTest, TheFirstBuildIsShownAtOnce) {
  Build first = start("a", true);
  EXPECT_EQ(first.table(), "sales");
  EXPECT_TRUE(first.shown && first.whole);
  EXPECT_EQ(start("a").table(), "sales");
  EXPECT_EQ(builds.all().size(), 1u);
}

TEST_F(BuildsTest, AChangedPlanGetsABuildBesideIt) {
  start("a", true);
  Build second = start("b");
  EXPECT_EQ(second.table(), "sales@2");
  EXPECT_FALSE(second.shown || second.whole);
  ASSERT_NE(builds.shown("sales"), nullptr);
  EXPECT_EQ(builds.shown("sales")->generation, 1u);
  EXPECT_TRUE(builds.find("sales", 1)->interrupted);
  EXPECT_EQ(start("b").generation, 2u) << "it goes on after a start";
}

// The table has a column still that the view lost: one of the same name comes back into the same table only where it fits.
TEST_F(BuildsTest, AColumnThatWasLostIsRememberedWithItsType) {
  auto with = [&](std::optional<TypeId> z) {
    PlanFingerprint made{.exact = z ? std::to_string(static_cast<int>(*z)) : "none",
                         .core = "notes",
                         .outputs = {{"id", {"\"id\"", {TypeId::kInt32}}}},
                         .relation_columns = {"id"}};
    if (z) {
      made.outputs["z"] = {"\"z\"", {*z}};
      made.relation_columns.push_back("z");
    }
    uint32_t generation =
        builds.use({.view = "sales", .fingerprint = made, .nothing_before = false}, builds.fresh_generation())
            .generation;
    save_and_load();
    return generation;
  };
  EXPECT_EQ(with({}), 1U);
  EXPECT_EQ(with(TypeId::kInt32), 1U);
  EXPECT_EQ(with({}), 1U);
  EXPECT_EQ(with(TypeId::kInt64), 1U) << "a wider one fits";
  EXPECT_EQ(with({}), 1U);
  EXPECT_EQ(with(TypeId::kText), 2U);
}

TEST_F(BuildsTest, ABuildThatMissedSomethingIsNotUsedAgain) {
  start("a", true);
  start("b");
  EXPECT_EQ(start("a").generation, 3u);
  builds.remove("sales", 1);
  builds.remove("sales", 2);
  save_and_load();
  EXPECT_EQ(start("c").generation, 4u) << "numbers never come back";
}

TEST_F(BuildsTest, RefeedsAreKeptByGenerationClientAndDomain) {
  builds.add_refeed(2, acme, "orders");
  builds.add_refeed(2, ClientId{"globex"}, "orders");
  builds.add_refeed(2, acme, "users");
  builds.add_refeed(3, acme, "orders");
  ASSERT_EQ(builds.refeeds().size(), 4u);
  cursor_of_first() = "half";
  save_and_load();
  EXPECT_EQ(builds.refeeds().size(), 4u);
  EXPECT_EQ(cursor_of_first(), "half");
  builds.add_refeed(2, acme, "orders");  // from the start, once more
  EXPECT_EQ(builds.refeeds().size(), 4u);
  EXPECT_EQ(cursor_of_first(), "");
  EXPECT_TRUE(builds.being_fed(3));
  std::erase_if(builds.refeeds(), [](const Refeed& refeed) { return refeed.generation == 3; });
  save_and_load();
  EXPECT_FALSE(builds.being_fed(3));
  EXPECT_TRUE(builds.being_fed(2));
}

}  // namespace
}  // namespace tributary
