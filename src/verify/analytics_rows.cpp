#include "verify/analytics_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "verify/compared_rows.h"
#include "verify/value_types.h"

namespace tributary {
namespace {

const std::string& name_in_analytics(const VerifyView& view, size_t column) {
  return view.names_in_analytics.empty() ? view.columns[column].name : view.names_in_analytics[column];
}

constexpr uint64_t staging_rows_max = 65'536;
constexpr size_t staging_bytes_max = size_t{32} << 20;

// A literal for ClickHouse; nullopt where this type's is not worth saying.
std::optional<std::string> analytics_literal(LogicalType type, const std::string& text) {
  auto quoted = [](std::string_view value) {
    std::string out = "'";
    for (char c : value) {
      if (c == '\'' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    return out + "'";
  };
  switch (type.id) {
    case TypeId::kInt16:
    case TypeId::kInt32:
    case TypeId::kInt64:
    case TypeId::kUInt64:
      if (text.empty() || text.find_first_not_of("-0123456789") != std::string::npos) return std::nullopt;
      return text;
    case TypeId::kText: return quoted(text);
    case TypeId::kUuid: return "toUUID(" + quoted(text) + ")";
    default: return std::nullopt;
  }
}

}  // namespace

std::string analytics_query(const VerifyView& view, const std::vector<size_t>& key,
                            const std::vector<VerifyKey>* keys) {
  auto quoted = [](std::string_view name) {
    std::string out = "`";
    for (char c : name) {
      if (c == '`') out.push_back('`');
      if (c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    return out + "`";
  };
  // Escapes in a name do not pass the client's gate: such a column is asked for by its place.
  auto asked = [&](size_t i) {
    const std::string& name = name_in_analytics(view, i);
    bool plain = std::ranges::none_of(
        name, [](char c) { return c == '\\' || c == '\x7F' || static_cast<unsigned char>(c) < ' '; });
    return plain ? quoted(name) : fmt::format("tupleElement(tuple(*), {})", i + 1);
  };
  std::vector<std::string> columns;
  for (size_t i = 0; i < view.columns.size(); ++i) {
    columns.push_back(analytics_expression(view.columns[i].type, asked(i)));
  }
  std::string sql = fmt::format("SELECT {}, if(empty(_unrepresentable), NULL, toJSONString(_unrepresentable)) FROM {}",
                                fmt::join(columns, ", "), quoted(view.name));
  if (keys == nullptr || key.empty()) return sql;
  std::vector<std::string> names;
  for (size_t column : key) names.push_back(asked(column));
  std::vector<std::string> tuples;
  for (const VerifyKey& values : *keys) {
    std::vector<std::string> parts;
    for (size_t i = 0; i < key.size(); ++i) {
      auto literal = analytics_literal(view.columns[key[i]].type, values[i]);
      if (!literal) return sql;
      parts.push_back(std::move(*literal));
    }
    tuples.push_back(fmt::format("({})", fmt::join(parts, ", ")));
  }
  return fmt::format("{} WHERE ({}) IN ({})", sql, fmt::join(names, ", "), fmt::join(tuples, ", "));
}

AnalyticsLoader::AnalyticsLoader(ScratchDatabase& database, const VerifyView& view)
    : database_(database),
      view_(view),
      reader_(view.columns.size() + 1, [this](TabSeparatedReader::Row cells) { return add(cells); }) {}

Status AnalyticsLoader::open() {
  return database_.run("CREATE OR REPLACE TABLE main.__a (" + compared_columns_sql(view_) + ")");
}

Status AnalyticsLoader::feed(std::string_view piece) { return reader_.feed(piece); }

Status AnalyticsLoader::add(TabSeparatedReader::Row cells) {
  if (!staging_) {
    std::vector<std::string> columns;
    for (size_t i = 0; i < cells.size(); ++i) columns.push_back(fmt::format("s{} VARCHAR", i));
    RETURN_IF_ERROR(
        database_.run(fmt::format("CREATE OR REPLACE TABLE main.__staging ({})", fmt::join(columns, ", "))));
    staging_.emplace(database_, "__staging", cells.size());
  }
  RETURN_IF_ERROR(staging_->add(cells));
  for (const auto& cell : cells) staged_bytes_ += cell ? cell->size() : 0;
  if (++staged_rows_ >= staging_rows_max || staged_bytes_ >= staging_bytes_max) return convert();
  return {};
}

Status AnalyticsLoader::convert() {
  if (!staging_) return {};
  RETURN_IF_ERROR(staging_->flush());
  staging_.reset();
  std::string held_column = fmt::format("s{}", view_.columns.size());
  std::vector<std::string> values;
  std::vector<std::string> inner;
  for (size_t i = 0; i < view_.columns.size(); ++i) {
    LogicalType type = view_.columns[i].type;
    std::string raw = fmt::format("s{}", i);
    std::string held =
        fmt::format("json_extract_string({}, {})", held_column, member_path(name_in_analytics(view_, i)));
    // The held text counts, whatever the column has.
    inner.push_back(
        fmt::format("CASE WHEN {0} IS NULL THEN CAST(NULL AS VARCHAR) ELSE {1} END AS h{2}", held_column, held, i));
    inner.push_back(raw);
    values.push_back(fmt::format("CASE WHEN h{0} IS NULL THEN {1} ELSE {2} END AS v{0}, coalesce(h{0}, s{0}) AS g{0}",
                                 i, parse_analytics(type, raw), parse_source(type, fmt::format("h{}", i), false)));
  }
  std::vector<std::string> texts;
  for (size_t i = 0; i < view_.columns.size(); ++i) {
    texts.push_back(fmt::format("v{0}, CASE WHEN g{0} IS NOT NULL AND v{0} IS NULL THEN g{0} END AS t{0}", i));
  }
  RETURN_IF_ERROR(database_.run(fmt::format(
      "INSERT INTO main.__a SELECT {} FROM (SELECT {} FROM (SELECT {} FROM (SELECT {} FROM main.__staging)))",
      gathered_sql(view_), fmt::join(texts, ", "), fmt::join(values, ", "), fmt::join(inner, ", "))));
  staged_rows_ = 0;
  staged_bytes_ = 0;
  return database_.run("DROP TABLE main.__staging");
}

Status AnalyticsLoader::finish() {
  RETURN_IF_ERROR(reader_.finish());
  return convert();
}

}  // namespace tributary
