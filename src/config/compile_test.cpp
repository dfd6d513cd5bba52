#include "config/compile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "config/lock_for_test.h"

namespace tributary {
namespace {

// A planner of a language of its own: "orders sales GROUP" reads the relations orders and sales, and keeps state; "BAD" and
// "WRONG" are errors, the second one only where columns are known.
PlanFunctions fake_planner() {
  PlanFunctions functions;
  functions.identity = [](const std::string& name, const Relation& relation) {
    PlanNode domain{.kind = NodeKind::kDomain, .columns = relation.columns, .relation = relation.name};
    PlanNode map{.kind = NodeKind::kMap, .inputs = {0}, .columns = relation.columns};
    for (OutputColumn& column : map.columns) {
      if (column.name == "client_id") column.name += "_";
    }
    return ViewPlan{.name = name, .nodes = {domain, map}, .key = relation.key, .order_by = relation.key};
  };
  functions.reads = [](std::string_view sql, const std::vector<std::string>& names) {
    std::vector<RelationRead> reads;
    for (const std::string& name : names) {
      size_t at = (" " + std::string(sql) + " ").find(" " + name + " ");
      if (at != std::string::npos) reads.push_back({name, {1, at + 1}});
    }
    return reads;
  };
  functions.plan =
      [identity = functions.identity](const PlanRequest& request) -> std::variant<ViewPlan, std::vector<PlanError>> {
    if (request.sql.find("BAD") != std::string_view::npos) return std::vector<PlanError>{{{2, 1}, "bad syntax"}};
    std::string first(request.sql.substr(0, request.sql.find(' ')));
    for (const Relation& relation : request.relations) {
      if (relation.name != first) continue;
      if (relation.columns.empty()) return ViewPlan{.name = request.name};
      if (request.sql.find("WRONG") != std::string_view::npos) {
        return std::vector<PlanError>{{{1, 8}, "no such column"}};
      }
      ViewPlan plan = identity(request.name, relation);
      plan.nodes[0].kind = relation.is_view ? NodeKind::kView : NodeKind::kDomain;
      if (request.sql.find("GROUP") != std::string_view::npos) {
        plan.nodes.push_back({.kind = NodeKind::kAggregate, .inputs = {1}, .columns = plan.columns()});
      }
      return plan;
    }
    return std::vector<PlanError>{{{1, 1}, "there is no " + first}};
  };
  return functions;
}

std::string show(const std::vector<FileError>& errors) {
  std::string out;
  for (const FileError& error : errors) out += error.to_string() + "\n";
  return out;
}

CompileResult compile(const std::string& views) {
  LockFile lock = example();
  return compile_pipeline(pipeline_of(views), &lock, fake_planner());
}

std::string names(const CompileResult& result) {
  std::vector<std::string> names;
  for (const ViewPlan& plan : result.compiled.views) names.push_back(plan.name);
  return fmt::format("{}", fmt::join(names, " "));
}

constexpr const char* renamed_note =
    "shop.yaml:7:3: domain orders: the source's column \"client_id\" is called \"client_id_\", since the name is the "
    "pipeline's own\n";

TEST(Compile, EachDomainIsItsOwnViewByDefault) {
  CompileResult result = compile("");
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(show(result.errors), "");
  EXPECT_EQ(show(result.notes), renamed_note);
  EXPECT_EQ(names(result), "orders");
}

TEST(Compile, ErrorsStandInTheFile) {
  CompileResult result = compile(
      "views:\n  one: { sql: orders WRONG }\n  two:\n    sql: |\n      SELECT\n      BAD\n  three:\n"
      "    sql: orders\n    order_by: total\n  four: { sql: orders, order_by: [id] }\n");
  EXPECT_EQ(show(result.errors),
            "shop.yaml:9:22: view one: no such column\nshop.yaml:13:7: view two: bad syntax\n"
            "shop.yaml:16:15: view three: order_by: \"total\" is no key column; there are: id\n");
  EXPECT_EQ(names(result), "four");
}

TEST(Compile, WithoutLockFileOnlySyntaxIsChecked) {
  Pipeline pipeline =
      pipeline_of("views:\n  one: { sql: orders WRONG }\n  two: { sql: 'BAD' }\n  three: { sql: one }\n");
  CompileResult result = compile_pipeline(pipeline, nullptr, fake_planner());
  EXPECT_FALSE(result.complete);
  EXPECT_EQ(show(result.errors), "shop.yaml:10:19: view two: bad syntax\n");
  EXPECT_EQ(show(result.notes), "");
  EXPECT_EQ(names(result), "");
}

TEST(Compile, ViewsComeAfterWhatTheyRead) {
  CompileResult result = compile(
      "views:\n  last: { sql: middle first }\n  middle: { sql: first }\n  first: { sql: orders }\n"
      "  other: { sql: orders }\n");
  EXPECT_EQ(show(result.errors), "");
  EXPECT_EQ(names(result), "first middle last other");
  EXPECT_EQ(result.compiled.views[1].nodes[0].kind, NodeKind::kView);
}

TEST(Compile, WhatReadsAnErrorIsNamedAndHasNoErrorsOfItsOwn) {
  CompileResult result =
      compile("views:\n  top: { sql: middle WRONG }\n  middle: { sql: bad }\n  bad: { sql: orders WRONG }\n");
  EXPECT_EQ(show(result.errors), "shop.yaml:11:22: view bad: no such column\n");
  EXPECT_EQ(
      show(result.notes),
      renamed_note + std::string("shop.yaml:9:3: view top: it is not looked at, since view middle has errors\n"
                                 "shop.yaml:10:3: view middle: it is not looked at, since view bad has errors\n"));
  EXPECT_EQ(names(result), "");
}

TEST(Compile, CyclesAreErrorsWithTheirPath) {
  EXPECT_EQ(show(compile("views:\n  self: { sql: self }\n").errors),
            "shop.yaml:9:16: view self: it reads itself: self → self; take one of them out of a FROM\n");
  EXPECT_EQ(show(compile("views:\n  a: { sql: b }\n  b: { sql: orders c }\n  c: { sql: b }\n").errors),
            "shop.yaml:11:13: view c: it reads itself: b → c → b; take one of them out of a FROM\n");
}

TEST(Compile, OrderByTakesAnyColumnWhereRowsCanBeTakenBack) {
  CompileResult result = compile(
      "views:\n  grouped: { sql: orders GROUP, order_by: [total, id] }\n  over: { sql: grouped, order_by: note }\n"
      "  plain: { sql: orders, order_by: note }\n  none: { sql: grouped, order_by: nix }\n");
  EXPECT_EQ(show(result.errors),
            "shop.yaml:11:35: view plain: order_by: \"note\" is no key column; there are: id\n"
            "shop.yaml:12:35: view none: order_by: \"nix\" is no column; there are: id, total, note, client_id_\n");
  ASSERT_EQ(names(result), "grouped over");
  EXPECT_EQ(result.compiled.views[0].order_by, (std::vector<std::string>{"total", "id"}));
  EXPECT_EQ(result.compiled.views[1].order_by, std::vector<std::string>{"note"});
}

}  // namespace
}  // namespace tributary
