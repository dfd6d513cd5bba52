#include "verify/view_sql.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "verify/aggregate_rewrite.h"
#include "verify/value_types.h"

namespace tributary {
namespace {

using Json = nlohmann::json;

Result<Json> attribute_node(ScratchDatabase& database, const VerifyAttribute& attribute, const std::string& alias) {
  std::string value = attribute.text ? quote_duckdb_text(*attribute.text) : "NULL";
  ASSIGN_OR_RETURN(Json tree,
                   parse_sql(database, fmt::format("SELECT CAST({} AS {})", value, domain_type(attribute.type))));
  Json node = tree["statements"][0]["node"]["select_list"][0];
  node["alias"] = alias;
  return node;
}

bool is_node(const Json& node, const char* type) {
  return node.is_object() && node.contains("type") && node["type"].is_string() && node["type"] == type;
}

// Replaces every client.name below `node`, and gathers the names of relations.
struct TreeWalk {
  ScratchDatabase& database;
  const std::vector<VerifyAttribute>& attributes;
  std::vector<std::string> relations;

  Status visit(Json& node) {
    if (is_node(node, "BASE_TABLE")) relations.push_back(lower_case(node.value("table_name", std::string())));
    if (is_node(node, "COLUMN_REF") && node["column_names"].size() == 2 &&
        lower_case(node["column_names"][0].get<std::string>()) == "client") {
      return replace(node);
    }
    if (!node.is_object() && !node.is_array()) return {};
    for (auto& child : node) RETURN_IF_ERROR(visit(child));
    return {};
  }

  Status replace(Json& node) {
    auto name = node["column_names"][1].get<std::string>();
    for (const VerifyAttribute& attribute : attributes) {
      if (lower_case(attribute.name) != lower_case(name)) continue;
      ASSIGN_OR_RETURN(Json constant, attribute_node(database, attribute, node.value("alias", std::string())));
      node = std::move(constant);
      return {};
    }
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("the view's SQL names client.{}, which the client does not have", name)};
  }
};

bool is_empty(const Json& node, const char* field) {
  return !node.contains(field) || node[field].is_null() || node[field].empty();
}

bool holds(const Json& node, const std::set<std::string>& types) {
  if (node.is_object()) {
    for (const char* field : {"type", "class"}) {
      if (node.contains(field) && node[field].is_string() && types.contains(node[field].get<std::string>()))
        return true;
    }
  }
  if (!node.is_object() && !node.is_array()) return false;
  return std::any_of(node.begin(), node.end(), [&](const Json& child) { return holds(child, types); });
}

bool holds_aggregate(ScratchDatabase& database, const Json& node) {
  if (is_node(node, "FUNCTION")) {
    std::string name = quote_duckdb_text(node.value("function_name", std::string()));
    auto found = database.number(
        "SELECT count(*) FROM duckdb_functions() WHERE function_type = 'aggregate' AND "
        "function_name = " +
        name +
        " AND NOT EXISTS (SELECT 1 FROM duckdb_functions() AS s WHERE "
        "s.function_name = " +
        name + " AND s.function_type = 'scalar')");
    if (!found.ok() || *found > 0) return true;
  }
  if (!node.is_object() && !node.is_array()) return false;
  return std::any_of(node.begin(), node.end(), [&](const Json& child) { return holds_aggregate(database, child); });
}

// SELECT expressions FROM relation [WHERE condition], and nothing else.
bool is_by_row(ScratchDatabase& database, const Json& select) {
  if (!is_node(select, "SELECT_NODE") || !is_node(select["from_table"], "BASE_TABLE")) return false;
  for (const char* field : {"modifiers", "group_expressions", "group_sets", "having", "sample", "qualify"}) {
    if (!is_empty(select, field)) return false;
  }
  if (select.contains("cte_map") && !is_empty(select["cte_map"], "map")) return false;
  for (const Json& item : select["select_list"]) {
    if (is_node(item, "STAR") &&
        (item.value("columns", false) || !is_empty(item, "replace_list") || !is_empty(item, "rename_list") ||
         !is_empty(item, "expr") || !is_empty(item, "qualified_exclude_list"))) {
      return false;
    }
    if (holds(item, {"SUBQUERY", "WINDOW"}) || holds_aggregate(database, item)) return false;
  }
  return !holds(select["where_clause"], {"SUBQUERY", "WINDOW"});
}

std::optional<std::string> column_of(const Json& node, const std::vector<std::string>& columns) {
  if (!is_node(node, "COLUMN_REF") || node["column_names"].size() > 2) return std::nullopt;
  std::string name = lower_case(node["column_names"].back().get<std::string>());
  auto found =
      std::find_if(columns.begin(), columns.end(), [&](const auto& column) { return lower_case(column) == name; });
  return found == columns.end() ? std::nullopt : std::optional(*found);
}

void gather_columns(const Json& node, const std::vector<std::string>& columns, std::set<std::string>& out) {
  if (is_node(node, "COLUMN_REF")) {
    // Every part of a name: a.b may be the field b of the column a.
    for (const Json& part : node["column_names"]) {
      for (const std::string& column : columns) {
        if (lower_case(column) == lower_case(part.get<std::string>())) out.insert(column);
      }
    }
  }
  if (!node.is_object() && !node.is_array()) return;
  for (const Json& child : node) gather_columns(child, columns, out);
}

// Every name that may be a column's; a * may be all.
void gather_used(const Json& node, std::optional<std::set<std::string>>& out) {
  if (is_node(node, "STAR")) out.reset();
  if (!out) return;
  if (is_node(node, "COLUMN_REF")) {
    for (const Json& part : node["column_names"]) out->insert(lower_case(part.get<std::string>()));
  }
  if (node.is_object() && node.contains("using_columns")) {
    for (const Json& name : node["using_columns"]) out->insert(lower_case(name.get<std::string>()));
  }
  if (!node.is_object() && !node.is_array()) return;
  for (const Json& child : node) gather_used(child, out);
}

Json column_node(const std::string& relation, const char* column) {
  return {{"class", "COLUMN_REF"},
          {"type", "COLUMN_REF"},
          {"alias", column},
          {"query_location", 0},
          {"column_names", {relation, column}}};
}

void carry_row_along(Json& select, const std::vector<std::string>& columns, PreparedView& view) {
  Json& table = select["from_table"];
  if (table.value("alias", std::string()).empty()) table["alias"] = table["table_name"];
  table["schema_name"] = "source";
  for (Json& item : select["select_list"]) {
    if (is_node(item, "STAR")) {
      std::set<std::string> excluded;
      for (const Json& name : item["exclude_list"]) excluded.insert(lower_case(name.get<std::string>()));
      for (const std::string& column : columns) {
        if (!excluded.contains(lower_case(column))) view.passed.push_back(column);
      }
      item["exclude_list"].push_back(row_column);
      item["exclude_list"].push_back(texts_column);
      continue;
    }
    view.passed.push_back(column_of(item, columns));
    if (!view.passed.back()) gather_columns(item, columns, view.computed);
  }
  auto alias = table["alias"].get<std::string>();
  select["select_list"].push_back(column_node(alias, row_column));
  select["select_list"].push_back(column_node(alias, texts_column));
}

}  // namespace

Result<PreparedView> prepare_view(ScratchDatabase& database, const std::string& sql,
                                  const std::map<std::string, std::vector<std::string>>& relation_columns,
                                  const std::set<std::string>& domains,
                                  const std::vector<VerifyAttribute>& attributes) {
  ASSIGN_OR_RETURN(Json tree, parse_sql(database, sql));
  TreeWalk walk{.database = database, .attributes = attributes, .relations = {}};
  RETURN_IF_ERROR(walk.visit(tree));
  PreparedView view{.relations = std::move(walk.relations)};
  for (const std::string& relation : view.relations) {
    if (!relation_columns.contains(relation)) return view;  // the caller sees it in `relations`
  }
  view.used.emplace();
  gather_used(tree, view.used);
  ASSIGN_OR_RETURN(view.exact_averages, rewrite_aggregates(database, tree));
  view.answer = readable(database, tree);
  Json& select = tree["statements"][0]["node"];
  if (view.relations.size() == 1 && domains.contains(view.relations[0]) && is_by_row(database, select)) {
    view.by_row = true;
    carry_row_along(select, relation_columns.at(view.relations[0]), view);
    view.rows = readable(database, tree);
    select["from_table"]["schema_name"] = "piece";
    view.piece = readable(database, tree);
  }
  return view;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace tributary
