#include "config/views_text.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(ViewsText, EverythingThatAFileSaysOfAViewComesBack) {
  ViewConfig all;
  all.name = "sales";
  all.sql = "SELECT id,\n  'ä\\\"' AS x FROM orders";
  all.order_by = {"id", "x"};
  all.partition_by = "toYYYYMM(placed_at)";
  all.ttl_column = "placed_at";
  all.ttl = std::chrono::hours(24);
  all.history = true;
  all.settings = {{"index_granularity", "1024"}};
  ViewConfig plain;
  plain.name = "people";
  plain.sql = "SELECT * FROM users";
  std::string text = views_text({all, plain});
  auto parsed = parse_views_text(text);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->size(), 2U);
  EXPECT_EQ(views_text(*parsed), text);
  const ViewConfig& back = parsed->front();
  EXPECT_EQ(back.name, all.name);
  EXPECT_EQ(back.sql, all.sql);
  EXPECT_EQ(back.order_by, all.order_by);
  EXPECT_EQ(back.partition_by, all.partition_by);
  EXPECT_EQ(back.ttl_column, all.ttl_column);
  EXPECT_EQ(back.ttl, all.ttl);
  EXPECT_TRUE(back.history);
  EXPECT_EQ(back.settings, all.settings);
  EXPECT_FALSE((*parsed)[1].ttl.has_value());
  EXPECT_EQ(views_text({}), "[]");
}

// As it is kept with releases: it must be read for ever.
TEST(ViewsText, StoredTextsAreRead) {
  auto parsed = parse_views_text(
      R"([{"name":"sales","sql":"SELECT id FROM orders","order_by":["id"],"ttl_milliseconds":5,"history":true}])");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->front().sql, "SELECT id FROM orders");
  EXPECT_EQ(parsed->front().ttl, std::chrono::milliseconds(5));
  for (const char* bad : {"", "{}", "[1]", "[{]"}) EXPECT_FALSE(parse_views_text(bad).ok()) << bad;
}

}  // namespace
}  // namespace tributary
