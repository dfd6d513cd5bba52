// The oracle of the planner's tests: DuckDB runs a view's SQL as it is, in batch, and its plan, node by node. For tests.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "contracts/view_plan.h"
#include "sql/duckdb_handles.h"
#include "sql/plan_for_test.h"

namespace tributary {

// A database with a table for each relation, whose columns are named and typed as a view's SQL sees them.
class BatchDatabase {
 public:
  explicit BatchDatabase(const std::vector<Relation>& relations);

  // Runs a statement; its error is a failure of the test.
  void run(const std::string& sql);
  // The rows of the view's SQL, as text, sorted; `columns` are the plan's. An error is a text of its own.
  std::vector<std::string> rows_of_sql(const std::string& sql, const std::vector<OutputColumn>& columns);
  // The same of its plan.
  std::vector<std::string> rows_of_plan(const ViewPlan& plan);
  // The columns that DuckDB gives the SQL, with types by docs/sql.md's table.
  Result<std::vector<OutputColumn>> columns_of_sql(const std::string& sql);

 private:
  std::string sql_of_plan(const ViewPlan& plan) const;
  std::string sql_of_leaf(const PlanNode& node) const;
  std::vector<std::string> rows(const std::string& sql);

  std::vector<Relation> relations_;
  DuckDbDatabase database_;
  DuckDbConnection connection_;
};

class PlanOracleTest : public PlannerTest {
 protected:
  static void SetUpTestSuite() {
    PlannerTest::SetUpTestSuite();
    batch = new BatchDatabase(relations_for_test());
    // NULLs, doubles, keys without a partner, and texts that are no numbers.
    batch->run(
        "INSERT INTO users VALUES (1, ' Ann@x.de', 'de', 'c', 1, 10.50, '2024-01-31 23:30:00+00', '1.50'), "
        "(2, 'bob', 'fr', NULL, 2, NULL, '2024-02-29 12:00:00+00', '2.25'), (3, '17', NULL, 'c', 3, 7.25, NULL, NULL), "
        "(4, NULL, 'de', 'd', NULL, -3.00, '2023-12-31 00:00:00+00', '1.50'), (5, '5', 'us', 'd', 5, 99.99, "
        "'2024-01-01 00:00:00+00', '0.00')");
    batch->run(
        "INSERT INTO orders SELECT i, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 7 END, "
        "['new', 'paid', 'test', NULL, '12'][i % 5 + 1], CASE WHEN i % 6 = 0 THEN NULL ELSE (i * 37 % 101) / 4 END, i "
        "% 4, "
        "i * 0.5 - 3, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END, TIMESTAMP '2024-01-01 10:00:00' + "
        "to_hours(CAST(i * 7 AS INTEGER)), DATE '2024-01-01' + CAST(i % 4 AS INTEGER), '{\"a\": ' || i % 3 || '}', i * "
        "3, "
        "CAST('00000000-0000-0000-0000-00000000000' || i % 10 AS UUID), i / 4, encode('m' || i % 3) FROM range(1, 21) "
        "r(i)");
    batch->run(
        "INSERT INTO items SELECT i // 2 + 1, i % 2 + 1, ['pen', 'cup', 'hat', NULL][i % 4 + 1], (i * 13 % 17) / 8, "
        "CASE WHEN i % 5 = 0 THEN NULL ELSE i % 3 END FROM range(0, 24) r(i)");
    batch->run("INSERT INTO sales SELECT i, ['de', 'fr', NULL][i % 3 + 1], i * 100, i FROM range(1, 9) r(i)");
  }
  static void TearDownTestSuite() {
    delete batch;
    PlannerTest::TearDownTestSuite();
  }

  static void same(const std::string& sql) {
    ViewPlan planned = plan(sql);
    if (planned.nodes.empty()) return;
    auto columns = batch->columns_of_sql(sql);
    ASSERT_TRUE(columns.ok()) << sql << "\n" << columns.error().message;
    std::vector<OutputColumn> given = planned.columns();
    for (OutputColumn& column : given) {
      column.nullable = true;
      if (column.type.id == TypeId::kBigDecimal) column.type = {TypeId::kText};  // as which DuckDB sees it
    }
    EXPECT_EQ(show(given), show(*columns)) << sql << "\n" << show(planned);
    EXPECT_EQ(batch->rows_of_plan(planned), batch->rows_of_sql(sql, planned.columns())) << sql << "\n" << show(planned);
  }

  static inline BatchDatabase* batch = nullptr;
};

}  // namespace tributary
