// What processing costs: from blocks in the log to rows in the outbox that the store acknowledged, with checkpoints, over a
// RocksDB of its own. Prints one line of JSON. `./dev bench process` calls it for each of its cases.
//
//   process_bench --views FILE --mix orders:95,users:5 --orders 100000 --changes 1000000 --cache-bytes 268435456
//   process_bench --mix orders:1 --orders 100000 --changes 1000000 --debezium FOLDER     the same changes as JSON
//
// FILE has a view a line: name, tab, SQL. First every row is inserted, then they change: both are measured.
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "codec/debezium.h"
#include "log/embedded/embedded_log.h"
#include "runtime/outbox_sender.h"
#include "runtime/round_runner.h"
#include "shop_changes.h"
#include "sql/view_planner.h"
#include "storage/temporary_directory.h"
#include "store/clickhouse/clickhouse_store.h"
#include "store/raw/embedded_raw.h"

namespace tributary::bench {
namespace {

constexpr uint64_t events_at_once = 20'000;

struct Options {
  std::string views_file;
  std::string debezium_folder;
  std::string folder = std::filesystem::temp_directory_path();
  std::string mix = "orders:1";
  ShopSizes sizes;
  uint64_t changes = 1'000'000;
  size_t cache_bytes = size_t{256} << 20;
  size_t write_buffer_bytes = size_t{64} << 20;
  size_t round_bytes = RoundLimits{}.bytes_max;
  bool snapshot = false;
};

struct Cost {
  uint64_t events = 0;
  double cpu_seconds = 0;  // user and system, of all threads
  double seconds = 0;
  double slowest_round = 0;  // seconds
};

template <typename T>
T value_of(Result<T> result) {
  CHECK(result.ok(), "{}", result.error().to_string());
  return std::move(result).value();
}
void succeed(const Status& status) { CHECK(status.ok(), "{}", status.error().to_string()); }

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

ShopChanges::Mix parse_mix(const std::string& text) {
  ShopChanges::Mix mix;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(',', at), text.size());
    size_t colon = text.find(':', at);
    mix[text.substr(at, colon - at)] = std::stoull(text.substr(colon + 1, end - colon - 1));
    at = end + 1;
  }
  return mix;
}

// Takes rows as ClickHouse gets them, and has them at once.
class DiscardingStore final : public AnalyticsStore {
 public:
  Status prepare(std::span<const TableDefinition>, std::span<const ClientId>) override { return {}; }
  Result<std::string> encode(const TableDefinition& table, const OutputBatch& rows) const override {
    rows_ += rows.rows();
    return encoder_.encode(table, rows);
  }
  Status insert(const std::string&, std::span<const std::string_view>) override { return {}; }
  Status withdraw(const Withdrawal&) override { return {}; }
  Result<std::map<std::string, TableMark>> marks() override { return std::map<std::string, TableMark>{}; }
  Status drop(const std::string&) override { return {}; }
  uint64_t rows() const { return rows_; }

 private:
  ClickHouseStore encoder_{{}};
  mutable uint64_t rows_ = 0;
};

// The stages that a round needs, as the program joins them. Opened again, it goes on.
class Pipeline {
 public:
  Pipeline(const Options& options, const std::filesystem::path& folder, const ShopChanges::Mix& mix) {
    StorageOptions storage{.cache_bytes = options.cache_bytes, .write_buffer_bytes = options.write_buffer_bytes};
    storage_ = value_of(Storage::open(folder / "db", storage));
    log_ = value_of(EmbeddedLog::open(*storage_, {}));
    raw_ = std::make_unique<EmbeddedRaw>(*storage_,
                                         [this](const ClientId& client, const std::string& table, uint32_t version) {
                                           return log_->schema(client, table, version);
                                         });
    expressions_ = value_of(DuckDbEngine::open());
    read_views(options.views_file);
    limits_.bytes_max = options.round_bytes;
    limits_.partition_bytes_max = std::min(limits_.partition_bytes_max, options.round_bytes);
    for (const auto& [domain, share] : mix) tables_.push_back({client_, domain, "public." + domain});
  }

  EmbeddedLog& log() { return *log_; }
  Storage& storage() { return *storage_; }
  uint64_t rows_out() const { return store_.rows(); }
  const ClientId& client() const { return client_; }

  void open_runner() {
    RoundPorts ports{
        .storage = *storage_,
        .log = *log_,
        .expressions = *expressions_,
        .analytics = store_,
        .raw = *raw_,
        .add_raw =
            [this](StorageBatch& batch, std::span<const RawBlock> blocks) {
              std::vector<RawAddition> additions;
              for (const RawBlock& block : blocks) additions.push_back({block.block, block.events});
              return raw_->add_to(batch, additions);
            },
        .plan = [this](const std::vector<ClientTable>& tables, const std::string&) { return plan(tables); }};
    std::map<ClientId, std::map<std::string, Column>> attributes;
    for (const char* name : {"plan", "currency"}) {
      attributes[client_].try_emplace(name, LogicalType{TypeId::kText}).first->second.append_bytes("gold");
    }
    runner_ = value_of(RoundRunner::open(std::move(ports), limits_, tables_, std::move(attributes)));
    sender_ = std::make_unique<OutboxSender>(*storage_, store_, SenderLimits{});
    succeed(sender_->open());
  }

  // Rounds until everything in the log is processed, sent and in table files.
  Cost drain() {
    Cost cost;
    double cpu = cpu_seconds();
    double begin = now();
    for (bool more = true; more;) {
      RoundOutcome outcome = value_of(runner_->run());
      cost.events += outcome.events;
      more = outcome.events > 0 || outcome.more;
      while (value_of(sender_->send([] { return true; }))) {
      }
    }
    succeed(storage_->flush());
    cost.cpu_seconds = cpu_seconds() - cpu;
    cost.seconds = now() - begin;
    return cost;
  }

 private:
  void read_views(const std::string& file) {
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);) {
      size_t tab = line.find('\t');
      CHECK(tab != std::string::npos, "{}: a line is a view's name, a tab, its SQL", file);
      views_.emplace_back(line.substr(0, tab), line.substr(tab + 1));
    }
  }

  Result<PlannedPipeline> plan(const std::vector<ClientTable>& tables) {
    PlannedPipeline planned;
    for (const auto& [name, sql] : views_) planned.named.insert(name);
    std::vector<Relation> relations;
    for (const ClientTable& table : tables) {
      Relation relation{.name = table.domain};
      for (const ColumnSchema& column : table.schema->columns) {
        relation.columns.push_back({column.name, column.type, !column.key});
        if (column.key) relation.key.push_back(column.name);
      }
      planned.relations[table.domain] = relation;
      relations.push_back(std::move(relation));
    }
    for (const auto& [name, sql] : views_) {
      ViewRequest request{.name = name,
                          .sql = sql,
                          .relations = relations,
                          .attributes = {{"plan", {TypeId::kText}}, {"currency", {TypeId::kText}}}};
      auto made = plan_view(*expressions_, request);
      auto* plan = std::get_if<ViewPlan>(&made);
      if (plan == nullptr) {
        return Error{ErrorCode::kInvalidInput, name + ": " + std::get<std::vector<PlanError>>(made)[0].message};
      }
      relations.push_back({name, plan->columns(), plan->key, plan->key_always, true});
      planned.views.push_back(std::move(*plan));
    }
    return planned;
  }

  ClientId client_{"acme"};
  RoundLimits limits_;
  std::vector<std::pair<std::string, std::string>> views_;
  std::vector<RoundRunner::Table> tables_;
  DiscardingStore store_;
  std::unique_ptr<Storage> storage_;
  std::unique_ptr<EmbeddedLog> log_;
  std::unique_ptr<EmbeddedRaw> raw_;
  std::unique_ptr<DuckDbEngine> expressions_;
  std::unique_ptr<RoundRunner> runner_;
  std::unique_ptr<OutboxSender> sender_;
};

// Gives the shop's changes, filling first, to `take` in pieces.
template <typename Take>
void for_each_piece(ShopChanges& shop, const ClientId& client, const ShopChanges::Mix& mix, bool filling,
                    uint64_t changes, Take&& take) {
  for (uint64_t done = 0;; done += events_at_once) {
    ShopChanges::Batches batches;
    if (filling) {
      if (!shop.fill(client, mix, events_at_once, batches)) return;
    } else {
      if (done >= changes) return;
      shop.change(client, mix, std::min(events_at_once, changes - done), batches);
    }
    take(batches);
  }
}

void write_debezium(const Options& options) {
  ShopChanges::Mix mix = parse_mix(options.mix);
  ShopChanges shop(options.sizes, OldImage::kFull);
  std::map<std::string, std::ofstream> files;
  for (const auto& [domain, share] : mix) files[domain].open(options.debezium_folder + "/" + domain + ".json");
  DebeziumSource source{.name = "shop", .database = "shop"};
  uint64_t events = 0;
  for (bool filling : {true, false}) {
    for_each_piece(shop, ClientId("acme"), mix, filling, options.changes, [&](ShopChanges::Batches& batches) {
      for (const auto& [domain, batch] : batches) {
        DebeziumWriter writer(batch, source);
        std::string lines;
        for (size_t row = 0; row < batch.rows(); ++row) {
          writer.put_envelope(lines, row);
          lines += '\n';
        }
        files.at(domain) << lines;
        events += batch.rows();
      }
    });
  }
  fmt::print("{{\"events\": {}}}\n", events);
}

// As chunks of a snapshot have them: each speaks for the keys from the end of the one before to its own.
void add_range(EventBatch& batch, std::string& end) {
  std::string high = batch.row_key(batch.rows() - 1) + '\0';
  batch.ranges.push_back({.kind = RangeKind::kAbsence,
                          .position = batch.positions.front(),
                          .low = std::exchange(end, high),
                          .high = high});
}

void put_in_log(Pipeline& pipeline, ShopChanges& shop, const Options& options, const ShopChanges::Mix& mix,
                bool filling) {
  std::map<std::string, std::string> ends;
  for_each_piece(shop, pipeline.client(), mix, filling, options.changes, [&](ShopChanges::Batches& batches) {
    LogAppend append{pipeline.client(), {}, {}};
    for (auto& [domain, batch] : batches) {
      if (filling && options.snapshot) add_range(batch, ends[domain]);
      append.batches.push_back(std::move(batch));
    }
    succeed(pipeline.log().append({&append, 1}));
  });
}

std::string as_json(const Cost& cost) {
  return fmt::format("{{\"events\": {}, \"cpu_seconds\": {:.3f}, \"seconds\": {:.3f}}}", cost.events, cost.cpu_seconds,
                     cost.seconds);
}

void measure(const Options& options) {
  TemporaryDirectory directory(options.folder);
  ShopChanges::Mix mix = parse_mix(options.mix);
  ShopChanges shop(options.sizes, OldImage::kKey);
  Cost costs[2];
  uint64_t rows_out = 0;
  uint64_t state_bytes = 0;
  for (bool filling : {true, false}) {
    Pipeline pipeline(options, directory.path(), mix);
    for (const auto& [domain, share] : mix) {
      shop.use(domain, value_of(pipeline.log().register_schema(pipeline.client(), *shop.schemas().at(domain))));
    }
    put_in_log(pipeline, shop, options, mix, filling);
    succeed(pipeline.storage().flush());
    pipeline.open_runner();
    costs[filling ? 0 : 1] = pipeline.drain();
    rows_out = pipeline.rows_out();
    succeed(pipeline.storage().compact(Family::kState, "", ""));
    state_bytes = pipeline.storage().disk_bytes(Family::kState);
  }
  fmt::print("{{\"fill\": {}, \"changes\": {}, \"rows\": {}, \"rows_out\": {}, \"state_bytes\": {}}}\n",
             as_json(costs[0]), as_json(costs[1]), shop.rows(), rows_out, state_bytes);
}

}  // namespace
}  // namespace tributary::bench

int main(int argc, char** argv) {
  using namespace tributary::bench;
  Options options;
  CLI::App app{"measures what processing costs"};
  app.add_option("--views", options.views_file, "a view a line: name, tab, SQL");
  app.add_option("--mix", options.mix, "domains and their shares of the changes");
  app.add_option("--orders", options.sizes.orders,
                 "rows of orders at the beginning; of the other tables in proportion");
  app.add_option("--orders-per-user", options.sizes.orders_per_user);
  app.add_option("--changes", options.changes);
  app.add_option("--cache-bytes", options.cache_bytes);
  app.add_option("--write-buffer-bytes", options.write_buffer_bytes);
  app.add_option("--round-bytes", options.round_bytes, "of blocks read in one round");
  app.add_flag("--snapshot", options.snapshot, "the first rows come in chunks of a snapshot");
  app.add_option("--folder", options.folder, "where the database is made");
  app.add_option("--debezium", options.debezium_folder, "write the changes there as Debezium's JSON instead");
  CLI11_PARSE(app, argc, argv);
  if (!options.debezium_folder.empty()) {
    write_debezium(options);
  } else {
    measure(options);
  }
  return 0;
}
