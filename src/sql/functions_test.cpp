#include "sql/functions.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "sql/duckdb_handles.h"

namespace tributary {
namespace {

TEST(Functions, EachIsOneOfDuckDbsAndDocumented) {
  DuckDbDatabase database;
  DuckDbConnection connection;
  ASSERT_EQ(duckdb_open_ext(nullptr, database.out(), nullptr, nullptr), DuckDBSuccess);
  ASSERT_EQ(duckdb_connect(database.get(), connection.out()), DuckDBSuccess);
  auto volatile_or_not = [&](const char* condition) {
    std::string sql = std::string(
                          "SELECT string_agg(DISTINCT lower(function_name), chr(10)) FROM duckdb_functions() WHERE "
                          "function_type IN ('scalar', 'macro') AND $1 IS NOT NULL AND ") +
                      condition;
    std::istringstream lines(duckdb_call_text(connection.get(), sql.c_str(), "").value());
    std::set<std::string> names;
    for (std::string line; std::getline(lines, line);) names.insert(line);
    return names;
  };
  std::set<std::string> all = volatile_or_not("true");
  std::set<std::string> not_consistent = volatile_or_not("stability <> 'CONSISTENT'");
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/docs/sql.md");
  std::string document((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (std::string_view name : allowed_functions()) {
    EXPECT_TRUE(all.contains(std::string(name))) << name << " is no function of DuckDB's";
    EXPECT_FALSE(not_consistent.contains(std::string(name))) << name;
    EXPECT_NE(document.find(name), std::string::npos) << name << " is missing in docs/sql.md";
    EXPECT_EQ(refuse_function(name, 2), "");
  }
}

// A row's text may be nested more deeply than the stack is.
TEST(Functions, ThoseThatFollowEachLevelOfJsonAreRefused) {
  for (std::string_view name : {"json_contains", "json_merge_patch", "json_structure"}) {
    EXPECT_NE(refuse_function(name, 2).find("nested deeper"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace tributary
