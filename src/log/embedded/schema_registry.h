// The versions of every client's tables, kept in the storage and in memory. Thread-safe.
#pragma once

#include <map>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/strong.h"
#include "model/schema.h"
#include "storage/storage.h"

namespace tributary {

class SchemaRegistry {
 public:
  explicit SchemaRegistry(Storage& storage) : storage_(storage) {}

  Status load();
  Result<SchemaPtr> register_schema(const ClientId& client, const TableSchema& schema);
  Result<SchemaPtr> find(const ClientId& client, const std::string& table, uint32_t version) const;
  std::vector<SchemaPtr> newest(const ClientId& client) const;

 private:
  // Clients' tables are mostly alike: what is equal is kept once.
  SchemaPtr shared(TableSchema schema);

  Storage& storage_;
  mutable std::shared_mutex mutex_;
  std::map<ClientId, std::map<std::string, std::vector<SchemaPtr>>> tables_;  // versions 1, 2, … in order
  std::map<std::string, std::vector<SchemaPtr>> distinct_;  // by table
};

}  // namespace tributary
