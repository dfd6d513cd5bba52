#include "store/clickhouse/table_layout.h"

#include <algorithm>
#include <charconv>

#include "base/clickhouse_tokens.h"

namespace tributary {
namespace {

constexpr std::string_view first_line = "tributary layout";

}  // namespace

std::string ttl_sql(const TableDefinition& table) {
  std::string column = quote_identifier(table.options.ttl_column);
  bool is_date = std::any_of(table.columns.begin(), table.columns.end(), [&](const OutputColumn& each) {
    return each.name == table.options.ttl_column && each.type.id == TypeId::kDate;
  });
  std::string seconds = is_date ? fmt::format("toInt64(toInt32({})) * 86400", column)
                                : fmt::format("intDiv(toUnixTimestamp64Micro({}), 1000000)", column);
  return fmt::format(
      "toDateTime(toUInt32(ifNull(if(({0}) = 0, 4294967295, greatest(least(({0}) + {1}, 4294967295), 1)), "
      "4294967295)), 'UTC')",
      seconds, table.options.ttl.count());
}

std::string layout_comment(const TableOptions& options) {
  if (options.partition_by.empty() && options.ttl_column.empty() && options.settings.empty()) return {};
  std::string out(first_line);
  if (!options.partition_by.empty()) out += "\npartition_by " + options.partition_by;
  if (!options.ttl_column.empty()) out += fmt::format("\nttl {} {}", options.ttl_column, options.ttl.count());
  for (const auto& [name, value] : options.settings) out += fmt::format("\nset {} {}", name, value);
  return out;
}

TableOptions layout_of(std::string_view comment) {
  TableOptions options;
  if (!comment.starts_with(first_line)) return options;
  while (!comment.empty()) {
    size_t end = std::min(comment.find('\n'), comment.size());
    std::string_view line = comment.substr(0, end);
    comment.remove_prefix(std::min(end + 1, comment.size()));
    size_t space = std::min(line.find(' '), line.size());
    std::string_view kind = line.substr(0, space);
    std::string_view rest = line.substr(std::min(space + 1, line.size()));
    if (kind == "partition_by") options.partition_by = rest;
    if (kind == "ttl") {
      size_t last = rest.rfind(' ');
      int64_t seconds = 0;
      std::from_chars(rest.data() + std::min(last + 1, rest.size()), rest.data() + rest.size(), seconds);
      options.ttl_column = rest.substr(0, last);
      options.ttl = std::chrono::seconds(seconds);
    }
    if (kind == "set") {
      space = std::min(rest.find(' '), rest.size());
      options.settings[std::string(rest.substr(0, space))] = rest.substr(std::min(space + 1, rest.size()));
    }
  }
  return options;
}

std::string partition_clause(const TableOptions& options) {
  return options.partition_by.empty() ? "" : " PARTITION BY " + options.partition_by;
}

std::string ttl_clause(const TableDefinition& table) {
  return table.options.ttl_column.empty() ? "" : " TTL " + ttl_sql(table);
}

std::string settings_clause(const TableOptions& options) {
  std::string out;
  for (const auto& [name, value] : options.settings) out += fmt::format(", {} = {}", name, quote_text(value));
  return out;
}

bool needs_new_table(const TableOptions& was, const TableOptions& wanted) {
  auto granularity = [](const TableOptions& options) {
    std::string all;
    for (const char* name : {"index_granularity", "index_granularity_bytes"}) {
      auto found = options.settings.find(name);
      all += (found == options.settings.end() ? "" : found->second) + ",";
    }
    return all;
  };
  return was.partition_by != wanted.partition_by || granularity(was) != granularity(wanted);
}

std::vector<std::string> layout_changes(const TableOptions& was, const TableDefinition& table) {
  const TableOptions& wanted = table.options;
  if (layout_comment(was) == layout_comment(wanted)) return {};
  std::vector<std::string> changes;
  for (const auto& [name, value] : was.settings) {
    if (!wanted.settings.contains(name)) changes.push_back("RESET SETTING " + name);
  }
  for (const auto& [name, value] : wanted.settings) {
    auto known = was.settings.find(name);
    if (known == was.settings.end() || known->second != value) {
      changes.push_back(fmt::format("MODIFY SETTING {} = {}", name, quote_text(value)));
    }
  }
  if (!wanted.ttl_column.empty() && (was.ttl_column != wanted.ttl_column || was.ttl != wanted.ttl)) {
    changes.push_back("MODIFY TTL " + ttl_sql(table));
  } else if (wanted.ttl_column.empty() && !was.ttl_column.empty()) {
    changes.emplace_back("REMOVE TTL");
  }
  changes.push_back("MODIFY COMMENT " +
                    quote_text(layout_comment(wanted)));  // last: what is not done yet is done again
  return changes;
}

}  // namespace tributary
