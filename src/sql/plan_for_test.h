// What the planner's tests share: relations to plan over, and plans and errors as text.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <string>

#include "sql/view_planner.h"

namespace tributary {

inline LogicalType type_named(std::string_view name) { return *LogicalType::parse(name); }

inline std::vector<Relation> relations_for_test() {
  auto column = [](const char* name, const char* type, bool key = false) {
    return OutputColumn{name, type_named(type), !key};
  };
  return {{"users",
           {column("id", "int64", true), column("email", "text"), column("country", "text"),
            column("client_id", "text"), column("_rev", "int32"), column("Total", "decimal(12,2)"),
            column("created_at", "timestamptz"), column("big", "bigdecimal(50,2)")},
           {"id"}},
          {"orders",
           {column("id", "int64", true), column("user_id", "int32"), column("status", "text"),
            column("total", "decimal(12,2)"), column("quantity", "int16"), column("weight", "float64"),
            column("paid", "bool"), column("placed_at", "timestamp"), column("day", "date"), column("payload", "json"),
            column("number", "uint64"), column("token", "uuid"), column("ratio", "float32"), column("mark", "bytes")},
           {"id"}},
          {"items",
           {column("order_id", "int64", true), column("line", "int32", true), column("product", "text"),
            column("price", "decimal(10,4)"), column("quantity", "int32")},
           {"order_id", "line"}},
          {.name = "sales",
           .columns = {column("id", "int64", true), column("country", "text"), column("amount", "decimal(38,0)"),
                       column("_rev_", "int32")},
           .key = {"id"},
           .is_view = true}};
}

inline std::vector<InputColumn> attributes_for_test() {
  return {{"plan", type_named("text")}, {"tax", type_named("decimal(3,2)")}};
}

// "id int64 not null, email text"
inline std::string show(const std::vector<OutputColumn>& columns) {
  std::string out;
  for (const OutputColumn& column : columns) {
    out += fmt::format("{}{} {}{}", out.empty() ? "" : ", ", column.name, column.type.to_string(),
                       column.nullable ? "" : " not null");
  }
  return out;
}

inline std::string show(const MapPlan& map) {
  std::string out;
  if (map.filter) out += fmt::format(" where {}", map.expressions[*map.filter]);
  for (const MapOutput& output : map.outputs) {
    std::string from = output.input ? map.inputs[*output.input].name : map.expressions[*output.expression];
    out +=
        output.column.name == from ? fmt::format("\n  {}", from) : fmt::format("\n  {} = {}", output.column.name, from);
  }
  return out;
}

inline std::string show(const PlanNode& node, const ViewPlan& plan) {
  auto name = [&](size_t input, uint32_t column) { return plan.nodes[node.inputs[input]].columns[column].name; };
  std::string out;
  switch (node.kind) {
    case NodeKind::kDomain:
    case NodeKind::kView: {
      std::vector<std::string> names;
      for (const OutputColumn& column : node.columns) names.push_back(column.name);
      return fmt::format("{} {}: {}", node.kind == NodeKind::kView ? "view" : "domain", node.relation,
                         fmt::join(names, ", "));
    }
    case NodeKind::kMap: return fmt::format("map {}{}", node.inputs[0], show(node.map));
    case NodeKind::kJoin:
      out = fmt::format("{}join {} {}{}", node.join.kind == JoinKind::kLeft ? "left " : "", node.inputs[0],
                        node.inputs[1], node.join.right_unique ? " unique" : "");
      for (size_t i = 0; i < node.join.left_key.size(); ++i) {
        out += fmt::format("\n  {} = {}", name(0, node.join.left_key[i]), name(1, node.join.right_key[i]));
      }
      return out;
    case NodeKind::kAggregate: {
      out = fmt::format("aggregate {}{}", node.inputs[0], node.aggregate.global ? " global" : "");
      for (uint32_t i = 0; i < node.aggregate.group_columns; ++i) out += fmt::format("\n  {}", node.columns[i].name);
      static constexpr const char* kinds[] = {"count(*)", "count",    "count distinct", "sum",     "avg",    "min",
                                              "max",      "bool_and", "bool_or",        "arg_min", "arg_max"};
      for (const AggregateCall& call : node.aggregate.calls) {
        out += fmt::format("\n  {} = {}", call.column.name, kinds[static_cast<size_t>(call.kind)]);
        if (call.argument) out += " " + name(0, *call.argument);
        if (call.order) out += " by " + name(0, *call.order);
        if (call.filter) out += " where " + name(0, *call.filter);
      }
      return out;
    }
    case NodeKind::kFirstRow: {
      out = fmt::format("first row {}\n  of", node.inputs[0]);
      for (uint32_t column : node.first_row.partition) out += " " + name(0, column);
      out += "\n  by";
      for (const OrderColumn& order : node.first_row.order) {
        out += fmt::format(" {}{}{}", name(0, order.column), order.descending ? " desc" : "",
                           order.nulls_first ? " nulls first" : "");
      }
      return out;
    }
    case NodeKind::kUnion: return fmt::format("union {}", fmt::join(node.inputs, " "));
  }
  return out;
}

// One node a paragraph, then the view's columns and key.
inline std::string show(const ViewPlan& plan) {
  std::string out;
  for (size_t i = 0; i < plan.nodes.size(); ++i) out += fmt::format("{} {}\n", i, show(plan.nodes[i], plan));
  if (plan.nodes.empty()) return "no nodes\n";
  return out + fmt::format("= {}\nkey {}\n", show(plan.columns()), fmt::join(plan.key, ", "));
}

// "1:8 message", one a line.
inline std::string show(const std::vector<PlanError>& errors) {
  std::string out;
  for (const PlanError& error : errors) {
    out += fmt::format("{}{}:{} {}", out.empty() ? "" : "\n", error.place.line, error.place.column, error.message);
  }
  return out;
}

class PlannerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { engine = DuckDbEngine::open().value().release(); }
  static void TearDownTestSuite() {
    delete engine;
    engine = nullptr;
  }

  static ViewRequest request(std::string_view sql) {
    return {.name = "v", .sql = sql, .relations = relations_for_test(), .attributes = attributes_for_test()};
  }
  static ViewPlan plan(std::string_view sql) {
    auto planned = plan_view(*engine, request(sql));
    if (auto* errors = std::get_if<std::vector<PlanError>>(&planned)) {
      ADD_FAILURE() << sql << "\n" << show(*errors);
      return {};
    }
    return std::get<ViewPlan>(planned);
  }
  static std::string shown(std::string_view sql) { return show(plan(sql)); }
  static std::string errors(std::string_view sql) {
    auto planned = plan_view(*engine, request(sql));
    if (auto* found = std::get_if<std::vector<PlanError>>(&planned)) return show(*found);
    return "no error";
  }
  static void refuses(std::string_view sql, std::string_view expected) {
    EXPECT_EQ(errors(sql).substr(0, expected.size()), expected) << sql << "\n" << errors(sql);
  }

  static inline DuckDbEngine* engine = nullptr;
};

}  // namespace tributary
