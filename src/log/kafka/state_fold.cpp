#include "log/kafka/state_fold.h"

#include <algorithm>

namespace tributary {
namespace {

Error damaged(std::string_view key) {
  return {ErrorCode::kCorrupt, fmt::format("kafka: the state topic's record {} does not decode", key)};
}

}  // namespace

Result<std::vector<AppendedPart>> StateFold::apply(std::string_view key, std::optional<std::string_view> value) {
  auto decoded = StateRecordKey::decode(key);
  if (!decoded || !value) return std::vector<AppendedPart>();
  switch (decoded->kind) {
    case StateRecordKind::kLease: apply_lease(*decoded, key); return std::vector<AppendedPart>();
    case StateRecordKind::kSchema: RETURN_IF_ERROR(apply_schema(*decoded, *value)); return std::vector<AppendedPart>();
    case StateRecordKind::kTopic: topics_[decoded->name] = *value; return std::vector<AppendedPart>();
    case StateRecordKind::kSource:
    case StateRecordKind::kEnds: break;
  }
  return apply_source(*decoded, *value);
}

void StateFold::apply_lease(const StateRecordKey& key, std::string_view bytes) {
  ClientId id{key.client};
  Client& client = clients_[id];
  std::vector<std::string>& keys = keys_[id];
  if (key.number <= client.lease) {
    client.outdated.emplace_back(bytes);
    return;
  }
  client.lease = key.number;
  client.owner = key.writer;
  std::move(keys.begin(), keys.end(), std::back_inserter(client.outdated));
  keys.assign(1, std::string(bytes));
}

Result<std::vector<AppendedPart>> StateFold::apply_source(const StateRecordKey& key, std::string_view bytes) {
  auto value = SourceRecordValue::decode(bytes);
  if (!value) return damaged(key.encode());
  if (key.kind == StateRecordKind::kEnds) return std::move(value->parts);
  ClientId id{key.client};
  Client& client = clients_[id];
  std::string encoded = key.encode();
  if (key.number != client.lease) {
    // Its events are in the log whoever wrote them; what it remembers is void.
    client.outdated.push_back(std::move(encoded));
    return std::move(value->parts);
  }
  std::vector<std::string>& keys = keys_[id];
  if (std::find(keys.begin(), keys.end(), encoded) == keys.end()) keys.push_back(std::move(encoded));
  if (key.name.empty()) {
    auto entries = decode_entries(value->bytes);
    if (!entries) return damaged(key.encode());
    client.entries = std::move(*entries);
  } else if (value->bytes.empty()) {
    client.entries.erase(key.name);
  } else {
    client.entries[key.name] = std::move(value->bytes);
  }
  return std::move(value->parts);
}

Status StateFold::apply_schema(const StateRecordKey& key, std::string_view value) {
  Result<TableSchema> schema = TableSchema::decode(value);
  if (!schema.ok() || schema->version != key.number) return damaged(key.encode());
  Client& client = clients_[ClientId{key.client}];
  std::vector<SchemaPtr>& versions = client.schemas[key.name];
  if (key.number != versions.size() + 1) return {};  // another writer's was first
  versions.push_back(std::make_shared<const TableSchema>(std::move(*schema)));
  client.schema_writers[{key.name, static_cast<uint32_t>(key.number)}] = key.writer;
  return {};
}

std::vector<ClientId> StateFold::clients() const {
  std::vector<ClientId> known;
  for (const auto& [id, client] : clients_) {
    if (client.lease != 0) known.push_back(id);
  }
  return known;
}

const StateFold::Client& StateFold::client(const ClientId& id) { return clients_[id]; }

}  // namespace tributary
