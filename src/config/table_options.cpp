#include "config/table_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/clickhouse_tokens.h"
#include "base/nearest_name.h"
#include "config/scalars.h"
#include "contracts/text_place.h"

namespace tributary {
namespace {

// ClickHouse's functions whose result depends on their arguments alone, wherever and whenever they run.
constexpr std::array<std::string_view, 36> partition_functions = {"toYYYYMM",
                                                                  "toYYYYMMDD",
                                                                  "toDate",
                                                                  "toYear",
                                                                  "toQuarter",
                                                                  "toMonth",
                                                                  "toISOWeek",
                                                                  "toMonday",
                                                                  "toStartOfYear",
                                                                  "toStartOfMonth",
                                                                  "toStartOfWeek",
                                                                  "toStartOfDay",
                                                                  "toStartOfQuarter",
                                                                  "toStartOfHour",
                                                                  "intDiv",
                                                                  "modulo",
                                                                  "positiveModulo",
                                                                  "tuple",
                                                                  "cityHash64",
                                                                  "sipHash64",
                                                                  "xxHash64",
                                                                  "murmurHash3_64",
                                                                  "crc32",
                                                                  "lower",
                                                                  "upper",
                                                                  "substring",
                                                                  "left",
                                                                  "right",
                                                                  "length",
                                                                  "toString",
                                                                  "toUInt8",
                                                                  "toUInt16",
                                                                  "toUInt32",
                                                                  "toUInt64",
                                                                  "if",
                                                                  "ifNull"};

// What makes an acknowledged row durable, a row replaceable, or takes tombstones away while older facts can come.
constexpr std::array<std::string_view, 9> kept_settings = {
    "allow_nullable_key",
    "allow_experimental_replacing_merge_with_cleanup",
    "clean_deleted_rows",
    "enable_replacing_merge_with_cleanup_for_min_age_to_force_merge",
    "fsync_after_insert",
    "fsync_part_directory",
    "non_replicated_deduplication_window",
    "replicated_deduplication_window",
    "storage_policy"};

class OptionsReader {
 public:
  OptionsReader(const Pipeline& pipeline, const ViewConfig& view, ViewPlan& plan)
      : pipeline_(pipeline), view_(view), plan_(plan) {}

  std::vector<FileError> read() {
    if (!view_.partition_by.empty()) read_partition_by();
    if (view_.ttl) read_ttl();
    for (const auto& [name, value] : view_.settings) read_setting(name, value);
    return std::move(errors_);
  }

 private:
  void fail(TextPlace place, std::string message) {
    errors_.push_back({pipeline_.file, place, fmt::format("view {}: {}", view_.name, message)});
  }
  bool replaces_by(const std::string& column) const {
    return std::find(plan_.order_by.begin(), plan_.order_by.end(), column) != plan_.order_by.end();
  }
  std::string not_in_key(std::string_view key, const std::string& column) const {
    return fmt::format(
        "{}: \"{}\" is no column that every version of a row shares; {}", key, shown(column),
        plan_.order_by.empty() ? "the view has none" : fmt::format("there are: {}", fmt::join(plan_.order_by, ", ")));
  }

  // A view that is no file's has no places.
  TextPlace place_in_partition_by(size_t offset) const {
    if (view_.partition_offsets.empty()) return view_.place;
    return place_at(*pipeline_.text, view_.partition_offsets[std::min(offset, view_.partition_offsets.size() - 1)]);
  }

  void read_partition_by() {
    ClickHouseTokens tokens(view_.partition_by);
    std::string text;
    int depth = 0;
    SqlToken token = tokens.next();
    while (token.kind != SqlTokenKind::kEnd) {
      SqlToken following = tokens.next();
      std::string wrong = wrong_token(token, following, depth);
      if (!wrong.empty()) {
        return fail(place_in_partition_by(token.begin), wrong);
      }
      bool tight = text.empty() || text.back() == '(' || token.is_symbol(')') || token.is_symbol(',') ||
                   (token.is_symbol('(') && text.back() != ',' && text.back() != ' ');
      if (!tight) text += ' ';
      text += token.text;
      token = following;
    }
    if (depth != 0 || text.empty()) {
      return fail(place_in_partition_by(0),
                  "partition_by: its parentheses do not close; write an expression like toYYYYMM(day)");
    }
    plan_.options.partition_by = std::move(text);
  }

  // Empty: it may stand there.
  std::string wrong_token(const SqlToken& token, const SqlToken& following, int& depth) const {
    std::string text(token.text);
    switch (token.kind) {
      case SqlTokenKind::kNumber:
      case SqlTokenKind::kString: return "";
      case SqlTokenKind::kQuotedIdentifier: text = text.substr(1, text.size() - 2); [[fallthrough]];
      case SqlTokenKind::kWord:
        if (token.kind == SqlTokenKind::kWord && following.is_symbol('(')) {
          bool known =
              std::find(partition_functions.begin(), partition_functions.end(), text) != partition_functions.end();
          std::vector<std::string> names(partition_functions.begin(), partition_functions.end());
          auto nearest = nearest_name(text, names);
          return known ? ""
                       : fmt::format("partition_by: the function {} is not known here; {}", shown(text),
                                     nearest ? fmt::format("did you mean {}?", *nearest)
                                             : fmt::format("there are: {}", fmt::join(names, ", ")));
        }
        return text == "client_id" || replaces_by(text) ? "" : not_in_key("partition_by", text);
      case SqlTokenKind::kSymbol:
        if (token.is_symbol('(')) ++depth;
        if (token.is_symbol(')')) --depth;
        if (depth < 0 || (depth == 0 && token.is_symbol(','))) {
          return "partition_by: it is one expression; write several as (a, b)";
        }
        if (std::string_view("(),+-*/%").find(text[0]) != std::string_view::npos) return "";
        [[fallthrough]];
      default:
        return fmt::format("partition_by: \"{}\" has no place in it; write toYYYYMM(day) or the like", shown(text));
    }
  }

  void read_ttl() {
    TextPlace place = pipeline_.place_of(view_, "ttl");
    auto is_time = [&](const std::string& name) {
      for (const OutputColumn& column : plan_.columns()) {
        TypeId type = column.type.id;
        if (column.name == name) {
          return type == TypeId::kDate || type == TypeId::kTimestamp || type == TypeId::kTimestampTz;
        }
      }
      return false;
    };
    std::string column = view_.ttl_column;
    if (column.empty()) {
      std::vector<std::string> times;
      std::copy_if(plan_.order_by.begin(), plan_.order_by.end(), std::back_inserter(times), is_time);
      if (times.size() != 1) {
        return fail(place,
                    fmt::format("ttl: after which time? {} of the columns that every version of a row shares ({}) "
                                "is a date or timestamp; write ttl: COLUMN + {}",
                                times.empty() ? "none" : "more than one", fmt::join(plan_.order_by, ", "), "90d"));
      }
      column = times[0];
    }
    if (!replaces_by(column)) return fail(place, not_in_key("ttl", column));
    if (!is_time(column)) return fail(place, fmt::format("ttl: {} is no date or timestamp", column));
    plan_.options.ttl_column = column;
    plan_.options.ttl = std::chrono::duration_cast<std::chrono::seconds>(*view_.ttl);
  }

  void read_setting(const std::string& name, const std::string& value) {
    TextPlace place = pipeline_.place_of(view_, "settings." + name);
    auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    if (name.empty() || !std::all_of(name.begin(), name.end(), fits)) {
      return fail(place, fmt::format("settings: \"{}\" is no setting's name", shown(name)));
    }
    if (std::find(kept_settings.begin(), kept_settings.end(), name) != kept_settings.end()) {
      return fail(
          place,
          fmt::format("settings: {} is the pipeline's own: rows are durable and replaced by it; take it out", name));
    }
    if (value.find_first_of(std::string_view("\n\0", 2)) != std::string::npos) {
      return fail(place, fmt::format("settings: {} has a value of more than one line", name));
    }
    plan_.options.settings[name] = value;
  }

  const Pipeline& pipeline_;
  const ViewConfig& view_;
  ViewPlan& plan_;
  std::vector<FileError> errors_;
};

}  // namespace

std::vector<FileError> read_table_options(const Pipeline& pipeline, const ViewConfig& view, ViewPlan& plan) {
  return OptionsReader(pipeline, view, plan).read();
}

}  // namespace tributary
