#include "app/view_tests.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>

#include "app/pipeline_plan.h"
#include "process/memory_state.h"
#include "process/memory_tables.h"
#include "process/view_graph.h"
#include "sql/type_names.h"

namespace tributary {
namespace {

constexpr double relative_tolerance = 1e-9;

// A value's text as a cell of `type`.
Result<Column> cell_of(DuckDbEngine& engine, const TestValue& value, const LogicalType& type) {
  Column cell(type);
  if (value.null) {
    cell.append_null();
    return cell;
  }
  if (type.id == TypeId::kText || type.id == TypeId::kBigDecimal) {
    cell.append_bytes(value.text);
    return cell;
  }
  ASSIGN_OR_RETURN(auto program,
                   engine.prepare({{"v", {TypeId::kText}}}, {fmt::format("CAST(v AS {})", duckdb_type_text(type))}));
  Column text({TypeId::kText});
  text.append_bytes(value.text);
  const Column* inputs[] = {&text};
  ASSIGN_OR_RETURN(ExpressionOutput out, program->run(inputs, 1, {}));
  if (!out.errors.empty()) return Error{ErrorCode::kInvalidInput, out.errors[0].message};
  return std::move(out.columns[0]);
}

class ViewTest {
 public:
  ViewTest(const Pipeline& pipeline, const CompiledPipeline& compiled, DuckDbEngine& engine, const TestCase& test)
      : pipeline_(pipeline),
        compiled_(compiled),
        engine_(engine),
        test_(test),
        client_(test.client.empty() ? "test" : test.client) {}

  // What differs; empty: nothing.
  Result<std::string> run() {
    RETURN_IF_ERROR(open());
    for (const auto& [domain, rows] : test_.given) {
      for (const TestRow& row : rows) RETURN_IF_ERROR(put(domain, row, TestChangeKind::kInsert));
    }
    RETURN_IF_ERROR(round());
    for (const TestChange& change : test_.changes) {
      for (const auto& [domain, rows] : change.rows) {
        for (const TestRow& row : rows) RETURN_IF_ERROR(put(domain, row, change.kind));
      }
      RETURN_IF_ERROR(round());
    }
    std::string difference;
    for (const auto& [view, rows] : test_.expect) {
      ASSIGN_OR_RETURN(std::string of_view, compare(view, rows));
      difference += of_view;
    }
    return difference;
  }

 private:
  using Cells = std::vector<Column>;  // one row each

  Status open() {
    GraphOptions options{.state_suffix = "",
                         .views = compiled_.views,
                         .stored = {},
                         .relations = {},
                         .find_schema = [this](const ClientId&, const std::string& table,
                                               uint32_t) -> Result<SchemaPtr> { return schemas_.at(table); }};
    for (const ViewPlan& view : compiled_.views) options.stored.insert(view.name);
    for (const auto& [name, domain] : compiled_.domains) {
      options.relations[name] = domain.relation;
      auto schema = std::make_shared<TableSchema>();
      schema->table = name;
      schema->version = 1;
      for (const OutputColumn& column : domain.relation.columns) {
        bool key =
            std::find(domain.relation.key.begin(), domain.relation.key.end(), column.name) != domain.relation.key.end();
        schema->columns.push_back({column.name, column.type, column.type.to_string(), key, false});
      }
      for (const std::string& column : domain.relation.key) schema->key_columns.push_back(*schema->find(column));
      schemas_[name] = schema;
    }
    auto attributes = attribute_columns(pipeline_);
    attributes_[client_].revision = 1;
    if (!test_.client.empty()) attributes_[client_].values = attributes.at(client_);
    ASSIGN_OR_RETURN(graph_, ViewGraph::make(std::move(options), engine_));
    return {};
  }

  Status put(const std::string& domain, const TestRow& row, TestChangeKind kind) {
    auto at = schemas_.find(domain);
    if (at == schemas_.end()) return Error{ErrorCode::kNotFound, domain};
    const SchemaPtr& schema = at->second;
    Cells cells;
    for (const ColumnSchema& column : schema->columns) cells.emplace_back(column.type).append_null();
    std::vector<bool> given(cells.size(), false);
    for (const auto& [name, value] : row) {
      auto column = schema->find(name);
      if (!column) return Error{ErrorCode::kInvalidInput, fmt::format("{} has no column {}", domain, name)};
      auto cell = cell_of(engine_, value, schema->columns[*column].type);
      if (!cell.ok()) return with_context(cell.error(), fmt::format("{}, column {}", domain, name));
      cells[*column] = std::move(cell).value();
      given[*column] = true;
    }
    for (uint32_t key : schema->key_columns) {
      if (given[key]) continue;
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("{}: a row needs its key's column {}", domain, schema->columns[key].name)};
    }
    EventBatch batch(client_, domain, schema);
    batch.columns = cells;
    batch.ops = {Op::kCreate};
    std::string key = batch.row_key(0);
    auto& table = tables_[domain];
    auto known = table.find(key);
    if (kind != TestChangeKind::kInsert && known == table.end()) {
      return Error{ErrorCode::kInvalidInput, fmt::format("{}: there is no such row to change", domain)};
    }
    if (kind == TestChangeKind::kUpdate) {
      for (size_t i = 0; i < cells.size(); ++i) {
        if (!given[i]) batch.columns[i] = known->second[i];
      }
    }
    batch.ops = {kind == TestChangeKind::kInsert   ? Op::kCreate
                 : kind == TestChangeKind::kUpdate ? Op::kUpdate
                                                   : Op::kDelete};
    batch.positions = {{1, ++commit_, 1, 0}};
    batch.commit_micros = {0};
    batch.transactions = {0};
    if (kind == TestChangeKind::kDelete) {
      table.erase(known);
    } else {
      table.insert_or_assign(key, batch.columns);
    }
    batches_.push_back(std::move(batch));
    return {};
  }

  Status round() {
    do {
      MemoryRound round(state_);
      KeyedState* states[] = {&round};
      GraphInput input{.attributes = &attributes_};
      for (const EventBatch& batch : batches_) input.batches.push_back(&batch);
      for (const auto& [name, schema] : schemas_) input.tables[{client_, name}] = name;
      input.run_generation = 1;
      input.checkpoint = ++checkpoint_;
      ASSIGN_OR_RETURN(GraphOutput out, graph_->run(input, states, run_serially));
      round.commit();
      batches_.clear();
      for (const GraphOutput::View& view : out.views) {
        for (const DeadRow& row : view.dead) failed_[view.name].push_back(row.reason);
        if (view.rows.rows() > 0) store_.insert(plan(view.name).table(), view.rows);
      }
    } while (graph_->wants_round());
    return {};
  }

  const ViewPlan& plan(const std::string& name) const {
    return *std::find_if(compiled_.views.begin(), compiled_.views.end(),
                         [&](const ViewPlan& view) { return view.name == name; });
  }

  // Only the columns that the test names are compared.
  Result<std::string> compare(const std::string& view, const std::vector<TestRow>& expected) {
    const ViewPlan& of = plan(view);
    auto rows = store_.rows(view, client_, of.columns());
    std::sort(rows.begin(), rows.end(), in_order);
    std::vector<bool> taken(rows.size(), false);
    std::string missing;
    for (const TestRow& row : expected) {
      std::vector<std::pair<size_t, std::string>> wanted;
      std::string shown;
      for (const auto& [name, value] : row) {
        auto at = std::find_if(of.columns().begin(), of.columns().end(),
                               [&](const auto& column) { return column.name == name; });
        if (at == of.columns().end())
          return Error{ErrorCode::kInvalidInput, fmt::format("view {} has no column {}", view, name)};
        auto cell = cell_of(engine_, value, at->type);
        if (!cell.ok()) return with_context(cell.error(), fmt::format("view {}, column {}", view, name));
        wanted.emplace_back(at - of.columns().begin(), cell_text(*cell, 0));
      }
      std::sort(wanted.begin(), wanted.end());  // as the view has them, and the rows that are there
      for (const auto& [column, text] : wanted)
        shown += fmt::format(" {}={}", of.columns()[column].name, shown_cell(text));
      size_t found = rows.size();
      for (size_t i = 0; i < rows.size() && found == rows.size(); ++i) {
        bool same = !taken[i] && std::all_of(wanted.begin(), wanted.end(), [&](const auto& cell) {
          return same_cell(of.columns()[cell.first].type, rows[i][cell.first], cell.second);
        });
        if (same) found = i;
      }
      if (found < rows.size()) {
        taken[found] = true;
      } else {
        missing += fmt::format("\n  - {}:{}", view, shown);
      }
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      if (taken[i]) continue;
      missing += fmt::format("\n  + {}:", view);
      for (size_t column = 0; column < rows[i].size(); ++column) {
        missing += fmt::format(" {}={}", of.columns()[column].name, shown_cell(rows[i][column]));
      }
    }
    if (!missing.empty()) {
      for (const std::string& reason : failed_[view])
        missing += fmt::format("\n    a row could not be computed: {}", reason);
    }
    return missing;
  }

  // Between quotes what would read as something else.
  static std::string shown_cell(const std::string& text) {
    if (text == null_text) return "NULL";
    bool plain = !text.empty() && text != "NULL" && text.find_first_of(" \t\r\n='") == std::string::npos;
    return plain ? text : fmt::format("{:?}", text);
  }

  // Numbers by their size, all else as text.
  static bool in_order(const std::vector<std::string>& one, const std::vector<std::string>& other) {
    auto number = [](const std::string& text) -> std::optional<double> {
      char* end = nullptr;
      double value = std::strtod(text.c_str(), &end);
      return text.empty() || *end != '\0' || std::isnan(value) ? std::nullopt : std::optional(value);
    };
    for (size_t i = 0; i < std::min(one.size(), other.size()); ++i) {
      if (one[i] == other[i]) continue;
      auto x = number(one[i]);
      auto y = number(other[i]);
      if (x.has_value() != y.has_value()) return x.has_value();
      if (x && *x != *y) return *x < *y;
      return one[i] < other[i];
    }
    return one.size() < other.size();
  }

  static bool same_cell(const LogicalType& type, const std::string& a, const std::string& b) {
    if (a == b) return true;
    if ((type.id != TypeId::kFloat64 && type.id != TypeId::kFloat32) || a == null_text || b == null_text) return false;
    double x = std::strtod(a.c_str(), nullptr);
    double y = std::strtod(b.c_str(), nullptr);
    if (!std::isfinite(x) || !std::isfinite(y)) return x == y;  // an infinity is near to nothing
    return std::fabs(x - y) <= relative_tolerance * std::max(std::fabs(x), std::fabs(y));
  }

  const Pipeline& pipeline_;
  const CompiledPipeline& compiled_;
  DuckDbEngine& engine_;
  const TestCase& test_;
  ClientId client_;
  std::map<std::string, SchemaPtr> schemas_;  // by domain
  std::map<std::string, std::map<std::string, Cells>> tables_;
  std::map<ClientId, ClientAttributes> attributes_;
  std::deque<EventBatch> batches_;
  MemoryState state_;
  std::unique_ptr<ViewGraph> graph_;
  MemoryTables store_;
  std::map<std::string, std::vector<std::string>> failed_;  // by view
  uint64_t commit_ = 0;
  uint64_t checkpoint_ = 0;
};

}  // namespace

ViewTestOutcome run_view_tests(const Pipeline& pipeline, const CompiledPipeline& compiled, DuckDbEngine& engine) {
  ViewTestOutcome outcome;
  for (const TestCase& test : pipeline.tests) {
    bool known = compiled.domains.size() == pipeline.domains.size();
    for (const auto& [view, rows] : test.expect) {
      known = known && std::any_of(compiled.views.begin(), compiled.views.end(),
                                   [&](const ViewPlan& of) { return of.name == view; });
    }
    if (!known) {
      ++outcome.skipped;
      continue;
    }
    std::string name = test.name.empty() ? "test" : "test \"" + test.name + "\"";
    auto difference = ViewTest(pipeline, compiled, engine, test).run();
    if (!difference.ok()) {
      outcome.failures.push_back({pipeline.file, test.place, fmt::format("{}: {}", name, difference.error().message)});
    } else if (!difference->empty()) {
      outcome.failures.push_back(
          {pipeline.file, test.place,
           fmt::format("{} fails; rows with - are expected and not there, rows with + are there and not expected:{}",
                       name, *difference)});
    } else {
      ++outcome.passed;
    }
  }
  return outcome;
}

}  // namespace tributary
