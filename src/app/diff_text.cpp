#include "app/diff_text.h"

#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "app/json_line.h"

namespace tributary {
namespace {

using nlohmann::json;

void print_sample(const char* sign, const json& row) { std::printf("      %s %s\n", sign, json_line(row).c_str()); }

}  // namespace

void print_table_diff(const json& entry, const char* before, const char* after) {
  bool none = entry["added"] == 0 && entry["removed"] == 0 && entry["changed"] == 0;
  std::printf("%s  %s: %s %s, %s %s%s\n", entry["client"].get<std::string>().c_str(),
              entry["view"].get<std::string>().c_str(), entry["rows_before"].dump().c_str(), before,
              entry["rows_after"].dump().c_str(), after, none ? ", equal" : "");
  if (!none) {
    std::printf("    added %s, removed %s, changed %s\n", entry["added"].dump().c_str(),
                entry["removed"].dump().c_str(), entry["changed"].dump().c_str());
  }
  for (const json& column : entry["columns_added"])
    std::printf("    new column %s\n", column.get<std::string>().c_str());
  for (const json& column : entry["columns_removed"])
    std::printf("    no column %s any more\n", column.get<std::string>().c_str());
  for (const auto& [column, sum] : entry["sums"].items()) {
    std::printf("    sum(%s): %s -> %s%s\n", column.c_str(), sum["before"].get<std::string>().c_str(),
                sum["after"].get<std::string>().c_str(),
                sum["delta"].is_string() ? fmt::format(" ({})", sum["delta"].get<std::string>()).c_str() : "");
  }
  for (const json& row : entry["samples"].value("added", json::array())) print_sample("+", row);
  for (const json& row : entry["samples"].value("removed", json::array())) print_sample("-", row);
  for (const json& row : entry["samples"].value("changed", json::array())) {
    print_sample("-", row["before"]);
    print_sample("+", row["after"]);
  }
}

}  // namespace tributary
