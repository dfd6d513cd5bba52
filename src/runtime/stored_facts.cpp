#include "runtime/stored_facts.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr std::string_view aside_prefix = "runtime/aside/";
constexpr std::string_view attributes_prefix = "runtime/attributes/";
constexpr std::string_view switched_prefix = "runtime/switched/";
constexpr std::string_view unused_prefix = "runtime/unused/";
constexpr std::string_view raw_gap_prefix = "runtime/raw_gap/";
constexpr std::string_view unchecked_prefix = "runtime/unchecked/";
constexpr std::string_view mark_prefix = "runtime/mark/";
constexpr std::string_view incomplete_prefix = "runtime/incomplete/";

std::string unchecked_key(const UncheckedLetters& of, const std::string& letter) {
  std::string key(unchecked_prefix);
  put_string(key, of.client.value);
  put_string(key, of.domain);
  put_string(key, of.table);
  put_string(key, letter);
  return key;
}

std::string aside_key(const std::pair<ClientId, std::string>& of) {
  std::string key(aside_prefix);
  put_string(key, of.first.value);
  put_string(key, of.second);
  return key;
}

Result<std::vector<std::string>> names_under(const Storage& storage, std::string_view prefix) {
  std::vector<std::string> names;
  StorageIterator it = storage.iterate(Family::kMeta, prefix);
  for (; it.valid(); it.next()) names.emplace_back(it.key().substr(prefix.size()));
  RETURN_IF_ERROR(it.status());
  return names;
}

}  // namespace

Result<ClientsSetAside> stored_set_aside(const Storage& storage) {
  ClientsSetAside out;
  StorageIterator it = storage.iterate(Family::kMeta, aside_prefix);
  for (; it.valid(); it.next()) {
    ByteReader reader(it.key().substr(aside_prefix.size()));
    std::string client(reader.string());
    std::string domain(reader.string());
    ByteReader version(it.value());
    // Without a version where it was written before there were any: as one that never fit.
    out[{ClientId{std::move(client)}, std::move(domain)}] = it.value().empty() ? 0 : version.u32();
    if (!reader.ok() || !version.ok())
      return Error{ErrorCode::kCorrupt, "a stored client that is set aside does not decode"};
  }
  RETURN_IF_ERROR(it.status());
  return out;
}

void put_set_aside(StorageBatch& write, const ClientsSetAside& before, const ClientsSetAside& now) {
  for (const auto& [of, version] : before) {
    if (!now.contains(of)) write.remove(Family::kMeta, aside_key(of));
  }
  for (const auto& [of, version] : now) {
    auto known = before.find(of);
    if (known != before.end() && known->second == version) continue;
    std::string value;
    put_u32(value, version);
    write.put(Family::kMeta, aside_key(of), value);
  }
}

Result<std::optional<ClientAttributes>> stored_attributes(const Storage& storage, const ClientId& client) {
  ASSIGN_OR_RETURN(auto stored, storage.get(Family::kMeta, std::string(attributes_prefix) + client.value));
  if (!stored) return std::optional<ClientAttributes>();
  ASSIGN_OR_RETURN(ClientAttributes attributes, ClientAttributes::decode(*stored));
  return std::optional(std::move(attributes));
}

Result<std::vector<ClientId>> stored_clients(const Storage& storage) {
  std::vector<ClientId> clients;
  StorageIterator it = storage.iterate(Family::kMeta, attributes_prefix);
  for (; it.valid(); it.next()) clients.emplace_back(std::string(it.key().substr(attributes_prefix.size())));
  RETURN_IF_ERROR(it.status());
  return clients;
}

void put_attributes(StorageBatch& write, const ClientId& client, const ClientAttributes& attributes) {
  write.put(Family::kMeta, std::string(attributes_prefix) + client.value, attributes.encode());
}

Result<std::map<UncheckedLetters, RowKeys>> stored_unchecked(const Storage& storage) {
  std::map<UncheckedLetters, RowKeys> out;
  StorageIterator it = storage.iterate(Family::kMeta, unchecked_prefix);
  for (; it.valid(); it.next()) {
    ByteReader reader(it.key().substr(unchecked_prefix.size()));
    UncheckedLetters of;
    of.client = ClientId{std::string(reader.string())};
    of.domain = reader.string();
    of.table = reader.string();
    out[of].emplace(reader.string(), it.value());
    if (!reader.ok()) return Error{ErrorCode::kCorrupt, "a stored name of an unchecked dead letter does not decode"};
  }
  RETURN_IF_ERROR(it.status());
  return out;
}

void put_unchecked(StorageBatch& write, const UncheckedLetters& of, const std::string& key,
                   const std::string& row_key) {
  write.put(Family::kMeta, unchecked_key(of, key), row_key);
}
void remove_unchecked(StorageBatch& write, const UncheckedLetters& of, const std::string& key) {
  write.remove(Family::kMeta, unchecked_key(of, key));
}

void put_switched(StorageBatch& write, const std::string& table) {
  write.put(Family::kMeta, std::string(switched_prefix) + table, "");
}
Result<std::vector<std::string>> stored_switched(const Storage& storage) {
  return names_under(storage, switched_prefix);
}
void remove_switched(StorageBatch& write, const std::string& table) {
  write.remove(Family::kMeta, std::string(switched_prefix) + table);
}

void put_unused(StorageBatch& write, const std::string& table) {
  write.put(Family::kMeta, std::string(unused_prefix) + table, "");
}
Result<std::vector<std::string>> stored_unused(const Storage& storage) { return names_under(storage, unused_prefix); }
void remove_unused(StorageBatch& write, const std::string& table) {
  write.remove(Family::kMeta, std::string(unused_prefix) + table);
}

Result<std::vector<std::string>> stored_raw_gaps(const Storage& storage) {
  return names_under(storage, raw_gap_prefix);
}

void put_raw_gap(StorageBatch& write, const std::string& gap) {
  write.put(Family::kMeta, std::string(raw_gap_prefix) + gap, "");
}

void put_mark(StorageBatch& write, const std::string& table, const TableMark& mark) {
  std::string value;
  put_u64(value, mark.written);
  value += mark.identity;
  for (const std::string& column : mark.columns) value += '\0' + column;
  write.put(Family::kMeta, std::string(mark_prefix) + table, value);
}
Result<std::map<std::string, TableMark>> stored_marks(const Storage& storage) {
  std::map<std::string, TableMark> marks;
  StorageIterator it = storage.iterate(Family::kMeta, mark_prefix);
  for (; it.valid(); it.next()) {
    std::string table(it.key().substr(mark_prefix.size()));
    ByteReader value(it.value());
    TableMark& mark = marks[table];
    mark.written = value.u64();
    std::string_view names = value.rest();
    size_t end = names.find('\0');
    mark.identity = names.substr(0, end);
    while (end != std::string_view::npos) {
      names.remove_prefix(end + 1);
      end = names.find('\0');
      mark.columns.emplace(names.substr(0, end));
    }
    if (!value.ok())
      return Error{ErrorCode::kCorrupt, fmt::format("the stored mark of table {} does not decode", table)};
  }
  RETURN_IF_ERROR(it.status());
  return marks;
}
void remove_mark(StorageBatch& write, const std::string& table) {
  write.remove(Family::kMeta, std::string(mark_prefix) + table);
}

void put_incomplete(StorageBatch& write, const std::string& table, Incomplete why) {
  write.put(Family::kMeta, std::string(incomplete_prefix) + table, why == Incomplete::kLost ? "lost" : "");
}
Result<std::map<std::string, Incomplete>> stored_incomplete(const Storage& storage) {
  std::map<std::string, Incomplete> tables;
  StorageIterator it = storage.iterate(Family::kMeta, incomplete_prefix);
  for (; it.valid(); it.next()) {
    tables[std::string(it.key().substr(incomplete_prefix.size()))] =
        it.value() == "lost" ? Incomplete::kLost : Incomplete::kDropped;
  }
  RETURN_IF_ERROR(it.status());
  return tables;
}
void remove_incomplete(StorageBatch& write, const std::string& table) {
  write.remove(Family::kMeta, std::string(incomplete_prefix) + table);
}

Result<std::map<TopicPartition, Offset>> stored_offsets(const Storage& storage, std::string_view of) {
  std::map<TopicPartition, Offset> offsets;
  StorageIterator it = storage.iterate(Family::kMeta, of);
  for (; it.valid(); it.next()) {
    ByteReader key(it.key().substr(of.size()));
    TopicPartition partition;
    partition.topic = key.string();
    partition.partition = PartitionId{key.u32_big()};
    ByteReader value(it.value());
    offsets[partition] = Offset{value.u64()};
    if (!key.ok() || !value.ok())
      return Error{ErrorCode::kCorrupt, fmt::format("an offset under {} does not decode", of)};
  }
  RETURN_IF_ERROR(it.status());
  return offsets;
}

void put_offset(StorageBatch& write, std::string_view of, const TopicPartition& partition, Offset next) {
  std::string key(of);
  put_string(key, partition.topic);
  put_u32_big(key, partition.partition.value);
  std::string value;
  put_u64(value, next.value);
  write.put(Family::kMeta, key, value);
}

void put_changed_facts(StorageBatch& write, const std::map<std::string, std::string>& before,
                       const std::map<std::string, std::string>& now) {
  for (const auto& [key, value] : before) {
    if (!now.contains(key)) write.remove(Family::kMeta, key);
  }
  for (const auto& [key, value] : now) {
    auto known = before.find(key);
    if (known == before.end() || known->second != value) write.put(Family::kMeta, key, value);
  }
}

}  // namespace tributary
