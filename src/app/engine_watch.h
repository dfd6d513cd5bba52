// Looks after the tables of the embedded engine: a part without bytes (engine/empty_parts.h) is noticed before what went
// into it is removed, and the engine is started again, which takes that back. Where nothing of it is left, its view
// is computed again from raw.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "engine/engine_process.h"
#include "runtime/runtime.h"
#include "store/clickhouse/clickhouse_store.h"

namespace tributary {

class EngineWatch {
 public:
  EngineWatch(EngineProcess& engine, std::string directory, ClickHouseStore& store, Runtime& runtime,
              std::function<void(const std::string&)> log)
      : engine_(engine), directory_(std::move(directory)), store_(store), runtime_(runtime), log_(std::move(log)) {}

  // Every few seconds, and before an orderly end.
  void look();

 private:
  // After a start: what was set aside then.
  void look_at_detached();

  EngineProcess& engine_;
  std::string directory_;
  ClickHouseStore& store_;
  Runtime& runtime_;
  std::function<void(const std::string&)> log_;
  uint64_t looked_at_start_ = 0;  // the engine's start whose detached parts were looked at
  std::vector<std::string> empty_;  // parts, when they were last looked for
};

}  // namespace tributary
