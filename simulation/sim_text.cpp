#include "sim_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace tributary::simulation {
namespace {

// A mark: open, its kind, its parts with a bar between, close. Marks may stand in the parts of others.
constexpr char open = '\x01';
constexpr char bar = '\x02';
constexpr char close = '\x03';
constexpr char aside = 3;

std::string mark(char kind, const std::vector<std::string>& parts) {
  return fmt::format("{}{}{}{}", open, kind, fmt::join(parts, std::string(1, bar)), close);
}

// Replaces marks from the inside out by what `replace` gives for (kind, parts).
template <typename Replace>
std::string replaced(std::string text, Replace&& replace) {
  for (size_t begin = text.rfind(open); begin != std::string::npos; begin = text.rfind(open)) {
    size_t end = text.find(close, begin);
    std::vector<std::string> parts{""};
    for (size_t i = begin + 2; i < end; ++i) {
      if (text[i] == bar) {
        parts.emplace_back();
      } else {
        parts.back() += text[i];
      }
    }
    text.replace(begin, end - begin + 1, replace(text[begin + 1], parts));
  }
  return text;
}

// What fails in one SELECT, as conditions of the batch.
struct Failing {
  std::vector<std::string> passed;  // of rows that WHERE lets pass
  std::vector<std::string> read;  // of rows that are read
  std::vector<std::string> groups;
  bool in_a_side = false;  // of a join
  std::string where;  // the condition, as the batch writes it
  std::string group_by;
};

void add_once(std::vector<std::string>& conditions, const std::string& condition) {
  if (std::find(conditions.begin(), conditions.end(), condition) == conditions.end()) conditions.push_back(condition);
}

std::string any_of(const std::vector<std::string>& conditions) {
  return fmt::format("coalesce({}, FALSE)", fmt::join(conditions, ", FALSE) OR coalesce("));
}

std::string none_of(const std::vector<std::string>& conditions) { return "NOT (" + any_of(conditions) + ")"; }

std::string batch_part(char kind, const std::vector<std::string>& parts) {
  switch (kind) {
    case 'f':
    case 'g':
    case 'k':
    case 'u': return parts[1];
    case 'h': return parts[0];
    case 'r': {
      if (parts.size() == 2) return fmt::format("{} {}", parts[0], parts[1]);
      std::vector<std::string> conditions(parts.begin() + 2, parts.end());
      return fmt::format("(SELECT * FROM {} {} WHERE {}) {}", parts[0], parts[1], none_of(conditions), parts[1]);
    }
    case 'm':
    case 'M':
      return fmt::format(
          "(list({} ORDER BY {} {} NULLS LAST, {} ASC) FILTER (WHERE ({}) IS NOT NULL AND ({}) IS NOT NULL))[1]",
          parts[0], parts[1], kind == 'M' ? "DESC" : "ASC", parts[0], parts[0], parts[1]);
    case 'o': {
      std::string order = parts[0];
      for (size_t i = 1; i < parts.size(); ++i) order += ", " + parts[i] + " ASC NULLS LAST";
      return order;
    }
    default: return "";
  }
}

Failing failing_in(const std::string& marked) {
  Failing found;
  replaced(marked, [&](char kind, const std::vector<std::string>& parts) {
    if (kind == 'f') add_once(found.passed, parts[2]);
    if (kind == 'g') add_once(found.read, parts[2]);
    if (kind == 'h') add_once(found.read, parts[1]);
    if (kind == 'u') add_once(found.groups, parts[2]);
    if (kind == 'k') found.in_a_side = true;
    if (kind == 'w') found.where = parts[0];
    if (kind == 'G') found.group_by = parts[0];
    return batch_part(kind, parts);
  });
  return found;
}

std::string conditions_of(std::string_view clause, const std::string& condition,
                          const std::vector<std::vector<std::string>>& fail) {
  std::vector<std::string> conditions;
  if (!condition.empty()) conditions.push_back("(" + condition + ")");
  for (const auto& of : fail) {
    if (!of.empty()) conditions.push_back(none_of(of));
  }
  return conditions.empty() ? "" : fmt::format(" {} {}", clause, fmt::join(conditions, " AND "));
}

std::string one_select_for_batch(const std::string& marked) {
  Failing fail = failing_in(marked);
  return replaced(marked, [&](char kind, const std::vector<std::string>& parts) -> std::string {
    if (kind == 'w') return conditions_of("WHERE", parts[0], {fail.passed, fail.read});
    if (kind == 'G') return parts[0] + conditions_of("HAVING", parts[1], {fail.groups});
    return batch_part(kind, parts);
  });
}

// How many rows and groups of one SELECT fail, as a number in SQL.
std::string failing_of_select(const std::string& marked) {
  Failing fail = failing_in(marked);
  size_t begin = marked.find(" FROM ");
  size_t where = marked.find(std::string{open, 'w'}, begin);
  std::string from = replaced(marked.substr(begin, where - begin), batch_part);
  // Of a join they fail at its sides or above it, and only the pipeline knows where.
  if (fail.in_a_side || (!fail.read.empty() && from.find(" JOIN ") != std::string::npos))
    return std::string(unknown_failing);
  std::vector<std::string> rows = fail.read;
  if (!fail.passed.empty()) {
    rows.push_back(fmt::format("({}){}", any_of(fail.passed), fail.where.empty() ? "" : " AND (" + fail.where + ")"));
  }
  std::string count;
  if (!rows.empty()) count = fmt::format("(SELECT count(*){} WHERE {})", from, any_of(rows));
  if (!fail.groups.empty()) {
    count +=
        fmt::format("{}(SELECT count(*) FROM (SELECT count(*) AS n{}{}{} HAVING {}))", count.empty() ? "" : " + ", from,
                    conditions_of("WHERE", fail.where, {fail.passed, fail.read}), fail.group_by, any_of(fail.groups));
  }
  return count;
}

constexpr std::string_view between_selects = " UNION ";

}  // namespace

std::string may_fail(const Fails& part, FailsAt at) {
  switch (at) {
    case FailsAt::kPassedRow: return mark('f', {part.pipeline, part.batch, part.failing});
    case FailsAt::kReadRow: return mark('g', {part.pipeline, part.batch, part.failing});
    case FailsAt::kSide: return mark('k', {part.pipeline, part.batch});
    case FailsAt::kGroup: return mark('u', {part.pipeline, part.batch, part.failing});
  }
  return "";
}

std::string fails_where_held(const std::string& sql, const std::string& failing) { return mark('h', {sql, failing}); }

std::string side_of_join(const std::string& relation, const std::string& alias,
                         const std::vector<std::string>& failing) {
  std::vector<std::string> parts{relation, alias};
  parts.insert(parts.end(), failing.begin(), failing.end());
  return mark('r', parts);
}

std::string group_clause(const std::string& group_by, const std::string& having) {
  return mark('G', {group_by, having});
}

std::string arg_min_or_max(bool max, const std::string& argument, const std::string& order) {
  return mark(max ? 'M' : 'm', {argument, order});
}

// What stands in a mark and is no part of it yet: its own marks are written in other bytes.
std::string set_aside(std::string marked) {
  for (char& c : marked) c = c >= open && c <= close ? static_cast<char>(c + aside) : c;
  return marked;
}

std::string taken_up(std::string text) {
  for (char& c : text) c = c >= open + aside && c <= close + aside ? static_cast<char>(c - aside) : c;
  return text;
}

std::string where_clause(const std::string& condition, const std::string& other) {
  return mark('w', {condition, set_aside(other)});
}

std::string with_other_where(const std::string& marked) {
  std::string out;
  for (size_t at = 0; at < marked.size();) {
    size_t begin = marked.find(std::string{open, 'w'}, at);
    if (begin == std::string::npos) return out + marked.substr(at);
    size_t end = begin + 1;
    size_t last_bar = 0;
    for (int depth = 1; depth > 0; ++end) {
      depth += (marked[end] == open ? 1 : 0) - (marked[end] == close ? 1 : 0);
      if (marked[end] == bar && depth == 1) last_bar = end;
    }
    bool has_none = last_bar == begin + 2;
    std::string other = marked.substr(last_bar + 1, end - last_bar - 2);
    out += marked.substr(at, begin - at) + mark('w', {has_none ? taken_up(other) : "", ""});
    at = end;
  }
  return out;
}

std::string order_with_ties(const std::string& order, const std::vector<std::string>& select_list) {
  std::vector<std::string> parts{order};
  parts.insert(parts.end(), select_list.begin(), select_list.end());
  return mark('o', parts);
}

std::string for_pipeline(const std::string& marked) {
  return replaced(marked, [](char kind, const std::vector<std::string>& parts) -> std::string {
    switch (kind) {
      case 'f':
      case 'g':
      case 'h':
      case 'k':
      case 'u': return parts[0];
      case 'r': return fmt::format("{} {}", parts[0], parts[1]);
      case 'G': return parts[0] + (parts[1].empty() ? "" : " HAVING " + parts[1]);
      case 'm': return fmt::format("arg_min({}, {})", parts[0], parts[1]);
      case 'M': return fmt::format("arg_max({}, {})", parts[0], parts[1]);
      case 'w': return parts[0].empty() ? "" : " WHERE " + parts[0];
      case 'o': return parts[0];
      default: return "";
    }
  });
}

std::string for_batch(const std::string& marked) {
  std::string out;
  size_t at = 0;
  while (true) {
    size_t end = marked.find(between_selects, at);
    out += one_select_for_batch(marked.substr(at, end == std::string::npos ? end : end - at));
    if (end == std::string::npos) return out;
    out += between_selects;
    at = end + between_selects.size();
  }
}

std::string failing_rows(const std::string& marked) {
  std::string sum;
  size_t at = 0;
  while (true) {
    size_t end = marked.find(between_selects, at);
    std::string count = failing_of_select(marked.substr(at, end == std::string::npos ? end : end - at));
    if (count == unknown_failing) return count;
    if (!count.empty()) sum += (sum.empty() ? "" : " + ") + count;
    if (end == std::string::npos) break;
    at = end + between_selects.size();
  }
  return sum.empty() ? "" : "SELECT " + sum;
}

}  // namespace tributary::simulation
