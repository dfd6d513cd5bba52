#include "verify/stand_ins.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "verify/domain_loader.h"
#include "verify/view_sql.h"

namespace tributary {
namespace {

constexpr size_t texts_max = 100;
constexpr uint64_t tries_max = 1000;

std::string held_text(const std::string& column) {
  return fmt::format("json_extract_string({}, {})", texts_column, member_path(column));
}

// The n-th pair of SQL values of `type`; nullopt where the type can hold everything, or has no room.
std::optional<std::pair<std::string, std::string>> candidate(const std::string& type, uint64_t n) {
  auto both = [&](const std::string& low, const std::string& high) {
    return std::pair{fmt::format("CAST({} AS {})", low, type), fmt::format("CAST({} AS {})", high, type)};
  };
  if (type.starts_with("DECIMAL(")) {
    size_t comma = type.find(',');
    auto precision = std::stoul(type.substr(8));
    auto scale = std::stoul(type.substr(comma + 1));
    // With room for sums: at most 15 digits before the point.
    std::string digits(std::min(precision, scale + 15), '9');
    std::string last = std::to_string(n);
    if (last.size() >= digits.size()) return std::nullopt;
    digits.replace(digits.size() - last.size(), last.size(), last);
    if (scale > 0) digits.insert(digits.size() - scale, digits.size() == scale ? "0." : ".");
    return both("'-" + digits + "'", "'" + digits + "'");
  }
  int64_t k = static_cast<int64_t>(n) + 1;
  if (type == "SMALLINT") return both(std::to_string(-32768 + k), std::to_string(32767 - k));
  if (type == "INTEGER") return both(std::to_string(-2147483647 + k), std::to_string(2147483647 - k));
  if (type == "BIGINT") return both(std::to_string(INT64_MIN + k), std::to_string(INT64_MAX - k));
  if (type == "UBIGINT") return both(std::to_string(k + 1000), std::to_string(UINT64_MAX - n));
  if (type == "DATE") return both(fmt::format("DATE '0101-01-01' + {}", k), fmt::format("DATE '8999-01-01' - {}", k));
  if (type.starts_with("TIMESTAMP")) {
    return both(fmt::format("TIMESTAMP '0101-01-01 00:00:00' + to_seconds({})", k),
                fmt::format("TIMESTAMP '8999-01-01 00:00:00' - to_seconds({})", k));
  }
  if (type == "VARCHAR") return both(fmt::format("chr(1) || 'low {}'", n), fmt::format("'\U0010FFFF high {}'", n));
  if (type == "JSON") return both(fmt::format("'\"low stand-in {}\"'", n), fmt::format("'\"{{high stand-in {}\"'", n));
  return std::nullopt;
}

}  // namespace

Status StandIns::add_column(Place place, const std::optional<std::set<std::string>>& used) {
  if (used && !used->contains(lower_case(place.column))) return {};
  std::string held = held_text(place.column);
  ASSIGN_OR_RETURN(auto texts,
                   database_.rows(fmt::format("SELECT DISTINCT {} FROM {} WHERE {} IS NOT NULL AND {} IS NOT NULL "
                                              "LIMIT {}",
                                              held, place.table, texts_column, held, texts_max + 1)));
  if (texts.size() > texts_max) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{}.{} has more than {} different values that its type cannot hold", place.relation,
                             place.column, texts_max)};
  }
  for (ScratchRow& text : texts) place.texts.push_back(*text[0]);
  places_.push_back(std::move(place));
  return {};
}

Result<bool> StandIns::occurs(const std::string& type, const Pair& pair) {
  for (const auto& [text, other] : chosen_[type]) {
    if (other.low == pair.low) return true;
  }
  for (const Place& place : places_) {
    if (place.type != type) continue;
    ASSIGN_OR_RETURN(uint64_t count,
                     database_.number(fmt::format("SELECT count(*) FROM {} WHERE {} IN ({}, {})", place.table,
                                                  quote_duckdb_identifier(place.column), pair.low, pair.high)));
    if (count > 0) return true;
  }
  return false;
}

Status StandIns::choose() {
  for (const Place& place : places_) {
    for (const std::string& text : place.texts) {
      if (chosen_[place.type].contains(text)) continue;
      uint64_t n = 0;
      for (;; ++n) {
        auto values = candidate(place.type, n);
        if (!values || n > tries_max) {
          return Error{ErrorCode::kInvalidInput, fmt::format("{}.{} is {}, and no value of {} can stand for that",
                                                             place.relation, place.column, text, place.type)};
        }
        Pair pair{std::move(values->first), std::move(values->second)};
        ASSIGN_OR_RETURN(bool taken, occurs(place.type, pair));
        if (taken) continue;
        chosen_[place.type].emplace(text, std::move(pair));
        break;
      }
    }
  }
  std::erase_if(chosen_, [](const auto& entry) { return entry.second.empty(); });
  return {};
}

std::string StandIns::value(const std::string& relation, const std::string& column, bool high) const {
  for (const Place& place : places_) {
    if (place.relation != relation || place.column != column || place.texts.empty()) continue;
    std::string out = "CASE " + held_text(column);
    for (const std::string& text : place.texts) {
      const Pair& pair = chosen_.at(place.type).at(text);
      out += fmt::format(" WHEN {} THEN {}", quote_duckdb_text(text), high ? pair.high : pair.low);
    }
    return out + fmt::format(" ELSE {} END", quote_duckdb_identifier(column));
  }
  return {};
}

std::string StandIns::text(const std::string& type, const std::string& value, bool high) const {
  auto found = chosen_.find(type);
  if (found == chosen_.end()) return {};
  std::string out = "CASE " + value;
  for (const auto& [text, pair] : found->second) {
    out += fmt::format(" WHEN {} THEN {}", high ? pair.high : pair.low, quote_duckdb_text(text));
  }
  return out + " END";
}

std::string StandIns::any_text(const std::string& relation) const {
  std::vector<std::string> conditions;
  for (const Place& place : places_) {
    if (place.relation == relation && !place.texts.empty())
      conditions.push_back(held_text(place.column) + " IS NOT NULL");
  }
  return fmt::format("{}", fmt::join(conditions, " OR "));
}

}  // namespace tributary
