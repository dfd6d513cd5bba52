#include "sql/plan_as_sql.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "sql/duckdb_values.h"
#include "sql/planning_context.h"

namespace tributary {
namespace {

std::string quote_name(const std::string& name) {
  std::string out = "\"";
  for (char c : name) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

// What stands for client.NAME, in both.
std::string attribute_value(const std::string& name) {
  return name == "client.tax" ? "CAST(0.19 AS DECIMAL(3,2))" : "CAST('de' AS VARCHAR)";
}

std::string list_of(const std::vector<std::string>& items) {
  return items.empty() ? "1 AS \"_nothing\"" : fmt::format("{}", fmt::join(items, ", "));
}

std::string sql_of_map(const PlanNode& node) {
  std::vector<std::string> items;
  for (const MapOutput& output : node.map.outputs) {
    std::string value = output.input ? quote_name(node.map.inputs[*output.input].name)
                                     : fmt::format("CAST(({}) AS {})", node.map.expressions[*output.expression],
                                                   duckdb_type_text(output.column.type));
    items.push_back(fmt::format("{} AS {}", value, quote_name(output.column.name)));
  }
  std::string sql = fmt::format("SELECT {} FROM n{}", list_of(items), node.inputs[0]);
  if (node.map.filter) sql += " WHERE " + node.map.expressions[*node.map.filter];
  return sql;
}

std::string sql_of_join(const PlanNode& node, const ViewPlan& plan) {
  const std::vector<OutputColumn>& left = plan.nodes[node.inputs[0]].columns;
  const std::vector<OutputColumn>& right = plan.nodes[node.inputs[1]].columns;
  std::vector<std::string> items;
  for (size_t i = 0; i < node.columns.size(); ++i) {
    const OutputColumn& from = i < left.size() ? left[i] : right[i - left.size()];
    items.push_back(fmt::format("{}.{} AS {}", i < left.size() ? "l" : "r", quote_name(from.name),
                                quote_name(node.columns[i].name)));
  }
  std::vector<std::string> pairs;
  for (size_t i = 0; i < node.join.left_key.size(); ++i) {
    pairs.push_back(fmt::format("l.{} = r.{}", quote_name(left[node.join.left_key[i]].name),
                                quote_name(right[node.join.right_key[i]].name)));
  }
  return fmt::format("SELECT {} FROM n{} l {} JOIN n{} r ON {}", list_of(items), node.inputs[0],
                     node.join.kind == JoinKind::kLeft ? "LEFT" : "", node.inputs[1], fmt::join(pairs, " AND "));
}

std::string sql_of_call(const AggregateCall& call, const std::vector<OutputColumn>& input) {
  static constexpr const char* forms[] = {
      "count(*)", "count({})",    "count(DISTINCT {})", "sum({})",         "avg({})",        "min({})",
      "max({})",  "bool_and({})", "bool_or({})",        "arg_min({}, {})", "arg_max({}, {})"};
  std::string argument = call.argument ? quote_name(input[*call.argument].name) : "";
  std::string order = call.order ? quote_name(input[*call.order].name) : "";
  std::string sql = fmt::format(fmt::runtime(forms[static_cast<size_t>(call.kind)]), argument, order);
  if (call.filter) sql += fmt::format(" FILTER (WHERE {})", quote_name(input[*call.filter].name));
  return fmt::format("CAST({} AS {}) AS {}", sql, duckdb_type_text(call.column.type), quote_name(call.column.name));
}

std::string sql_of_aggregate(const PlanNode& node, const ViewPlan& plan) {
  const std::vector<OutputColumn>& input = plan.nodes[node.inputs[0]].columns;
  std::vector<std::string> items;
  std::vector<std::string> groups;
  for (size_t i = 0; i < node.aggregate.group_columns; ++i) {
    items.push_back(fmt::format("{} AS {}", quote_name(input[i].name), quote_name(node.columns[i].name)));
    groups.push_back(quote_name(input[i].name));
  }
  for (const AggregateCall& call : node.aggregate.calls) items.push_back(sql_of_call(call, input));
  std::string sql = fmt::format("SELECT {} FROM n{}", list_of(items), node.inputs[0]);
  if (node.aggregate.global && items.empty()) return "SELECT 1 AS \"_nothing\"";
  if (!groups.empty()) sql += fmt::format(" GROUP BY {}", fmt::join(groups, ", "));
  return sql;
}

std::string sql_of_first_row(const PlanNode& node, const ViewPlan& plan) {
  const std::vector<OutputColumn>& input = plan.nodes[node.inputs[0]].columns;
  std::vector<std::string> items;
  std::vector<std::string> order;
  std::vector<std::string> partition;
  for (const OrderColumn& by : node.first_row.order) {
    order.push_back(fmt::format("{} {} NULLS {}", quote_name(input[by.column].name), by.descending ? "DESC" : "ASC",
                                by.nulls_first ? "FIRST" : "LAST"));
  }
  for (uint32_t i = 0; i < node.first_row.output_columns; ++i) {
    items.push_back(fmt::format("{} AS {}", quote_name(input[i].name), quote_name(node.columns[i].name)));
    order.push_back(quote_name(input[i].name));
  }
  for (uint32_t column : node.first_row.partition) partition.push_back(quote_name(input[column].name));
  return fmt::format("SELECT {} FROM n{} QUALIFY row_number() OVER ({}{} ORDER BY {}) = 1", list_of(items),
                     node.inputs[0], partition.empty() ? "" : "PARTITION BY ", fmt::join(partition, ", "),
                     fmt::join(order, ", "));
}

std::string sql_of_union(const PlanNode& node) {
  std::string sql;
  for (uint32_t input : node.inputs) sql += fmt::format("{}SELECT * FROM n{}", sql.empty() ? "" : " UNION ALL ", input);
  std::vector<std::string> names;
  for (const OutputColumn& column : node.columns) names.push_back(quote_name(column.name));
  return fmt::format("SELECT * FROM ({}) u({})", sql, fmt::join(names, ", "));
}

// Both sides come to text through the plan's types.
std::string as_text(const std::string& query, const std::vector<OutputColumn>& columns) {
  std::string names;
  std::string values;
  for (size_t i = 0; i < columns.size(); ++i) {
    names += fmt::format("{}c{}", i == 0 ? "" : ", ", i);
    values += fmt::format("{}coalesce(CAST(CAST(c{} AS {}) AS VARCHAR), 'NULL')", i == 0 ? "" : ", ", i,
                          duckdb_type_text(columns[i].type));
  }
  return fmt::format("SELECT concat_ws(' | ', {}) AS r FROM ({}) v({}) ORDER BY r", values, query, names);
}

std::string with_attributes(std::string sql) {
  for (const char* name : {"client.tax", "client.plan"}) {
    for (size_t at = sql.find(name); at != std::string::npos; at = sql.find(name, at + 1)) {
      sql.replace(at, std::string_view(name).size(), attribute_value(name));
    }
  }
  return sql;
}

}  // namespace

BatchDatabase::BatchDatabase(const std::vector<Relation>& relations) : relations_(relations) {
  EXPECT_EQ(duckdb_open_ext(nullptr, database_.out(), nullptr, nullptr), DuckDBSuccess);
  EXPECT_EQ(duckdb_connect(database_.get(), connection_.out()), DuckDBSuccess);
  run("SET TimeZone = 'UTC'");
  // With it DuckDB 1.5.6 loses the group of NULLs: GROUP BY x QUALIFY row_number() OVER (ORDER BY x DESC) = 1, of a small range.
  run("SET disabled_optimizers = 'top_n_window_elimination'");
  for (const Relation& relation : relations_) {
    std::vector<std::string> names = sql_column_names(relation);
    std::vector<std::string> columns;
    for (size_t i = 0; i < names.size(); ++i) {
      columns.push_back(fmt::format("{} {}", quote_name(names[i]), duckdb_type_text(relation.columns[i].type)));
    }
    run(fmt::format("CREATE TABLE {} ({})", quote_name(relation.name), fmt::join(columns, ", ")));
  }
}

void BatchDatabase::run(const std::string& sql) {
  Status status = duckdb_run(connection_.get(), sql);
  EXPECT_TRUE(status.ok()) << sql << "\n" << status.error().message;
}

std::vector<std::string> BatchDatabase::rows(const std::string& sql) {
  DuckDbResult result;
  if (duckdb_query(connection_.get(), sql.c_str(), &result.result) != DuckDBSuccess) {
    return {"ERROR " + duckdb_message(duckdb_result_error(&result.result)) + "\n" + sql};
  }
  std::vector<std::string> rows;
  while (true) {
    DuckDbChunk chunk(duckdb_fetch_chunk(result.result));
    if (chunk.get() == nullptr) break;
    for (idx_t row = 0; row < duckdb_data_chunk_get_size(chunk.get()); ++row) {
      duckdb_vector vector = duckdb_data_chunk_get_vector(chunk.get(), 0);
      rows.emplace_back(duckdb_text(static_cast<const duckdb_string_t*>(duckdb_vector_get_data(vector))[row]));
    }
  }
  return rows;
}

std::vector<std::string> BatchDatabase::rows_of_sql(const std::string& sql, const std::vector<OutputColumn>& columns) {
  return rows(as_text(with_attributes(sql), columns));
}

std::string BatchDatabase::sql_of_leaf(const PlanNode& node) const {
  auto relation = std::find_if(relations_.begin(), relations_.end(),
                               [&](const Relation& one) { return one.name == node.relation; });
  EXPECT_EQ(node.kind == NodeKind::kView, relation->is_view);
  std::vector<std::string> names = sql_column_names(*relation);
  std::vector<std::string> items;
  for (const OutputColumn& column : node.columns) {
    if (column.name.starts_with("client.")) {
      items.push_back(fmt::format("{} AS {}", attribute_value(column.name), quote_name(column.name)));
      continue;
    }
    for (size_t i = 0; i < names.size(); ++i) {
      if (relation->columns[i].name != column.name) continue;
      EXPECT_EQ(relation->columns[i].type, column.type);
      items.push_back(fmt::format("{} AS {}", quote_name(names[i]), quote_name(column.name)));
    }
  }
  EXPECT_EQ(items.size(), node.columns.size());
  return fmt::format("SELECT {} FROM {}", list_of(items), quote_name(node.relation));
}

std::string BatchDatabase::sql_of_plan(const ViewPlan& plan) const {
  std::string sql = "WITH ";
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const PlanNode& node = plan.nodes[i];
    std::string query;
    switch (node.kind) {
      case NodeKind::kDomain:
      case NodeKind::kView: query = sql_of_leaf(node); break;
      case NodeKind::kMap: query = sql_of_map(node); break;
      case NodeKind::kJoin: query = sql_of_join(node, plan); break;
      case NodeKind::kAggregate: query = sql_of_aggregate(node, plan); break;
      case NodeKind::kFirstRow: query = sql_of_first_row(node, plan); break;
      case NodeKind::kUnion: query = sql_of_union(node); break;
    }
    sql += fmt::format("{}n{} AS MATERIALIZED ({})", i == 0 ? "" : ",\n", i, query);
  }
  return sql + fmt::format("\nSELECT * FROM n{}", plan.nodes.size() - 1);
}

std::vector<std::string> BatchDatabase::rows_of_plan(const ViewPlan& plan) {
  return rows(as_text(sql_of_plan(plan), plan.columns()));
}

Result<std::vector<OutputColumn>> BatchDatabase::columns_of_sql(const std::string& sql) {
  DuckDbStatement statement;
  if (duckdb_prepare(connection_.get(), with_attributes(sql).c_str(), statement.out()) != DuckDBSuccess) {
    return Error{ErrorCode::kInvalidInput, duckdb_message(duckdb_prepare_error(statement.get()))};
  }
  std::vector<OutputColumn> columns;
  for (idx_t i = 0; i < duckdb_prepared_statement_column_count(statement.get()); ++i) {
    DuckDbType type(duckdb_prepared_statement_column_logical_type(statement.get(), i));
    const char* name = duckdb_prepared_statement_column_name(statement.get(), i);
    columns.push_back({name, result_type_of(type.get()).type});
    duckdb_free(const_cast<char*>(name));
  }
  return columns;
}

}  // namespace tributary
