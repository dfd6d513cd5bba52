// Assembly: the stages of one pipeline, opened and joined. The only place that knows which implementation a stage has.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/node_link.h"
#include "app/pipeline_plan.h"
#include "app/server_runs.h"
#include "app/stages.h"
#include "capture/postgres/postgres_source.h"
#include "config/pipeline.h"
#include "contracts/change_source.h"
#include "engine/engine_process.h"
#include "log/embedded/embedded_log.h"
#include "log/kafka/kafka_log.h"
#include "runtime/following_raw.h"
#include "runtime/runtime.h"
#include "storage/data_directory.h"
#include "storage/storage.h"
#include "store/clickhouse/clickhouse_query.h"
#include "store/clickhouse/clickhouse_store.h"
#include "store/mongodb/mongo_raw.h"
#include "store/raw/embedded_raw.h"

namespace tributary {

// What a command needs. Later entries need the earlier ones where they build on them.
struct AssemblyParts {
  bool engine = false;  // the analytics store: the engine, or the way to a server
  bool process = false;
  bool capture = false;
  bool run = false;            // this is `run`: other commands reach it by its socket
  Stages stages = Stages::kAll;  // of a `run` whose log is on brokers
  bool shares = true;  // clients with other nodes that capture; else it reads all that nobody reads
  bool log_alone = false;      // a command that asks the log and nothing else
  StopWait wait;     // while a command works on the data directory of a `run`
  bool bulk = true;  // capture may read in bulk what is far behind; else it streams alone
};

using LogLine = std::function<void(const std::string&)>;

// Members in the order in which they are made; destroyed in reverse.
struct Assembly {
  const Pipeline& pipeline;
  std::unique_ptr<DataDirectory> directory;
  std::unique_ptr<Storage> storage;  // nullptr on a node that captures alone; so is all that is built on it
  std::unique_ptr<ServerRuns> raw_runs;        // of a run, where raw is on a server
  std::unique_ptr<ServerRuns> analytics_runs;  // likewise
  std::unique_ptr<EventLog> log;
  EmbeddedLog* embedded_log = nullptr;  // `log`, where it is that
  KafkaLog* kafka_log = nullptr;        // likewise
  std::unique_ptr<EmbeddedRaw> embedded_raw;
  std::unique_ptr<MongoRaw> mongo_raw;           // or this, which the log is brought to
  std::unique_ptr<FollowingRaw> following_raw;  // by it
  RawStore* raw = nullptr;                       // what is read
  std::unique_ptr<EngineProcess> engine;  // where the analytics are embedded
  std::unique_ptr<ClickHouseStore> store;
  std::unique_ptr<ClickHouseQueries> queries;           // of clients, within limits
  std::unique_ptr<ClickHouseQueries> validator_queries; // the same without, for `verify`
  std::unique_ptr<DuckDbEngine> duckdb;
  std::unique_ptr<RuntimePlanner> planner;
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<ChangeSource> source;
  std::vector<std::string> left_behind;  // notes on clients that are no longer in the file
  // Where stages run on several nodes: the end of the one that processes, or of one that captures. After stop() nobody uses them.
  std::unique_ptr<ProcessLink> process_link;
  std::unique_ptr<CaptureLink> capture_link;

  // Takes the data directory's lock. `pipeline` outlives the assembly. Threads do not run before start().
  static Result<std::unique_ptr<Assembly>> open(const Pipeline& pipeline, LockFile lock, AssemblyParts parts,
                                                const LogLine& log_line);
  explicit Assembly(const Pipeline& of) : pipeline(of) {}
  ~Assembly() { stop(); }

  Status start();
  // Ends capture first, then the round in flight, then the engine.
  void stop();

 private:
  Status open_log(Stages stages);
  Status open_raw(bool is_run);
  Status open_analytics(bool is_run, const LogLine& log_line);
  Status open_process(LockFile lock, bool is_run);
  void open_capture(AssemblyParts parts);
  Result<std::vector<EventBatch>> facts_of_key(const ClientId& client, const std::string& table,
                                               const std::string& key);
};

// The capture's view of the pipeline file.
std::vector<CaptureClient> capture_clients(const Pipeline& pipeline);

// Why a node that captures alone does not answer.
std::string asks_processing();

std::string control_socket_path(const std::string& data_directory);
std::string analytics_directory(const std::string& data_directory);

}  // namespace tributary
