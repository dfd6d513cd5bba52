#include "log/embedded/schema_registry.h"

#include <mutex>

#include "base/bytes.h"
#include "log/embedded/log_keys.h"

namespace tributary {

Status SchemaRegistry::load() {
  std::unique_lock lock(mutex_);
  std::string prefix = log_schema_prefix();
  StorageIterator it = storage_.iterate(Family::kMeta, prefix);
  for (; it.valid(); it.next()) {
    ByteReader key(it.key().substr(prefix.size()));
    ClientId client{std::string(key.string())};
    std::string table(key.string());
    uint32_t version = key.u32_big();
    Result<TableSchema> schema = TableSchema::decode(it.value());
    std::vector<SchemaPtr>& versions = tables_[client][table];
    if (!key.ok() || !schema.ok() || schema->version != version || version != versions.size() + 1) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("log: schema version {} of {} of client {} is damaged", version, table, client)};
    }
    versions.push_back(shared(std::move(*schema)));
  }
  return it.status();
}

Result<SchemaPtr> SchemaRegistry::register_schema(const ClientId& client, const TableSchema& schema) {
  CHECK(!schema.key_columns.empty(), "{} has no key", schema.table);
  std::unique_lock lock(mutex_);
  auto& tables = tables_[client];
  auto known = tables.find(schema.table);
  uint32_t newest = 0;
  if (known != tables.end()) {
    newest = known->second.back()->version;
    if (known->second.back()->same_content(schema)) return known->second.back();
  }
  TableSchema next = schema;
  next.version = newest + 1;
  SchemaPtr registered = shared(std::move(next));
  StorageBatch batch;
  batch.put(Family::kMeta, log_schema_key(client, schema.table, registered->version), registered->encode());
  RETURN_IF_ERROR(storage_.write(batch));
  tables[schema.table].push_back(registered);
  return registered;
}

SchemaPtr SchemaRegistry::shared(TableSchema schema) {
  std::vector<SchemaPtr>& known = distinct_[schema.table];
  for (const SchemaPtr& other : known) {
    if (other->version == schema.version && other->same_content(schema)) return other;
  }
  return known.emplace_back(std::make_shared<const TableSchema>(std::move(schema)));
}

Result<SchemaPtr> SchemaRegistry::find(const ClientId& client, const std::string& table, uint32_t version) const {
  std::shared_lock lock(mutex_);
  if (auto tables = tables_.find(client); tables != tables_.end()) {
    auto versions = tables->second.find(table);
    if (versions != tables->second.end() && version >= 1 && version <= versions->second.size()) {
      return versions->second[version - 1];
    }
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("log: no version {} of table {} of client {} is registered", version, table, client)};
}

std::vector<SchemaPtr> SchemaRegistry::newest(const ClientId& client) const {
  std::shared_lock lock(mutex_);
  std::vector<SchemaPtr> out;
  if (auto tables = tables_.find(client); tables != tables_.end()) {
    for (const auto& [table, versions] : tables->second) out.push_back(versions.back());
  }
  return out;
}

}  // namespace tributary
