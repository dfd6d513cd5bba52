#include "sql/functions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "sql/duckdb_engine.h"
#include "sql/duckdb_handles.h"
#include "sql/view_planner.h"

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

// ---- one row must not end or hold up everybody ----

constexpr rlim_t cpu_seconds_max = 20;

std::string quoted_call(std::string_view name, const std::vector<std::string>& arguments) {
  return fmt::format("\"{}\"({})", name, fmt::join(arguments, ", "));
}

// What a view could give such a parameter of its text `v`.
std::string argument_of(std::string_view type) {
  if (type.ends_with("[]")) return "[v]";
  if (type == "JSON") return "CAST(v AS JSON)";
  if (type == "BLOB") return "encode(v)";
  if (type.find("INT") != std::string_view::npos || type == "DOUBLE" || type == "FLOAT" || type == "DECIMAL")
    return "1";
  bool any = type.find("CHAR") != std::string_view::npos || type == "ANY" || type == "T" || type.empty();
  return any ? "v" : fmt::format("CAST(v AS {})", type);
}

// Calls of a function by all of its forms, with the text of the row in each place, and in each but one.
std::set<std::string> calls_of(DuckDbConnection& connection, std::string_view name) {
  std::string sql = fmt::format(
      "SELECT string_agg(DISTINCT array_to_string(list_transform(parameter_types, lambda t: coalesce(t, 'ANY')), '|'), "
      "chr(10)) "
      "FROM duckdb_functions() WHERE lower(function_name) = '{}' AND function_type IN ('scalar', 'macro') AND $1 IS "
      "NOT NULL",
      name);
  std::istringstream forms(duckdb_call_text(connection.get(), sql.c_str(), "").value());
  std::set<std::string> calls;
  for (std::string form; std::getline(forms, form);) {
    std::istringstream types(form);
    std::vector<std::string> arguments;
    for (std::string type; std::getline(types, type, '|');) arguments.push_back(argument_of(type));
    calls.insert(quoted_call(name, arguments));
    for (std::string& argument : arguments) {
      if (argument == "1") continue;
      for (const char* instead : {"'$..a'", "'(a*)*b'", "left(v, 1000)"}) {
        std::string before = std::exchange(argument, instead);
        calls.insert(quoted_call(name, arguments));
        argument = before;
      }
    }
  }
  return calls;
}

std::string repeated(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

// Those calls that a view may have.
std::vector<std::string> planned(DuckDbEngine& engine, const std::set<std::string>& calls) {
  std::vector<std::string> good;
  for (const std::string& call : calls) {
    for (const std::string& form : {call, fmt::format("CAST({} AS VARCHAR)", call)}) {
      std::string sql = fmt::format("SELECT id, {} AS p FROM texts", form);
      ViewRequest request{.name = "v", .sql = sql, .relations = {}, .attributes = {}};
      request.relations = {{"texts", {{"id", {TypeId::kInt64}, false}, {"v", {TypeId::kText}, true}}, {"id"}}};
      if (!std::holds_alternative<ViewPlan>(plan_view(engine, request))) continue;
      good.push_back(form);
      break;
    }
  }
  return good;
}

// Runs all of them, over texts that are deep and texts that are long, and ends the process with 0.
void run_calls(DuckDbEngine& engine, const std::vector<std::string>& calls) {
  const std::string texts[] = {repeated("[", 200'000) + "1" + repeated("]", 200'000),
                               repeated("{\"a\":", 20'000) + "1" + repeated("}", 20'000),
                               repeated("(", 20'000) + "a" + repeated(")*", 20'000), repeated("a", 100'000)};
  for (const std::string& call : calls) {
    auto program = engine.prepare({{"v", {TypeId::kText}}}, {call});
    if (!program.ok()) continue;
    for (const std::string& text : texts) {
      rusage used{};
      ::getrusage(RUSAGE_SELF, &used);
      rlimit limit{static_cast<rlim_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + cpu_seconds_max, RLIM_INFINITY};
      ::setrlimit(RLIMIT_CPU, &limit);
      std::fprintf(stderr, "%s of %zu letters\n", call.c_str(), text.size());
      Column column({TypeId::kText});
      column.append_bytes(text);
      const Column* inputs[] = {&column};
      (void)(*program)->run(inputs, 1, {});
    }
  }
  std::exit(0);
}

TEST(Functions, NoTextOfARowEndsOrHoldsUpTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  auto run = [] {
    DuckDbDatabase database;
    DuckDbConnection connection;
    CHECK(duckdb_open_ext(nullptr, database.out(), nullptr, nullptr) == DuckDBSuccess);
    CHECK(duckdb_connect(database.get(), connection.out()) == DuckDBSuccess);
    auto engine = DuckDbEngine::open();
    std::vector<std::string> calls;
    for (std::string_view name : allowed_functions()) {
      std::vector<std::string> of_it = planned(**engine, calls_of(connection, name));
      calls.insert(calls.end(), of_it.begin(), of_it.end());
    }
    CHECK(calls.size() > 500, "only {} calls can be planned", calls.size());
    run_calls(**engine, calls);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tributary
