#include "log/kafka/state_record.h"

#include <fmt/format.h>

#include <charconv>

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t value_version = 2;

// Takes what stands before the next "/" away from `rest`.
std::optional<std::string_view> take_part(std::string_view& rest) {
  size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::string_view part = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  return part;
}

}  // namespace

std::string StateRecordKey::encode() const {
  switch (kind) {
    case StateRecordKind::kSource: return fmt::format("source/{}/{}/{}", client, number, name);
    case StateRecordKind::kLease: return fmt::format("lease/{}/{}/{}", client, number, writer);
    case StateRecordKind::kSchema: return fmt::format("schema/{}/{}/{}/{}", client, number, writer, name);
    case StateRecordKind::kTopic: return fmt::format("topic/{}", name);
    case StateRecordKind::kEnds: break;
  }
  return fmt::format("ends/{}", client);
}

std::optional<StateRecordKey> StateRecordKey::decode(std::string_view bytes) {
  StateRecordKey key;
  auto kind = take_part(bytes);
  if (!kind) return std::nullopt;
  if (*kind == "ends") {
    key.client = bytes;
    return key;
  }
  if (*kind == "topic") {
    key.kind = StateRecordKind::kTopic;
    key.name = bytes;
    return key;
  }
  if (*kind == "source") {
    key.kind = StateRecordKind::kSource;
  } else if (*kind == "lease") {
    key.kind = StateRecordKind::kLease;
  } else if (*kind == "schema") {
    key.kind = StateRecordKind::kSchema;
  } else {
    return std::nullopt;
  }
  auto client = take_part(bytes);
  auto number = take_part(bytes);
  if (!client || !number) return std::nullopt;
  key.client = *client;
  auto [end, error] = std::from_chars(number->data(), number->data() + number->size(), key.number);
  if (error != std::errc{} || end != number->data() + number->size()) return std::nullopt;
  if (key.kind == StateRecordKind::kSchema) {
    auto writer = take_part(bytes);
    if (!writer) return std::nullopt;
    key.writer = *writer;
  }
  (key.kind == StateRecordKind::kLease ? key.writer : key.name) = bytes;
  return key;
}

std::string SourceRecordValue::encode() const {
  std::string out;
  put_u8(out, value_version);
  put_varint(out, parts.size());
  for (const AppendedPart& part : parts) {
    put_string(out, part.at.topic);
    put_varint(out, part.at.partition.value);
    put_varint(out, part.next.value);
    put_varint(out, part.records);
    put_varint(out, part.events);
    put_varint(out, part.bytes);
  }
  return out + bytes;
}

std::optional<SourceRecordValue> SourceRecordValue::decode(std::string_view bytes) {
  ByteReader reader(bytes);
  if (reader.u8() != value_version) return std::nullopt;
  SourceRecordValue value;
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    AppendedPart& part = value.parts.emplace_back();
    part.at.topic = reader.string();
    part.at.partition = PartitionId{static_cast<uint32_t>(reader.varint())};
    part.next = Offset{reader.varint()};
    part.records = reader.varint();
    part.events = reader.varint();
    part.bytes = reader.varint();
  }
  if (!reader.ok()) return std::nullopt;
  value.bytes = bytes.substr(reader.position());
  return value;
}

std::string encode_entries(const SourceState& entries) {
  std::string out;
  put_varint(out, entries.size());
  for (const auto& [name, value] : entries) {
    put_string(out, name);
    put_string(out, value);
  }
  return out;
}

std::optional<SourceState> decode_entries(std::string_view bytes) {
  ByteReader reader(bytes);
  SourceState entries;
  uint64_t count = reader.varint();
  for (uint64_t i = 0; i < count && reader.ok(); ++i) {
    std::string name(reader.string());
    entries[std::move(name)] = reader.string();
  }
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return entries;
}

}  // namespace tributary
