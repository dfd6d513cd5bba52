#include "sql/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace tributary {
namespace {

// clang-format off: lists of words

// DuckDB's own label "consistent" is no guide: version() and current_setting() have it.
// Left out on purpose: repeat, range and json_pretty (of what is nested deeply), whose results grow without bound; hash, which another version of DuckDB may compute
// otherwise; and those that are `recursive`.
constexpr std::string_view allowed[] = {
    "!~~", "!~~*", "%", "&", "&&", "*", "**", "+", "-", "->>", "/", "//", "<<", ">>", "@", "@>", "<@", "^",
    "^@", "abs", "acos", "acosh", "add", "age", "array_contains", "array_extract", "array_has",
    "array_has_all", "array_has_any", "array_length", "array_position", "array_slice", "array_to_json",
    "array_to_string", "array_value", "ascii", "asin", "asinh", "atan", "atan2", "atanh", "bar", "base64",
    "bin", "bit_count", "bit_length", "cardinality", "cbrt", "ceil", "ceiling", "century", "char_length",
    "character_length", "chr", "concat", "concat_ws", "contains", "cos", "cosh", "cot", "damerau_levenshtein",
    "date_add", "date_diff", "date_part", "date_sub", "date_trunc", "datediff", "datepart", "datesub",
    "datetrunc", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear", "days_in_month", "decade",
    "decode", "degrees", "divide", "editdist3", "element_at", "encode", "ends_with", "epoch", "epoch_ms",
    "epoch_ns", "epoch_us", "era", "even", "exp", "factorial", "fdiv", "flatten", "floor", "fmod", "format",
    "format_bytes", "formatreadabledecimalsize", "formatreadablesize", "from_base64", "from_binary",
    "from_hex", "gamma", "gcd", "greatest", "greatest_common_divisor", "hamming", "hex", "hour",
    "ilike_escape", "instr", "isfinite", "isinf", "isnan", "isodow", "isoyear", "jaccard", "jaro_similarity",
    "jaro_winkler_similarity", "json", "json_array", "json_array_length", "json_exists",
    "json_extract", "json_extract_path", "json_extract_path_text", "json_extract_string", "json_keys",
    "json_object", "json_quote", "json_type",
    "json_valid", "json_value", "julian", "last_day", "lcase", "lcm", "least", "least_common_multiple",
    "left", "left_grapheme", "len", "length", "length_grapheme", "levenshtein", "lgamma", "like_escape",
    "list_concat", "list_contains", "list_distinct", "list_element", "list_extract", "list_has",
    "list_has_all", "list_has_any", "list_intersect", "list_max", "list_min", "list_pack", "list_position",
    "list_reverse", "list_reverse_sort", "list_slice", "list_sort", "list_sum", "list_unique", "list_value",
    "ln", "log", "log10", "log2", "lower", "lpad", "ltrim", "make_date", "make_time", "make_timestamp",
    "make_timestamp_ms", "make_timestamptz", "map", "map_contains", "map_extract", "map_extract_value",
    "map_keys", "map_values", "md5", "md5_number", "microsecond", "millennium", "millisecond", "minute",
    "mismatches", "mod", "month", "monthname", "multiply", "nfc_normalize", "not_ilike_escape",
    "not_like_escape", "nullif", "octet_length", "ord", "parse_dirname", "parse_dirpath", "parse_filename",
    "parse_path", "pi", "position", "pow", "power", "prefix", "printf", "quarter", "radians", "regexp_escape",
    "regexp_extract", "regexp_extract_all", "regexp_full_match", "regexp_matches", "regexp_replace",
    "regexp_split_to_array", "replace", "reverse", "right", "right_grapheme", "round", "round_even",
    "roundbankers", "row", "row_to_json", "rpad", "rtrim", "second", "sha1", "sha256", "sign", "signbit",
    "sin", "sinh", "split", "split_part", "sqrt", "starts_with", "str_split", "str_split_regex", "strftime",
    "string_split", "string_split_regex", "string_to_array", "strip_accents", "strlen", "strpos", "strptime",
    "struct_extract", "struct_extract_at", "struct_pack", "substr", "substring", "substring_grapheme",
    "subtract", "suffix", "tan", "tanh", "time_bucket", "timezone", "timezone_hour", "timezone_minute",
    "to_base", "to_base64", "to_binary", "to_centuries", "to_days", "to_decades", "to_hex", "to_hours",
    "to_json", "to_microseconds", "to_millennia", "to_milliseconds", "to_minutes", "to_months", "to_quarters",
    "to_seconds", "to_timestamp", "to_weeks", "to_years", "translate", "trim", "trunc", "try_strptime",
    "typeof", "ucase", "unbin", "unhex", "unicode", "upper", "url_decode", "url_encode",
    "uuid_extract_timestamp", "uuid_extract_version", "week", "weekday", "weekofyear", "xor", "year",
    "yearweek", "|", "||", "~", "~~", "~~*", "~~~"};

constexpr std::pair<std::string_view, AggregateKind> aggregates[] = {
    {"count_star", AggregateKind::kCountRows}, {"count", AggregateKind::kCount}, {"sum", AggregateKind::kSum},
    {"avg", AggregateKind::kAvg}, {"mean", AggregateKind::kAvg}, {"min", AggregateKind::kMin},
    {"max", AggregateKind::kMax}, {"bool_and", AggregateKind::kBoolAnd}, {"bool_or", AggregateKind::kBoolOr},
    {"arg_min", AggregateKind::kArgMin}, {"argmin", AggregateKind::kArgMin}, {"min_by", AggregateKind::kArgMin},
    {"arg_max", AggregateKind::kArgMax}, {"argmax", AggregateKind::kArgMax}, {"max_by", AggregateKind::kArgMax}};

constexpr std::string_view other_aggregates[] = {
    "any_value", "approx_count_distinct", "approx_quantile", "approx_top_k", "arbitrary", "arg_max_null",
    "arg_max_nulls_last", "arg_min_null", "arg_min_nulls_last", "array_agg", "bit_and", "bit_or", "bit_xor",
    "bitstring_agg", "corr", "count_if", "countif", "covar_pop", "covar_samp", "entropy", "favg", "first", "fsum",
    "group_concat", "histogram", "histogram_exact", "kahan_sum", "kurtosis", "kurtosis_pop", "last", "list", "listagg",
    "mad", "median", "mode", "product", "quantile", "quantile_cont", "quantile_disc", "regr_avgx", "regr_avgy",
    "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "reservoir_quantile",
    "sem", "skewness", "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum_no_overflow", "sumkahan", "var_pop",
    "var_samp", "variance"};

// Of those, the ones with a nearer form than the list of all.
constexpr std::pair<std::string_view, std::string_view> nearest_aggregates[] = {
    {"any_value", "min(x) gives one of the values, always the same"},
    {"arbitrary", "min(x) gives one of the values, always the same"},
    {"approx_count_distinct", "count(DISTINCT x) is exact"},
    {"arg_max_null", "write arg_max(x, y)"},
    {"arg_max_nulls_last", "write arg_max(x, y)"},
    {"arg_min_null", "write arg_min(x, y)"},
    {"arg_min_nulls_last", "write arg_min(x, y)"},
    {"count_if", "write count(*) FILTER (WHERE …)"},
    {"countif", "write count(*) FILTER (WHERE …)"},
    {"favg", "write avg(x), which does not depend on the order of rows"},
    {"first", "rows have no order; write arg_min(x, t) for the x of the row with the least t"},
    {"fsum", "write sum(x), which does not depend on the order of rows"},
    {"kahan_sum", "write sum(x), which does not depend on the order of rows"},
    {"last", "rows have no order; write arg_max(x, t) for the x of the row with the greatest t"},
    {"sum_no_overflow", "write sum(x)"},
    {"sumkahan", "write sum(x), which does not depend on the order of rows"}};

constexpr std::string_view clocks[] = {
    "ago", "current_date", "current_localtime", "current_localtimestamp", "current_time", "current_timestamp",
    "get_current_time", "get_current_timestamp", "localtime", "localtimestamp", "now", "today",
    "transaction_timestamp"};

constexpr std::string_view chances[] = {
    "gen_random_uuid", "random", "setseed", "uuid", "uuidv4", "uuidv7"};

// Call themselves for each level of a text: a deep one overflows the stack.
constexpr std::string_view recursive[] = {"json_contains", "json_merge_patch", "json_structure"};

constexpr std::string_view infallible[] = {
    "lcase", "length", "lower", "ltrim", "md5", "reverse", "rtrim", "starts_with", "strlen", "trim", "ucase",
    "upper", "~~", "!~~", "~~*", "!~~*"};

// clang-format on

bool holds(auto& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace

std::string refuse_function(std::string_view name, size_t arguments) {
  if (name == "age" && arguments < 2) {
    return "age() with one argument reads the clock, so a replay would give other rows; give it two timestamps";
  }
  if (holds(allowed, name)) return {};
  if (holds(clocks, name)) {
    return fmt::format("{}() reads the clock, so a replay would give other rows; use a timestamp column of the row",
                       name);
  }
  if (holds(chances, name)) {
    return fmt::format("{}() gives another value each time, so a replay would give other rows; use a column of the row",
                       name);
  }
  if (holds(recursive, name)) {
    return fmt::format(
        "{}() is not supported: one row's JSON could be nested deeper than it can follow, which would end the "
        "program; json_extract(), json_exists() and json_keys() look into JSON",
        name);
  }
  return fmt::format("{}() is not among the functions that a view may call (docs/sql.md lists them)", name);
}

bool is_aggregate_function(std::string_view name) { return aggregate_kind(name) || holds(other_aggregates, name); }

std::optional<AggregateKind> aggregate_kind(std::string_view name) {
  for (const auto& [known, kind] : aggregates) {
    if (known == name) return kind;
  }
  return std::nullopt;
}

std::string refuse_aggregate(std::string_view name) {
  for (const auto& [known, instead] : nearest_aggregates) {
    if (known == name) return fmt::format("{}() is not supported; {}", name, instead);
  }
  return fmt::format(
      "{}() is not supported; the aggregates are count, sum, avg, min, max, bool_and, bool_or, arg_min and "
      "arg_max",
      name);
}

std::span<const std::string_view> allowed_functions() { return allowed; }

bool never_fails_on_text(std::string_view name) { return holds(infallible, name); }

}  // namespace tributary
