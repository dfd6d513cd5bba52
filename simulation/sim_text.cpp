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

std::string failing(const std::string& sql) {
  return fmt::format("({} IS NOT NULL AND TRY_CAST({} AS UTINYINT) IS NULL)", sql, sql);
}

std::string batch_part(char kind, const std::vector<std::string>& parts) {
  switch (kind) {
    case 'f': return fmt::format("TRY_CAST({} AS UTINYINT)", parts[0]);
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

// The parts that may fail, as the batch writes them.
std::vector<std::string> parts_that_may_fail(const std::string& marked) {
  std::vector<std::string> found;
  replaced(marked, [&](char kind, const std::vector<std::string>& parts) {
    if (kind == 'f' && std::find(found.begin(), found.end(), parts[0]) == found.end()) found.push_back(parts[0]);
    return batch_part(kind, parts);
  });
  return found;
}

std::string one_select_for_batch(const std::string& marked) {
  std::vector<std::string> may_fail = parts_that_may_fail(marked);
  return replaced(marked, [&](char kind, const std::vector<std::string>& parts) -> std::string {
    if (kind != 'w') return batch_part(kind, parts);
    std::vector<std::string> conditions;
    if (!parts[0].empty()) conditions.push_back("(" + parts[0] + ")");
    for (const std::string& sql : may_fail) conditions.push_back("NOT " + failing(sql));
    return conditions.empty() ? "" : fmt::format(" WHERE {}", fmt::join(conditions, " AND "));
  });
}

constexpr std::string_view between_selects = " UNION ";

}  // namespace

std::string may_fail(const std::string& sql) { return mark('f', {sql}); }

std::string arg_min_or_max(bool max, const std::string& argument, const std::string& order) {
  return mark(max ? 'M' : 'm', {argument, order});
}

std::string where_clause(const std::string& condition) { return mark('w', {condition}); }

std::string with_other_where(const std::string& marked) {
  std::string out;
  for (size_t at = 0; at < marked.size();) {
    size_t begin = marked.find(std::string{open, 'w'}, at);
    if (begin == std::string::npos) return out + marked.substr(at);
    size_t end = marked.find(close, begin);
    bool has_none = end == begin + 2;
    // The first relation's alias is a; a domain's first column is id, a view's c0.
    size_t from = marked.rfind(" FROM ", begin);
    const char* column = marked[from + 6] == 'd' ? "a.id" : "a.c0";
    out += marked.substr(at, begin - at) + where_clause(has_none ? fmt::format("{} IS NOT NULL", column) : "");
    at = end + 1;
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
      case 'f': return fmt::format("CAST({} AS UTINYINT)", parts[0]);
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

std::string failing_rows(const std::string& marked_select) {
  std::vector<std::string> may_fail = parts_that_may_fail(marked_select);
  if (may_fail.empty()) return "";
  std::vector<std::string> conditions;
  for (const std::string& sql : may_fail) conditions.push_back(failing(sql));
  size_t from = marked_select.find(" FROM ");
  size_t where = marked_select.find(std::string{open, 'w'});
  size_t end = marked_select.find(close, where);
  std::string condition = marked_select.substr(where + 2, end - where - 2);
  return fmt::format("SELECT count(*){} WHERE ({}) {}", marked_select.substr(from, where - from),
                     fmt::join(conditions, " OR "), condition.empty() ? "" : "AND (" + condition + ")");
}

}  // namespace tributary::simulation
