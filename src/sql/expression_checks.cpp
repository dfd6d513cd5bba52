#include "sql/expression_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "sql/functions.h"

namespace tributary {
namespace {

struct Surroundings {
  std::string_view clause;
  bool windows = false;
  bool aggregates = false;        // may stand here
  const Expression* inside = nullptr;  // the aggregate whose argument this is
};

bool is_aggregate(const Expression& expression) {
  return expression.kind == ExpressionKind::kFunction && is_aggregate_function(expression.name);
}

// How an aggregate may be called; empty: as it is.
std::string refuse_call(const Expression& call) {
  auto kind = aggregate_kind(call.name);
  if (!kind) return refuse_aggregate(call.name);
  const CallDetails& details = call.call;
  if (details.ordered) return fmt::format("{} does not depend on an order; leave ORDER BY out", call_name(call));
  size_t arguments = *kind == AggregateKind::kArgMin || *kind == AggregateKind::kArgMax ? 2
                     : *kind == AggregateKind::kCountRows                               ? 0
                                                                                        : 1;
  if (details.arguments != arguments) {
    return fmt::format("{} takes {} here; write {}({})", call_name(call),
                       arguments == 1 ? "one argument" : "two arguments", call.name, arguments == 1 ? "x" : "x, y");
  }
  bool same_without = *kind == AggregateKind::kCount || *kind == AggregateKind::kMin || *kind == AggregateKind::kMax ||
                      *kind == AggregateKind::kBoolAnd || *kind == AggregateKind::kBoolOr;
  if (details.distinct && !same_without) {
    return fmt::format("{} takes no DISTINCT; make a view of SELECT DISTINCT, and write {} over that", call_name(call),
                       call_name(call));
  }
  return {};
}

void check_aggregate(PlanningContext& context, const Expression& call, const Surroundings& around) {
  if (around.inside != nullptr) {
    return context.fail(call.offset,
                        fmt::format("{} stands inside {}; make the inner one a view of its own, and aggregate "
                                    "over that: views may read views",
                                    call_name(call), call_name(*around.inside)));
  }
  if (!around.aggregates) {
    return context.fail(
        call.offset,
        fmt::format("{} is an aggregate, and {} sees single rows; {}", call_name(call), around.clause,
                    around.clause == "WHERE" ? "write HAVING" : "make it a view of its own, and read that"));
  }
  if (std::string refused = refuse_call(call); !refused.empty()) context.fail(call.offset, refused);
}

// A text of at most `characters`, whatever a row has.
bool is_short(const Expression& text, int64_t characters) {
  if (text.text) return static_cast<int64_t>(text.text->size()) <= characters;
  bool cut = (text.name == "left" || text.name == "right") && text.children.size() == 2;
  return cut && text.children[1].integer && std::abs(*text.children[1].integer) <= characters &&
         *text.children[1].integer >= 0;
}

// Two texts of a row must not make one as long as their product, or take as much time.
std::string refuse_product(const Expression& call) {
  constexpr int64_t repeated_max = 100;
  constexpr int64_t compared_max = 1000;
  size_t repeated = call.name == "replace" || call.name == "regexp_replace" ? 2
                    : call.name == "array_to_string"                        ? 1
                                                                            : 0;
  if (repeated != 0 && call.children.size() > repeated && !is_short(call.children[repeated], repeated_max)) {
    return fmt::format("{}() takes a constant text of up to {} characters here that it puts in, or left(…, {})",
                       call.name, repeated_max, repeated_max);
  }
  bool compares = call.name == "levenshtein" || call.name == "editdist3" || call.name == "damerau_levenshtein";
  if (compares &&
      !std::ranges::all_of(call.children, [](const Expression& text) { return is_short(text, compared_max); })) {
    return fmt::format("{0}() takes texts of up to {1} characters here: {0}(left(…, {1}), left(…, {1}))", call.name,
                       compared_max);
  }
  return {};
}

// A regular expression takes as much time as its length and the text's multiplied, and is compiled for each row that has its own.
std::string refuse_regex(const Expression& call) {
  constexpr int64_t pattern_max = 1000;
  bool by_regex = call.name.starts_with("regexp_") && call.name != "regexp_escape";
  by_regex = by_regex || call.name == "string_split_regex" || call.name == "str_split_regex" || call.name == "~";
  if (!by_regex || call.children.size() < 2 || call.children[1].text || is_short(call.children[1], pattern_max)) {
    return {};
  }
  std::string name = call.name == "~" ? "~" : call.name + "()";
  return fmt::format("{} takes a constant pattern here, or left(…, {})", name, pattern_max);
}

// DuckDB's matcher tries all places for each wildcard: a row's text of n letters takes n to the power of their number. It has a
// faster one for LIKE of a constant with % alone, and is done once only a % is left.
std::string refuse_pattern(const Expression& call) {
  const std::string& name = call.name;
  bool like = name == "~~" || name == "!~~";
  bool ilike = name == "~~*" || name == "!~~*" || name == "ilike_escape" || name == "not_ilike_escape";
  bool glob = name == "~~~";
  bool escaped = name == "like_escape" || name == "not_like_escape";
  if ((!like && !ilike && !glob && !escaped) || call.children.size() < 2) return {};
  std::string_view spelled = ilike ? "ILIKE" : glob ? "GLOB" : "LIKE";
  if (!call.children[1].text) {
    return fmt::format(
        "{} takes a constant pattern here; contains(x, y), starts_with(x, y) and ends_with(x, y) take a column's, "
        "regexp_matches(x, left(y, 1000)) its first characters",
        spelled);
  }
  std::string_view pattern = *call.children[1].text;
  char any = glob ? '*' : '%';
  if (like && pattern.find('_') == std::string_view::npos) return {};
  while (!pattern.empty() && pattern.back() == any) pattern.remove_suffix(1);
  if (std::ranges::count(pattern, any) <= 1) return {};
  return fmt::format("{} takes a pattern with at most one {} before its end here; {}", spelled, any,
                     ilike ? "write lower(x) LIKE with % alone, or regexp_matches(x, '…', 'i')"
                           : "write LIKE with % alone, or regexp_matches(x, '…')");
}

// A row's own number must not say how long a text gets: one of gigabytes holds up everybody's round.
std::string refuse_length(const Expression& call) {
  constexpr int64_t padded_max = 100'000;
  bool pads = call.name == "lpad" || call.name == "rpad";
  if (pads && call.children.size() > 1) {
    const Expression& length = call.children[1];
    if (length.integer && *length.integer <= padded_max) return {};
    return fmt::format("{}() takes a constant length up to {} here", call.name, padded_max);
  }
  if ((call.name != "format" && call.name != "printf") || call.children.empty()) return {};
  std::optional<std::string> text = call.children[0].text;
  // Widths of six digits and more, and those that an argument gives: "{:{}}", "%*d".
  bool bounded = text && text->find('*') == std::string::npos;
  int digits = 0;
  bool inside = false;
  char before = '\0';
  for (char c : text.value_or("")) {
    digits = c >= '0' && c <= '9' ? digits + 1 : 0;
    bool nested = call.name == "format" && c == '{' && inside && before != '{';  // "{{" is a brace
    bounded = bounded && digits < 6 && !nested;
    if (c == '{' || c == '}') inside = c == '{' && !(inside && before == '{');
    before = c;
  }
  if (bounded) return {};
  return fmt::format("{}() takes a constant text with constant widths below 100000 here", call.name);
}

// Whether the children are to be looked at.
bool check_call(PlanningContext& context, const Expression& call, const Surroundings& around) {
  if (!call.call.schema.empty() && call.call.schema != "main") {
    context.fail(call.offset, fmt::format("functions have no schema here; write {}()", call.name));
    return false;
  }
  if (is_aggregate(call)) {
    check_aggregate(context, call, around);
    return true;
  }
  std::string refused = refuse_function(call.name, call.children.size());
  if (refused.empty() && (call.call.distinct || call.call.has_filter || call.call.ordered)) {
    refused = fmt::format("{}() is no aggregate and takes no DISTINCT, FILTER or ORDER BY", call.name);
  }
  if (refused.empty()) refused = refuse_length(call);
  if (refused.empty()) refused = refuse_product(call);
  if (refused.empty()) refused = refuse_pattern(call);
  if (refused.empty()) refused = refuse_regex(call);
  if (!refused.empty()) context.fail(call.offset, refused);
  return refused.empty();
}

// What no view has; empty for the rest.
std::string refuse_kind(const Expression& expression, const Surroundings& around) {
  switch (expression.kind) {
    case ExpressionKind::kSubquery:
      return "subqueries are not supported; make it a view of its own and JOIN that: views may read views";
    case ExpressionKind::kWindow:
      if (around.windows && around.inside == nullptr) return {};
      return "window functions are not supported here; the form is QUALIFY row_number() OVER (PARTITION BY … ORDER BY "
             "…) "
             "= 1";
    case ExpressionKind::kParameter:
      return "a view has no parameters; write the value, or use an attribute: client.NAME";
    case ExpressionKind::kOther: return fmt::format("{} is not supported in a view", expression.name);
    default: return {};
  }
}

void check(PlanningContext& context, const Expression& expression, Surroundings around) {
  if (std::string refused = refuse_kind(expression, around); !refused.empty()) {
    return context.fail(expression.offset, refused);
  }
  if (expression.kind == ExpressionKind::kFunction) {
    if (!check_call(context, expression, around)) return;
    if (is_aggregate(expression)) around.inside = &expression;
  }
  for (const Expression& child : expression.children) {
    if (child.kind == ExpressionKind::kStar) {
      context.fail(child.offset, "* stands alone in the SELECT list");
    } else {
      check(context, child, around);
    }
  }
}

}  // namespace

std::string call_name(const Expression& call) {
  return call.name == "count_star" ? "count(*)" : fmt::format("{}()", call.name);
}

bool contains_aggregate(const Expression& expression) {
  return is_aggregate(expression) ||
         std::any_of(expression.children.begin(), expression.children.end(), contains_aggregate);
}

bool contains_window(const Expression& expression) {
  if (is_aggregate(expression)) return false;  // check_expression() refuses one in there
  return expression.kind == ExpressionKind::kWindow ||
         std::any_of(expression.children.begin(), expression.children.end(), contains_window);
}

void check_expression(PlanningContext& context, const Expression& expression, std::string_view clause) {
  bool windows = clause == "SELECT" || clause == "QUALIFY";
  check(context, expression, {.clause = clause, .windows = windows, .aggregates = windows || clause == "HAVING"});
}

}  // namespace tributary
