#include "config/table_options.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

constexpr const char* begin_of_file = R"(pipeline: shop
clients: { acme: { source: "postgresql://t@db.example/shop" } }
domains: { orders: { table: public.orders } }
views:
  daily:
    sql: SELECT 1
)";

struct Read {
  std::string errors;
  TableOptions options;
};

// A view that is sorted by (day, country), with a column beside them.
Read read(const std::string& keys, std::vector<std::string> order_by = {"day", "country"}) {
  auto loaded = parse_pipeline("shop.yaml", begin_of_file + keys);
  if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) return {errors->at(0).to_string(), {}};
  const auto& pipeline = std::get<Pipeline>(loaded);
  ViewPlan plan{.name = "daily", .order_by = std::move(order_by)};
  plan.nodes.push_back({.columns = {{"day", {TypeId::kDate}, true},
                                    {"at", {TypeId::kTimestamp}, false},
                                    {"country", {TypeId::kText}, true},
                                    {"orders", {TypeId::kInt64}, true}}});
  Read out;
  for (const FileError& error : read_table_options(pipeline, pipeline.views[0], plan)) {
    out.errors += error.to_string() + "\n";
  }
  out.options = plan.options;
  return out;
}

TEST(TableOptions, AreReadIntoThePlan) {
  Read all = read(
      "    partition_by: (toYYYYMM( day ),cityHash64(country)  % 4, `country`) -- by month\n"
      "    ttl: day + 90d\n    settings: { index_granularity: 1024, merge_with_ttl_timeout: 60 }\n");
  EXPECT_EQ(all.errors, "");
  EXPECT_EQ(all.options.partition_by, "(toYYYYMM(day), cityHash64(country) % 4, `country`)");
  EXPECT_EQ(all.options.ttl_column, "day");
  EXPECT_EQ(all.options.ttl, std::chrono::hours(90 * 24));
  EXPECT_EQ(all.options.settings.at("index_granularity"), "1024");
  EXPECT_EQ(read("    ttl: 2h\n").options.ttl_column, "day");  // the only time in the key
  EXPECT_EQ(read("    partition_by: client_id\n").options.partition_by, "client_id");
}

// Each at its own place in the file.
TEST(TableOptions, WhatWouldBreakReplacementIsRefused) {
  auto refused = [](const std::string& keys, const std::string& what) {
    std::string errors = read(keys).errors;
    EXPECT_NE(errors.find(what), std::string::npos) << keys << errors;
  };
  refused("    partition_by: toYYYYMM(at)\n",
          "shop.yaml:7:28: view daily: partition_by: \"at\" is no column that every");
  refused("    partition_by: intDiv(orders, 10)\n", "shop.yaml:7:26: view daily: partition_by: \"orders\"");
  refused("    partition_by: toYYYYMM(_version)\n", "\"_version\" is no column");
  refused("    partition_by: toYYYYMM(now())\n", "7:28: view daily: partition_by: the function now is not known");
  refused("    partition_by: toYYYMM(day)\n", "did you mean toYYYYMM?");
  refused("    partition_by: toYYYYMM(day\n", "do not close");
  refused("    partition_by: day) SETTINGS a = 1 --\n", "it is one expression");
  refused("    partition_by: day, country\n", "write several as (a, b)");
  refused("    partition_by: (SELECT 1)\n", "\"SELECT\" is no column");
  refused("    partition_by: country = 'de'\n", "\"=\" has no place in it");
  refused("    ttl: at + 90d\n", "shop.yaml:7:10: view daily: ttl: \"at\" is no column that every version");
  refused("    ttl: country + 90d\n", "country is no date or timestamp");
  refused("    ttl: day + 5\n", "a column and a duration like placed_at + 90d");
  refused("    ttl: day + 500ms\n", "a column and a duration");
  EXPECT_NE(read("    ttl: 90d\n", {"country"}).errors.find("none of the columns"), std::string::npos);
  EXPECT_NE(read("    ttl: 90d\n", {"day", "at"}).errors.find("more than one of the columns"), std::string::npos);
  refused("    settings: { fsync_after_insert: 0 }\n",
          "shop.yaml:7:17: view daily: settings: fsync_after_insert is the");
  refused("    settings: { clean_deleted_rows: Always }\n", "clean_deleted_rows is the pipeline's own");
  refused("    settings: { \"a = 1, b\": 0 }\n", "is no setting's name");
}

}  // namespace
}  // namespace tributary
