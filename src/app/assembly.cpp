#include "app/assembly.h"

#include <algorithm>
#include <thread>

#include "app/analytics_choice.h"
#include "app/log_choice.h"
#include "app/raw_choice.h"
#include "app/source_choice.h"
#include "base/wall_clock.h"
#include "config/views_text.h"
#include "process/row_history.h"

namespace tributary {
namespace {

constexpr size_t parked_at_once = 1000;
constexpr std::chrono::seconds lease_silence_max{10};  // of a node that captures; then another takes its clients over
constexpr std::chrono::seconds engine_awaited{10};  // when `run` starts
constexpr std::chrono::seconds passwords_interval{1};
constexpr std::chrono::seconds answers_awaited{10};  // of the analytics server, when told to stop

// A slot keeps its server's log for ever, so somebody has to be told; that a client is gone from the file is no reason to
// destroy anything.
Result<std::vector<std::string>> clients_left_behind(const Pipeline& pipeline, EventLog& log) {
  std::vector<std::string> notes;
  ASSIGN_OR_RETURN(std::vector<ClientId> known, log.known_clients());
  for (const ClientId& client : known) {
    if (pipeline.clients.contains(client.value)) continue;
    std::string name = pipeline.source_name(client);
    notes.push_back(fmt::format(
        "client {0} is no longer in the file. Its rows stay, unread and not renewed; where its database still has "
        "the slot {1}, that keeps its log from being removed, until there: SELECT "
        "pg_drop_replication_slot('{1}'); DROP PUBLICATION IF EXISTS \"{1}\";",
        client, name));
  }
  return notes;
}

}  // namespace

std::string control_socket_path(const std::string& data_directory) { return data_directory + "/run/control.sock"; }

std::string asks_processing() {
  return "this node captures alone (--stages capture) and has neither raw store nor analytics; ask the one that "
         "processes";
}

std::string analytics_directory(const std::string& data_directory) { return data_directory + "/analytics"; }

std::vector<CaptureClient> capture_clients(const Pipeline& pipeline) {
  std::vector<CaptureClient> clients;
  for (const auto& [id, config] : pipeline.clients) {
    CaptureClient client;
    client.client = ClientId{id};
    client.url = config.source.text;
    client.password = config.password;
    client.name = pipeline.source_name(ClientId{id});
    for (const auto& [name, domain] : pipeline.domains) client.tables.push_back({domain.table, name, domain.columns});
    client.rows_per_second = config.limits.rows_per_second;
    client.snapshot_rows_per_second = config.limits.snapshot_rows_per_second;
    client.retained_wal_bytes_max = config.limits.retained_wal_bytes_max;
    clients.push_back(std::move(client));
  }
  return clients;
}

Result<std::unique_ptr<Assembly>> Assembly::open(const Pipeline& pipeline, LockFile lock, AssemblyParts parts,
                                                 const LogLine& log_line) {
  auto all = std::make_unique<Assembly>(pipeline);
  // With the log elsewhere a node that captures needs nothing of what a data directory keeps.
  bool captures_alone = parts.run && parts.capture && !parts.process && is_kafka(pipeline.log);
  ASSIGN_OR_RETURN(DataDirectory directory,
                   DataDirectory::open(pipeline.data, pipeline.name, parts.run ? DataUse::kRun : DataUse::kCommand,
                                       captures_alone, parts.wait));
  all->directory = std::make_unique<DataDirectory>(std::move(directory));
  bool stores = !all->directory->identity().captures_alone;
  if (!stores && !parts.run && !parts.log_alone) return Error{ErrorCode::kUnsupported, asks_processing()};
  if (stores) {
    ASSIGN_OR_RETURN(all->storage, Storage::open(all->directory->db(), {}));
  }
  RETURN_IF_ERROR(all->open_log(parts.stages));
  EventLog* log = all->log.get();
  if (stores) RETURN_IF_ERROR(all->open_raw(parts.run));
  if (parts.engine) RETURN_IF_ERROR(all->open_analytics(parts.run, log_line));
  if (parts.process) RETURN_IF_ERROR(all->open_process(std::move(lock), parts.run));
  if (parts.capture) {
    ASSIGN_OR_RETURN(all->left_behind, clients_left_behind(pipeline, *log));
    all->open_capture(parts);
  }
  return all;
}

Status Assembly::open_log(Stages stages) {
  if (storage != nullptr) RETURN_IF_ERROR(keep_log_kind(*storage, pipeline.log.target.at));
  if (!is_kafka(pipeline.log)) {
    Partitioning partitioning{pipeline.log.partitions, pipeline.log.partitions_per_client};
    ASSIGN_OR_RETURN(auto opened, EmbeddedLog::open(*storage, {.partitioning = partitioning}));
    embedded_log = opened.get();
    log = std::move(opened);
    return {};
  }
  ASSIGN_OR_RETURN(auto opened, open_kafka_log(pipeline, stages));
  kafka_log = opened.get();
  log = std::move(opened);
  return {};
}

Status Assembly::open_raw(bool is_run) {
  RETURN_IF_ERROR(keep_raw(*storage, pipeline));
  SchemaLookup schemas = [this](const ClientId& client, const std::string& table, uint32_t version) {
    return log->schema(client, table, version);
  };
  if (!is_mongodb(pipeline.raw)) {
    embedded_raw = std::make_unique<EmbeddedRaw>(*storage, std::move(schemas));
    raw = embedded_raw.get();
    return {};
  }
  if (is_run) {
    ASSIGN_OR_RETURN(raw_runs, ServerRuns::open(*storage, "raw"));
  }
  mongo_raw = open_mongo_raw(pipeline, directory->identity().identity, std::move(schemas), raw_runs.get());
  if (is_run) {
    Status usable = mongo_raw->check_server();
    if (!usable.ok() && !retryable(usable.error().code)) return usable;
  }
  following_raw = std::make_unique<FollowingRaw>(*storage, *log, *mongo_raw, FollowLimits{});
  raw = following_raw.get();
  return following_raw->open();
}

Status Assembly::open_analytics(bool is_run, const LogLine& log_line) {
  RETURN_IF_ERROR(keep_analytics(*storage, pipeline));
  ClickHouseTarget target;
  auto server = analytics_server(pipeline, directory->identity().identity);
  if (server) {
    if (is_run) {
      ASSIGN_OR_RETURN(analytics_runs, ServerRuns::open(*storage, "analytics"));
      RETURN_IF_ERROR(analytics_know_run(*server, *analytics_runs));
    }
    target = *server;
  } else {
    EngineProcessOptions options;
    options.data_directory = analytics_directory(pipeline.data);
    options.memory_bytes_max = pipeline.analytics.memory_bytes_max;
    options.threads = pipeline.analytics.threads;
    options.log = log_line;
    if (is_run) options.start_wait = engine_awaited;  // sources are read meanwhile
    ASSIGN_OR_RETURN(engine, EngineProcess::start(std::move(options)));
    target.endpoint.socket = engine->socket_path();
  }
  store = std::make_unique<ClickHouseStore>(target.endpoint, target.layout);
  if (analytics_runs != nullptr) store->use_runs(*analytics_runs);
  queries = std::make_unique<ClickHouseQueries>(target.endpoint, QueryLimits{}, target.layout);
  QueryLimits whole_tables{.execution_time_max = std::chrono::hours(1),
                           .memory_bytes_max = uint64_t{3} << 30,
                           .result_bytes_max = uint64_t{1} << 40,
                           .result_rows_max = uint64_t{1} << 40};
  validator_queries = std::make_unique<ClickHouseQueries>(target.endpoint, whole_tables, target.layout);
  return {};
}

Status Assembly::open_process(LockFile lock, bool is_run) {
  if (kafka_log != nullptr && kafka_log->board() != nullptr) {
    process_link = std::make_unique<ProcessLink>(*kafka_log->board());
  }
  ASSIGN_OR_RETURN(duckdb, DuckDbEngine::open());
  planner = std::make_unique<RuntimePlanner>(pipeline, std::move(lock), *duckdb);
  RoundPorts ports{.storage = *storage,
                   .log = *log,
                   .expressions = *duckdb,
                   .analytics = *store,
                   .raw = *raw,
                   .plan = [this](const std::vector<ClientTable>& tables,
                                  const std::string& views) { return planner->plan(tables, views); },
                   .views = views_text(pipeline.views),
                   .start_with_views = is_run,
                   .started_micros = now_micros()};
  if (embedded_raw != nullptr) {
    ports.add_raw = [this](StorageBatch& batch, std::span<const RawBlock> blocks) {
      std::vector<RawAddition> additions;
      for (const RawBlock& block : blocks) additions.push_back({block.block, block.events});
      return embedded_raw->add_to(batch, additions);
    };
  } else {
    ports.raw_apart = true;
    ports.raw_has = [this](const std::map<TopicPartition, Offset>& ends) { return following_raw->has(ends); };
  }
  std::vector<RoundRunner::Table> tables;
  RuntimeOptions options;
  for (const auto& [id, client] : pipeline.clients) {
    options.clients.emplace_back(id);
    for (const auto& [name, domain] : pipeline.domains) tables.push_back({ClientId{id}, name, domain.table});
  }
  RoundLimits limits;
  limits.workers =
      pipeline.process.workers != 0 ? pipeline.process.workers : std::max(1U, std::thread::hardware_concurrency());
  ASSIGN_OR_RETURN(auto runner,
                   RoundRunner::open(std::move(ports), limits, std::move(tables), attribute_columns(pipeline)));
  auto sender = std::make_unique<OutboxSender>(*storage, *store, SenderLimits{});
  RETURN_IF_ERROR(sender->open());
  options.round_interval = pipeline.process.checkpoint_interval;
  options.parked_at_once = parked_at_once;
  options.raw = following_raw.get();
  options.read_again = [this](const std::vector<ParkedRow>& rows) {
    if (process_link != nullptr) process_link->want(rows);
    if (source == nullptr) return;
    std::map<std::pair<ClientId, std::string>, std::vector<std::string>> keys;
    for (const ParkedRow& row : rows) keys[{row.client, row.table}].push_back(row.key);
    for (auto& [of, row_keys] : keys) source->read_again(of.first, of.second, std::move(row_keys));
  };
  runtime = std::make_unique<Runtime>(std::move(runner), std::move(sender), StoreMarks(*storage, *store), *log, *store,
                                      std::move(options));
  return {};
}

void Assembly::open_capture(AssemblyParts parts) {
  PostgresCaptureOptions options;
  options.bulk = parts.bulk;
  LeaseOptions lease;
  if (storage == nullptr) {
    capture_link = std::make_unique<CaptureLink>(*kafka_log->board());
    lease.silence_max = lease_silence_max;
    if (parts.shares)
      lease.prefers = [link = capture_link.get()](const ClientId& client) { return link->prefers(client); };
  }
  options.temp_directory = directory->spill();
  // Clients of one server come back together: one look at the file is for all of them, who have a copy of this function each.
  struct Passwords {
    std::map<std::string, std::string> by_client;
    std::chrono::steady_clock::time_point looked;
  };
  auto passwords = std::make_shared<Passwords>();
  for (const auto& [name, client] : pipeline.clients) passwords->by_client[name] = client.password;
  options.password_now = [file = pipeline.file, passwords](const ClientId& client) {
    auto time = std::chrono::steady_clock::now();
    if (time - passwords->looked >= passwords_interval) {
      passwords->looked = time;
      auto now = load_pipeline(file);
      if (auto* read = std::get_if<Pipeline>(&now)) {
        for (const auto& [name, of] : read->clients) passwords->by_client[name] = of.password;
      }
    }
    return passwords->by_client[client.value];
  };
  DebeziumCaptureOptions of_connectors;
  if (runtime != nullptr) {
    of_connectors.processed = [this](const std::map<TopicPartition, Offset>& ends) {
      auto processed = runtime->processed();
      return std::all_of(ends.begin(), ends.end(), [&](const auto& end) {
        auto at = processed.find(end.first);
        return end.second == Offset{0} || (at != processed.end() && at->second >= end.second);
      });
    };
    of_connectors.complete_row = [this](const ClientId& client, const std::string& table, const std::string& key) {
      return complete_row(key, [&](const std::string& of) { return facts_of_key(client, table, of); });
    };
  }
  source = make_source(capture_clients(pipeline), *log, std::move(options), std::move(lease), std::move(of_connectors));
}

Result<std::vector<EventBatch>> Assembly::facts_of_key(const ClientId& client, const std::string& table,
                                                       const std::string& key) {
  std::vector<EventBatch> facts;
  for (const auto& [name, domain] : pipeline.domains) {
    if (domain.table != table) continue;
    RawQuery query;
    query.client = client;
    query.domain = name;
    query.keys.insert(key);
    RETURN_IF_ERROR(raw->read(query, [&](const EventBatch& batch) {
      facts.push_back(batch);
      return true;
    }));
  }
  return facts;
}

Status Assembly::start() {
  if (runtime != nullptr) runtime->start();
  if (source != nullptr) RETURN_IF_ERROR(source->start());
  if (capture_link != nullptr) capture_link->start(*source);
  return {};
}

void Assembly::stop() {
  auto give_up_at = std::chrono::steady_clock::now() + answers_awaited;
  if (storage != nullptr) storage->give_up_at(give_up_at);
  if (store != nullptr) store->give_up_at(give_up_at);
  if (queries != nullptr) queries->give_up_at(give_up_at);
  if (validator_queries != nullptr) validator_queries->give_up_at(give_up_at);
  if (capture_link != nullptr) capture_link->stop();
  if (source != nullptr) source->stop();
  if (runtime != nullptr) runtime->stop();
  if (engine != nullptr) engine->stop();
}

}  // namespace tributary
