// An EventLog in memory, for capture's tests: keeps every batch, fails on demand.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "contracts/event_log.h"

namespace tributary {

class MemoryLog : public EventLog {
 public:
  Status append(std::span<const LogAppend> appends) override {
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    std::lock_guard lock(mutex);
    if (fail_with) return *fail_with;
    for (const LogAppend& append : appends) {
      for (const EventBatch& batch : append.batches) {
        if (keep) {
          Status valid = batch.validate();
          CHECK(valid.ok(), "{}", valid.ok() ? "" : valid.error().message);
        }
        CHECK(batch.schema->version > 0);
        events += batch.rows();
        if (keep) batches[append.client.value].push_back(batch);
      }
      for (const auto& [key, value] : append.state_changes) {
        if (value.empty()) {
          states[append.client.value].erase(key);
        } else {
          states[append.client.value][key] = value;
        }
      }
    }
    ++appends_done;
    return {};
  }

  Result<std::vector<ClientId>> known_clients() override {
    std::lock_guard lock(mutex);
    std::vector<ClientId> clients;
    for (const auto& [client, state] : states) clients.emplace_back(client);
    return clients;
  }

  Result<SourceState> source_state(const ClientId& client) override {
    std::lock_guard lock(mutex);
    return states[client.value];
  }

  Result<SchemaPtr> register_schema(const ClientId& client, const TableSchema& schema) override {
    std::lock_guard lock(mutex);
    auto& versions = schemas[client.value][schema.table];
    if (!versions.empty() && versions.back()->same_content(schema)) return versions.back();
    auto registered = std::make_shared<TableSchema>(schema);
    registered->version = static_cast<uint32_t>(versions.size() + 1);
    versions.push_back(registered);
    return SchemaPtr(registered);
  }
  Result<SchemaPtr> schema(const ClientId& client, const std::string& table, uint32_t version) override {
    std::lock_guard lock(mutex);
    return schemas[client.value][table].at(version - 1);
  }
  Result<std::vector<SchemaPtr>> newest_schemas(const ClientId& client) override {
    std::lock_guard lock(mutex);
    std::vector<SchemaPtr> newest;
    for (const auto& [table, versions] : schemas[client.value]) newest.push_back(versions.back());
    return newest;
  }

  std::map<TopicPartition, Offset> ends() override { return {}; }
  Result<Offset> first_offset(const TopicPartition&) override { return Offset(0); }
  std::unique_ptr<LogReader> open_reader() override { return nullptr; }
  Result<std::shared_ptr<const EventBatch>> events_of(const LogBlock&) override {
    return Error{ErrorCode::kNotFound, "a log of tests is not read"};
  }
  uint64_t append_generation() override { return appends_done; }
  void wait_for_append(uint64_t, std::chrono::milliseconds) override {}
  Status trim_before(const TopicPartition&, Offset) override { return {}; }

  std::mutex mutex;
  std::map<std::string, std::vector<EventBatch>> batches;
  std::map<std::string, SourceState> states;
  std::map<std::string, std::map<std::string, std::vector<SchemaPtr>>> schemas;
  std::optional<Error> fail_with;
  std::chrono::milliseconds delay{0};
  bool keep = true;
  uint64_t events = 0;
  uint64_t appends_done = 0;
};

}  // namespace tributary
