#include "runtime/outbox.h"

#include "base/bytes.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;
enum EntryKind : uint8_t { kRows = 1, kWithdrawal = 2, kProgress = 3, kSwitch = 4 };

void put_position(std::string& out, const Position& position) { position.append_to(out); }

Position read_position(ByteReader& reader) {
  return Position::decode(reader.bytes(Position::encoded_bytes)).value_or(Position{});
}

OutboxProgress read_progress(ByteReader& reader) {
  OutboxProgress progress;
  uint64_t clients = reader.varint();
  for (uint64_t i = 0; i < clients && reader.ok(); ++i) {
    OutboxProgress::Client client;
    client.client = ClientId{std::string(reader.string())};
    client.events = reader.varint();
    client.commit_micros = reader.varint_signed();
    client.position = read_position(reader);
    progress.clients.push_back(std::move(client));
  }
  uint64_t partitions = reader.varint();
  for (uint64_t i = 0; i < partitions && reader.ok(); ++i) {
    OutboxProgress::Consumed consumed;
    consumed.topic = reader.string();
    consumed.partition = PartitionId{static_cast<uint32_t>(reader.varint())};
    consumed.next = Offset{reader.varint()};
    progress.consumed.push_back(std::move(consumed));
  }
  return progress;
}

struct Writer {
  std::string out;
  std::string_view tail;  // what comes behind it, of the entry

  void operator()(const OutboxRows& rows) {
    put_u8(out, kRows);
    put_string(out, rows.table);
    put_varint(out, rows.rows);
    put_varint(out, rows.encoded.size());
    tail = rows.encoded;
  }
  void operator()(const OutboxWithdrawal& entry) {
    const Withdrawal& withdrawal = entry.withdrawal;
    put_u8(out, kWithdrawal);
    put_string(out, withdrawal.view);
    put_string(out, withdrawal.client.value);
    out.append(reinterpret_cast<const char*>(withdrawal.below.bytes.data()), Version::encoded_bytes);
    put_string(out, withdrawal.low);
    put_string(out, withdrawal.high);
  }
  void operator()(const OutboxProgress& progress) {
    put_u8(out, kProgress);
    put_varint(out, progress.clients.size());
    for (const auto& client : progress.clients) {
      put_string(out, client.client.value);
      put_varint(out, client.events);
      put_varint_signed(out, client.commit_micros);
      put_position(out, client.position);
    }
    put_varint(out, progress.consumed.size());
    for (const auto& consumed : progress.consumed) {
      put_string(out, consumed.topic);
      put_varint(out, consumed.partition.value);
      put_varint(out, consumed.next.value);
    }
  }
  void operator()(const OutboxSwitch& entry) {
    put_u8(out, kSwitch);
    put_string(out, entry.view);
    put_varint(out, entry.generation);
  }
};

}  // namespace

std::string outbox_key(Checkpoint checkpoint, uint32_t index) {
  std::string key;
  put_u64_big(key, checkpoint.value);
  put_u32_big(key, index);
  return key;
}

Result<Checkpoint> outbox_checkpoint(std::string_view key) {
  if (key.size() != 12) return Error{ErrorCode::kCorrupt, "an outbox key is not 12 bytes long"};
  return Checkpoint{load_u64_big(key.data())};
}

OutboxBytes encode_outbox_entry(const OutboxEntry& entry) {
  Writer writer;
  put_u8(writer.out, format_version);
  std::visit(writer, entry);
  return {std::move(writer.out), writer.tail};
}

Result<OutboxEntry> decode_outbox_entry(std::string_view bytes) {
  ByteReader reader(bytes);
  Error corrupt{ErrorCode::kCorrupt, "an outbox entry does not decode"};
  if (reader.u8() != format_version) return corrupt;
  OutboxEntry entry;
  switch (reader.u8()) {
    case kRows: {
      OutboxRows rows;
      rows.table = reader.string();
      rows.rows = reader.varint();
      rows.encoded = reader.string();
      entry = std::move(rows);
      break;
    }
    case kWithdrawal: {
      Withdrawal withdrawal;
      withdrawal.view = reader.string();
      withdrawal.client = ClientId{std::string(reader.string())};
      std::string_view below = reader.bytes(Version::encoded_bytes);
      if (reader.ok()) std::copy(below.begin(), below.end(), withdrawal.below.bytes.begin());
      withdrawal.low = reader.string();
      withdrawal.high = reader.string();
      entry = OutboxWithdrawal{std::move(withdrawal)};
      break;
    }
    case kProgress: entry = read_progress(reader); break;
    case kSwitch: {
      OutboxSwitch change;
      change.view = reader.string();
      change.generation = static_cast<uint32_t>(reader.varint());
      entry = std::move(change);
      break;
    }
    default: return corrupt;
  }
  if (!reader.ok() || !reader.at_end()) return corrupt;
  return entry;
}

}  // namespace tributary
