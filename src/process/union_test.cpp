// UNION ALL of two domains by row, through a ViewGraph: each branch's rows stand under keys of their own.
#include <gtest/gtest.h>

#include <set>

#include "process/memory_state.h"
#include "process/memory_tables.h"
#include "process/view_graph.h"

namespace tributary {
namespace {

class NoExpressions : public ExpressionEngine {
 public:
  Result<std::unique_ptr<ExpressionProgram>> prepare(const std::vector<InputColumn>& /*inputs*/,
                                                     const std::vector<std::string>& /*expressions*/) override {
    return Error{ErrorCode::kInternal, "nothing is computed here"};
  }
};

SchemaPtr schema_of(const std::string& domain) {
  TableSchema schema;
  schema.table = "public." + domain;
  schema.version = 1;
  schema.columns = {{"id", {TypeId::kInt64}, "bigint", true, false}, {"name", {TypeId::kText}, "text", false, false}};
  schema.key_columns = {0};
  return std::make_shared<const TableSchema>(schema);
}

const std::vector<OutputColumn> columns{{"id", {TypeId::kInt64}}, {"name", {TypeId::kText}}};

PlanNode node(NodeKind kind, std::vector<uint32_t> inputs, std::string relation = {}) {
  PlanNode made;
  made.kind = kind;
  made.inputs = std::move(inputs);
  made.columns = columns;
  made.relation = std::move(relation);
  return made;
}

class UnionTest : public testing::Test {
 protected:
  UnionTest() {
    GraphOptions options;
    plan_.nodes.push_back(node(NodeKind::kDomain, {}, "users"));
    plan_.nodes.push_back(node(NodeKind::kDomain, {}, "orders"));
    plan_.nodes.push_back(node(NodeKind::kUnion, {0, 1}));
    options.views = {plan_};
    options.stored = {"everything"};
    for (const char* domain : {"users", "orders"}) {
      options.relations[domain] = {domain, {{"id", {TypeId::kInt64}, false}, {"name", {TypeId::kText}}}, {"id"}};
    }
    options.find_schema = [](const ClientId&, const std::string& table, uint32_t) -> Result<SchemaPtr> {
      return schema_of(table);
    };
    auto made = ViewGraph::make(std::move(options), engine_);
    CHECK(made.ok(), "{}", made.error().message);
    graph_ = std::move(made).value();
  }

  void row(const std::string& domain, Op op, int64_t id, const std::string& name) {
    EventBatch& batch = batches_.emplace_back(ClientId{"acme"}, domain, schema_of(domain));
    batch.ops.push_back(op);
    batch.positions.push_back({1, ++commit_, 1, 0});
    batch.commit_micros.push_back(0);
    batch.transactions.push_back(0);
    batch.columns[0].append_fixed(id);
    if (op == Op::kDelete) {
      batch.columns[1].append_absent();
    } else {
      batch.columns[1].append_bytes(name);
    }
  }
  void truncate(const std::string& domain) {
    EventBatch& batch = batches_.emplace_back(ClientId{"acme"}, domain, schema_of(domain));
    batch.ranges.push_back({.position = {1, ++commit_, 1, 0}, .low = {}, .high = {}});
  }

  // What a round makes of the view's table: "7 ann, 7 new".
  std::string round() {
    std::map<ClientId, ClientAttributes> attributes;
    GraphInput input;
    for (const EventBatch& batch : batches_) input.batches.push_back(&batch);
    input.attributes = &attributes;
    for (const char* domain : {"users", "orders"}) {
      input.tables[{ClientId{"acme"}, domain}] = std::string("public.") + domain;
    }
    input.checkpoint = ++checkpoint_;
    KeyedState* states[] = {&state_};
    auto done = graph_->run(input, states, run_serially);
    CHECK(done.ok(), "{}", done.error().message);
    batches_.clear();
    for (const Withdrawal& withdrawal : done->withdrawals) tables_.withdraw(withdrawal);
    for (const GraphOutput::View& view : done->views) tables_.insert(plan_.table(), view.rows);
    EXPECT_EQ(tables_.conflicts(), 0u);
    std::multiset<std::string> rows;
    for (const auto& cells : tables_.rows("everything", ClientId{"acme"}, columns))
      rows.insert(cells[0] + " " + cells[1]);
    std::string out;
    for (const std::string& row : rows) out += (out.empty() ? "" : ", ") + row;
    return out;
  }

  ViewPlan plan_{.name = "everything", .nodes = {}, .key = {}, .order_by = {}, .options = {}};
  NoExpressions engine_;
  MemoryState state_;
  MemoryTables tables_;
  std::unique_ptr<ViewGraph> graph_;
  std::vector<EventBatch> batches_;
  uint64_t commit_ = 0;
  uint64_t checkpoint_ = 0;
};

TEST_F(UnionTest, RowsOfTwoBranchesWithOneKeyAreTwo) {
  row("users", Op::kCreate, 7, "ann");
  row("orders", Op::kCreate, 7, "new");
  EXPECT_EQ(round(), "7 ann, 7 new");
  row("users", Op::kCreate, 8, "same");
  row("orders", Op::kCreate, 8, "same");
  EXPECT_EQ(round(), "7 ann, 7 new, 8 same, 8 same");
}

TEST_F(UnionTest, AChangeIsOfItsBranchOnly) {
  row("users", Op::kCreate, 7, "ann");
  row("orders", Op::kCreate, 7, "new");
  round();
  row("orders", Op::kUpdate, 7, "paid");
  EXPECT_EQ(round(), "7 ann, 7 paid");
  row("users", Op::kDelete, 7, "");
  EXPECT_EQ(round(), "7 paid");
  row("users", Op::kCreate, 7, "back");
  EXPECT_EQ(round(), "7 back, 7 paid");
}

TEST_F(UnionTest, TruncateEmptiesItsBranchOnly) {
  for (const char* domain : {"users", "orders"}) {
    for (int64_t id : {1, 2}) row(domain, Op::kCreate, id, domain);
  }
  EXPECT_EQ(round(), "1 orders, 1 users, 2 orders, 2 users");
  truncate("orders");
  row("orders", Op::kCreate, 2, "after");
  EXPECT_EQ(round(), "1 users, 2 after, 2 users");
  truncate("users");
  EXPECT_EQ(round(), "2 after");
}

TEST_F(UnionTest, ALetterIsAboutTheRowOfItsBranch) {
  auto row = graph_->row_of_letter("everything", dead_key(2, std::string("\x01") + "key"));
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->domain, "orders");
  EXPECT_EQ(row->key, "key");
  EXPECT_FALSE(graph_->row_of_letter("everything", dead_key(2, "\x02")).has_value()) << "no such branch";
}

}  // namespace
}  // namespace tributary
