#include "verify/aggregate_rewrite.h"

#include <fmt/format.h>

#include <map>

#include "verify/view_sql.h"
#include "verify/wide_sum.h"

namespace tributary {
namespace {

using Json = nlohmann::json;

bool has_type(const Json& node, const char* type) {
  return node.is_object() && node.contains("type") && node["type"].is_string() && node["type"] == type;
}

std::string dumped(const Json& tree) { return tree.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Doubles are printed as decimals, so they become casts of their text.
Status name_doubles(ScratchDatabase& database, Json& node) {
  if (has_type(node, "VALUE_CONSTANT") && node["value"].is_object() && node["value"].contains("value") &&
      node["value"]["type"].value("id", std::string()) == "DOUBLE" && node["value"]["value"].is_number()) {
    ASSIGN_OR_RETURN(Json tree,
                     parse_sql(database, fmt::format("SELECT CAST('{}' AS DOUBLE)", dumped(node["value"]["value"]))));
    Json cast = tree["statements"][0]["node"]["select_list"][0];
    cast["alias"] = node["alias"];
    node = std::move(cast);
    return {};
  }
  if (!node.is_object() && !node.is_array()) return {};
  for (auto& child : node) RETURN_IF_ERROR(name_doubles(database, child));
  return {};
}

void forget_places(Json& node) {
  if (node.is_object()) node.erase("query_location");
  if (!node.is_object() && !node.is_array()) return;
  for (auto& child : node) forget_places(child);
}

class Rewriter {
 public:
  explicit Rewriter(ScratchDatabase& database) : database_(database) {}

  Status visit(Json& node) {
    if (has_type(node, "SELECT_NODE")) RETURN_IF_ERROR(rewrite_select(node));
    if (!node.is_object() && !node.is_array()) return {};
    for (auto& child : node) RETURN_IF_ERROR(visit(child));
    return {};
  }

 private:
  Status rewrite_select(Json& select);
  Status rewrite_calls(const Json& select, Json& node);
  Status guard_arguments(Json& node);
  Status rewrite_sum(const Json& select, Json& node, bool average);
  Status rewrite_extreme(Json& node, bool greatest);
  Status break_ties(const Json& select, Json& node);
  Status append_items(const Json& select, Json& orders);
  Status append_star(const Json& select, const Json& star, Json& orders);
  Status append_order(Json expression, Json& orders);
  Result<Json> from_template(const std::string& sql, const std::map<std::string, Json>& parts);
  // Names and types of what SELECT `item` FROM the select's relations gives; empty where it gives nothing.
  std::vector<ScratchRow> probe(const Json& select, Json item);

  ScratchDatabase& database_;
  Json empty_select_;
};

void replace_parts(Json& node, const std::map<std::string, Json>& parts) {
  if (has_type(node, "COLUMN_REF") && node["column_names"].size() == 1) {
    auto found = parts.find(node["column_names"][0].get<std::string>());
    if (found != parts.end()) {
      node = found->second;
      node["alias"] = "";
      return;
    }
  }
  if (!node.is_object() && !node.is_array()) return;
  for (auto& child : node) replace_parts(child, parts);
}

// The one expression of `sql`, in which columns called like `parts` are replaced.
Result<Json> Rewriter::from_template(const std::string& sql, const std::map<std::string, Json>& parts) {
  ASSIGN_OR_RETURN(Json tree, parse_sql(database_, "SELECT " + sql));
  Json expression = tree["statements"][0]["node"]["select_list"][0];
  replace_parts(expression, parts);
  return expression;
}

std::vector<ScratchRow> Rewriter::probe(const Json& select, Json item) {
  auto tree = parse_sql(database_, "SELECT 1");
  if (!tree.ok()) return {};
  Json& node = (*tree)["statements"][0]["node"];
  node["from_table"] = select["from_table"];
  node["cte_map"] = select["cte_map"];
  node["select_list"] = Json::array({std::move(item)});
  auto rows = database_.rows(
      fmt::format("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM json_execute_serialized_sql({}))",
                  quote_duckdb_text(dumped(*tree))));
  return rows.ok() ? std::move(rows).value() : std::vector<ScratchRow>{};
}

Status Rewriter::rewrite_select(Json& select) {
  for (const char* field : {"select_list", "having", "qualify", "modifiers"}) {
    if (select.contains(field)) RETURN_IF_ERROR(rewrite_calls(select, select[field]));
  }
  if (select.contains("qualify") && !select["qualify"].is_null()) {
    return break_ties(select, select["qualify"]);
  }
  return {};
}

Status Rewriter::rewrite_calls(const Json& select, Json& node) {
  if (has_type(node, "SELECT_NODE")) return {};  // has relations of its own
  if (node.is_object() || node.is_array()) {
    for (auto& child : node) RETURN_IF_ERROR(rewrite_calls(select, child));
  }
  if (!has_type(node, "FUNCTION")) return {};
  RETURN_IF_ERROR(guard_arguments(node));
  std::string name = lower_case(node.value("function_name", std::string()));
  size_t arguments = node["children"].size();
  if (arguments == 1 && (name == "sum" || name == "avg" || name == "mean")) {
    return rewrite_sum(select, node, name != "sum");
  }
  if (arguments == 2 && (name == "arg_min" || name == "argmin" || name == "min_by"))
    return rewrite_extreme(node, false);
  if (arguments == 2 && (name == "arg_max" || name == "argmax" || name == "max_by")) return rewrite_extreme(node, true);
  return {};
}

// DuckDB computes an aggregate's arguments for rows that FILTER drops too, and would fail on them.
Status Rewriter::guard_arguments(Json& node) {
  if (!node.contains("filter") || node["filter"].is_null()) return {};
  for (Json& argument : node["children"]) {
    ASSIGN_OR_RETURN(argument,
                     from_template("CASE WHEN __f THEN __x END", {{"__x", argument}, {"__f", node["filter"]}}));
  }
  return {};
}

Status Rewriter::rewrite_sum(const Json& select, Json& node, bool average) {
  auto types = probe(select, node["children"][0]);
  if (types.size() != 1) return {};  // the SQL itself will say what is wrong with it
  std::string type = types[0][1].value_or("");
  bool floating = type == "DOUBLE" || type == "FLOAT";
  std::string wide = wide_sum_suffix(type);
  if (!floating && !average && wide.empty()) return {};
  bool exact = type.starts_with("DECIMAL") || type.ends_with("INT") || type == "INTEGER";
  if (!floating && !exact) return {};
  const char* distinct = node.value("distinct", false) ? "DISTINCT " : "";
  std::string filter = node["filter"].is_null() ? "" : " FILTER (WHERE __f)";
  std::string count = fmt::format("count({}__x){}", distinct, filter);
  std::string function = floating ? "exact_sum" : "sum";
  if (!wide.empty()) function = (average ? "wide_text_" : "wide_sum_") + wide;
  std::string sum = fmt::format("{}({}__x){}", function, distinct, filter);
  std::string sql = sum;
  if (average)
    sql = floating ? sum + " / " + count : fmt::format("exact_quotient(CAST({} AS VARCHAR), {})", sum, count);
  ASSIGN_OR_RETURN(Json rewritten, from_template(sql, {{"__x", node["children"][0]}, {"__f", node["filter"]}}));
  rewritten["alias"] = node["alias"];
  node = std::move(rewritten);
  return {};
}

// DuckDB leaves out rows where one of the two is NULL, and so must we: a sort key is never NULL.
Status Rewriter::rewrite_extreme(Json& node, bool greatest) {
  std::string sql = fmt::format(
      "arg_min(__a, create_sort_key(__o, '{} NULLS LAST', __a, 'ASC NULLS LAST')) FILTER (WHERE __a IS NOT NULL AND "
      "__o IS NOT NULL{})",
      greatest ? "DESC" : "ASC", node["filter"].is_null() ? "" : " AND __f");
  ASSIGN_OR_RETURN(
      Json rewritten,
      from_template(sql, {{"__a", node["children"][0]}, {"__o", node["children"][1]}, {"__f", node["filter"]}}));
  rewritten["alias"] = node["alias"];
  node = std::move(rewritten);
  return {};
}

Status Rewriter::break_ties(const Json& select, Json& node) {
  if (has_type(node, "SELECT_NODE")) return {};
  if (has_type(node, "WINDOW_ROW_NUMBER")) return append_items(select, node["orders"]);
  if (!node.is_object() && !node.is_array()) return {};
  for (auto& child : node) RETURN_IF_ERROR(break_ties(select, child));
  return {};
}

Status Rewriter::append_order(Json expression, Json& orders) {
  ASSIGN_OR_RETURN(Json window,
                   from_template("row_number() OVER (ORDER BY __e ASC NULLS LAST)", {{"__e", std::move(expression)}}));
  orders.push_back(window["orders"][0]);
  return {};
}

Status Rewriter::append_items(const Json& select, Json& orders) {
  for (const Json& item : select["select_list"]) {
    if (has_type(item, "STAR")) {
      RETURN_IF_ERROR(append_star(select, item, orders));
    } else if (item.value("class", std::string()) != "WINDOW") {
      RETURN_IF_ERROR(append_order(item, orders));
    }
  }
  return {};
}

// Relations of a FROM, in the order in which * gives their columns.
void gather_aliases(const Json& from, std::vector<std::string>& out) {
  if (has_type(from, "JOIN")) {
    gather_aliases(from["left"], out);
    gather_aliases(from["right"], out);
    return;
  }
  auto alias = from.value("alias", std::string());
  out.push_back(alias.empty() ? from.value("table_name", std::string()) : alias);
}

Status Rewriter::append_star(const Json& select, const Json& star, Json& orders) {
  for (const char* field : {"expr", "qualified_exclude_list", "rename_list"}) {
    if (!star.contains(field) || star[field].is_null() || star[field].empty()) continue;
    return Error{ErrorCode::kInvalidInput, "the view's SQL has QUALIFY with a * that the validator cannot expand"};
  }
  std::vector<std::string> aliases;
  gather_aliases(select["from_table"], aliases);
  auto only = star.value("relation_name", std::string());
  std::map<std::string, Json> replaced;
  for (const Json& entry : star["replace_list"]) replaced[lower_case(entry["key"].get<std::string>())] = entry["value"];
  std::set<std::string> excluded;
  for (const Json& name : star["exclude_list"]) excluded.insert(lower_case(name.get<std::string>()));
  for (const std::string& alias : aliases) {
    if (!only.empty() && lower_case(only) != lower_case(alias)) continue;
    ASSIGN_OR_RETURN(Json all, from_template(quote_duckdb_identifier(alias) + ".*", {}));
    for (const ScratchRow& column : probe(select, std::move(all))) {
      std::string name = lower_case(*column[0]);
      if (excluded.contains(name)) continue;
      Json reference;
      if (replaced.contains(name)) {
        reference = replaced[name];
      } else {
        ASSIGN_OR_RETURN(reference,
                         from_template(quote_duckdb_identifier(alias) + "." + quote_duckdb_identifier(*column[0]), {}));
      }
      RETURN_IF_ERROR(append_order(std::move(reference), orders));
    }
  }
  return {};
}

}  // namespace

Result<Json> parse_sql(ScratchDatabase& database, std::string_view sql) {
  ASSIGN_OR_RETURN(std::string text,
                   database.text("SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)", sql));
  Json tree = Json::parse(text, nullptr, false);
  if (tree.is_discarded()) return Error{ErrorCode::kInternal, "DuckDB's syntax tree is no JSON"};
  if (tree.value("error", false)) {
    return Error{ErrorCode::kInvalidInput,
                 "the view's SQL: " + tree.value("error_message", std::string("is not valid"))};
  }
  if (tree["statements"].size() != 1) {
    return Error{ErrorCode::kInvalidInput, "the view's SQL is not one SELECT statement"};
  }
  return tree;
}

std::string readable(ScratchDatabase& database, const Json& tree) {
  Json plain = tree;
  if (name_doubles(database, plain).ok()) {
    auto printed = database.text("SELECT CAST(json_deserialize_sql(CAST(? AS JSON)) AS VARCHAR)", dumped(plain));
    if (printed.ok()) {
      auto again = parse_sql(database, *printed);
      forget_places(plain);
      if (again.ok()) {
        forget_places(*again);
        if (*again == plain) return "(" + *printed + ")";
      }
    }
  }
  return fmt::format("json_execute_serialized_sql({})", quote_duckdb_text(dumped(tree)));
}

Result<std::set<size_t>> rewrite_aggregates(ScratchDatabase& database, Json& tree) {
  Json& select = tree["statements"][0]["node"];
  RETURN_IF_ERROR(Rewriter(database).visit(select));
  std::set<size_t> exact;
  if (!has_type(select, "SELECT_NODE")) return exact;
  for (size_t i = 0; i < select["select_list"].size(); ++i) {
    const Json& item = select["select_list"][i];
    if (has_type(item, "STAR")) return exact;  // places are not known behind it
    if (has_type(item, "FUNCTION") && item.value("function_name", std::string()) == "exact_quotient") exact.insert(i);
  }
  return exact;
}

}  // namespace tributary
