#include "capture/postgres/capture_fixture_for_test.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

namespace tributary {

std::string cell_text(const Column& column, size_t row) {
  switch (column.state(row)) {
    case CellState::kNull: return "\\N";
    case CellState::kAbsent: return "?";
    case CellState::kText: return std::string(column.text(row));
    case CellState::kValue: break;
  }
  switch (column.type().id) {
    case TypeId::kBool: return column.fixed<uint8_t>(row) != 0 ? "t" : "f";
    case TypeId::kInt16: return std::to_string(column.fixed<int16_t>(row));
    case TypeId::kInt32: return std::to_string(column.fixed<int32_t>(row));
    case TypeId::kInt64: return std::to_string(column.fixed<int64_t>(row));
    case TypeId::kFloat64: return fmt::format("{}", column.fixed<double>(row));
    case TypeId::kDecimal: return decimal_to_string(column.fixed<Int128>(row), column.type().scale);
    case TypeId::kDate: return date_to_string(column.fixed<int32_t>(row));
    case TypeId::kTimestamp: return timestamp_to_string(column.fixed<int64_t>(row));
    case TypeId::kTimestampTz: return timestamp_to_string(column.fixed<int64_t>(row)) + "+00";
    default: return std::string(column.bytes(row));
  }
}

void CaptureFixture::SetUp() {
  database = TestPostgres::shared().make_database();
  sql = std::make_unique<TestConnection>(TestPostgres::shared().url(database));
  sql->run("SET timezone = 'UTC'");
}

// One server has all tests' slots. Those that it has not seen the end of yet are dropped by the next test.
void CaptureFixture::TearDown() {
  source.reset();
  TestConnection(TestPostgres::shared().url(database))
      .rows("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active");
}

PostgresCaptureOptions CaptureFixture::defaults() {
  PostgresCaptureOptions options;
  options.health_interval = std::chrono::milliseconds(200);
  options.heartbeat_interval = std::chrono::milliseconds(500);
  options.status_interval = std::chrono::milliseconds(100);
  options.retry_longest = std::chrono::milliseconds(500);
  return options;
}

CaptureClient CaptureFixture::client(const std::string& name, const std::string& database_name,
                                     std::vector<std::string> tables) {
  CaptureClient made;
  made.client = ClientId(name);
  made.url = TestPostgres::shared().url(database_name);
  made.name = "tributary_" + database_name + "_" + name;
  for (const std::string& table : tables) made.tables.push_back({table, table.substr(table.find('.') + 1)});
  return made;
}

void CaptureFixture::start(std::vector<std::string> tables, PostgresCaptureOptions options) {
  PostgresCaptureOptions fast = defaults();
  options.health_interval = fast.health_interval;
  options.heartbeat_interval = fast.heartbeat_interval;
  options.status_interval = fast.status_interval;
  options.retry_longest = fast.retry_longest;
  source = make_postgres_source({client("acme", database, std::move(tables))}, log, options);
  ASSERT_TRUE(source->start().ok());
}

void CaptureFixture::restart(std::vector<std::string> tables, PostgresCaptureOptions options) {
  stop();
  start(std::move(tables), std::move(options));
}

bool CaptureFixture::wait_for(const std::function<bool()>& condition, int seconds) {
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (std::chrono::steady_clock::now() < until) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

void CaptureFixture::catch_up(int seconds) {
  source->mark_heads();
  EXPECT_TRUE(wait_for([&] { return source->caught_up(); }, seconds))
      << "not caught up: mode " << static_cast<int>(status().mode) << " " << status().reason;
  EXPECT_NE(status().mode, SourceMode::kStopped) << status().reason;
}

namespace {

struct Fact {
  Position position;
  Op op;
  const EventBatch* batch;
  size_t row;
};

}  // namespace

MergedTable CaptureFixture::merged(const std::string& table, const std::string& name) {
  std::lock_guard lock(log.mutex);
  std::map<std::string, std::vector<Fact>> facts;
  std::vector<RangeFact> ranges;
  for (const EventBatch& batch : log.batches[name]) {
    if (batch.schema->table != table) continue;
    ranges.insert(ranges.end(), batch.ranges.begin(), batch.ranges.end());
    for (size_t row = 0; row < batch.rows(); ++row) {
      facts[batch.row_key(row)].push_back({batch.positions[row], batch.ops[row], &batch, row});
    }
  }
  auto newest_first = [](std::vector<Fact>& list) {
    std::stable_sort(list.begin(), list.end(), [](const Fact& a, const Fact& b) { return a.position > b.position; });
  };
  for (auto& [key, list] : facts) newest_first(list);
  MergedTable result;
  for (auto& [key, list] : facts) {
    Position floor;
    for (const RangeFact& range : ranges) {
      if (range.covers(key)) floor = std::max(floor, range.position);
    }
    if (list[0].position < floor || list[0].op == Op::kDelete) continue;
    std::map<std::string, std::string> row;
    // Follows absent values to older facts, over a key change to the old key's.
    std::vector<Fact>* chain = &list;
    Position until{UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX};
    for (int hops = 0; chain != nullptr && hops < 100; ++hops) {
      std::vector<Fact>* next = nullptr;
      for (const Fact& fact : *chain) {
        if (fact.position > until || fact.position < floor) continue;
        if (fact.op == Op::kDelete) {
          if (fact.position == until) continue;
          break;
        }
        for (size_t i = 0; i < fact.batch->columns.size(); ++i) {
          std::string text = cell_text(fact.batch->columns[i], fact.row);
          auto [at, fresh] = row.emplace(fact.batch->schema->columns[i].name, text);
          if (!fresh && at->second == "?") at->second = text;
        }
        if (fact.op == Op::kCreate) {
          if (const std::string* old_key = fact.batch->moved_key(fact.row)) {
            next = &facts[*old_key];
            until = fact.position;
          }
          break;
        }
      }
      chain = next;
    }
    result[key] = std::move(row);
  }
  return result;
}

void CaptureFixture::expect_same(const std::string& table) {
  std::vector<std::string> columns;
  for (auto& row : sql->rows("SELECT attname FROM pg_attribute WHERE attrelid = '" + table +
                             "'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum")) {
    columns.push_back(row[0]);
  }
  std::multiset<std::string> wanted;
  for (auto& row : sql->rows("SELECT * FROM " + table)) {
    std::string line;
    for (size_t i = 0; i < columns.size(); ++i) line += columns[i] + "=" + row[i] + " ";
    wanted.insert(line);
  }
  std::multiset<std::string> have;
  for (auto& [key, row] : merged(table)) {
    std::string line;
    for (const std::string& column : columns)
      line += column + "=" + (row.contains(column) ? row[column] : "(none)") + " ";
    have.insert(line);
  }
  if (have == wanted) return;
  std::vector<std::string> lost;
  std::vector<std::string> extra;
  std::set_difference(wanted.begin(), wanted.end(), have.begin(), have.end(), std::back_inserter(lost));
  std::set_difference(have.begin(), have.end(), wanted.begin(), wanted.end(), std::back_inserter(extra));
  ADD_FAILURE() << table << ": " << wanted.size() << " rows in the source, " << have.size() << " merged; missing "
                << lost.size() << (lost.empty() ? "" : ", first " + lost[0]) << "; unexpected " << extra.size()
                << (extra.empty() ? "" : ", first " + extra[0]);
}

}  // namespace tributary
