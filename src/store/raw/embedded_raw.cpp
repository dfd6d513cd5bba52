#include "store/raw/embedded_raw.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

#include "codec/block.h"
#include "store/raw/new_events.h"
#include "store/raw/raw_index.h"
#include "store/raw/raw_matching.h"

namespace tributary {
namespace {

constexpr size_t greatest_positions_max = 100'000;  // cached; beyond, all are forgotten and looked up again

Error with_place(const Error& error, const BlockHeader& header, PartitionId partition) {
  return with_context(error, fmt::format("raw: client {}, domain {}, partition {}, position {}", header.client,
                                         header.domain, partition, header.min_position.to_string()));
}

// A block that add_to() has put into a batch which is not written yet.
struct PendingBlock {
  BlockSummary summary;
  std::string bytes;
};

// `hashes`: of the query's keys, in their order.
bool may_match(const BlockSummary& summary, const RawQuery& query, const std::vector<uint64_t>& hashes) {
  if (query.from_micros && summary.max_commit_micros < *query.from_micros) return false;
  if (query.to_micros && summary.min_commit_micros >= *query.to_micros) return false;
  if (query.after && summary.max_position <= *query.after) return false;
  if (query.up_to && summary.min_position > *query.up_to) return false;
  if (query.keys.empty() || summary.ranges > 0) return true;
  auto hash = hashes.begin();
  return std::any_of(query.keys.begin(), query.keys.end(),
                     [&](const std::string& key) { return summary.may_hold_key(key, *hash++); });
}

}  // namespace

struct EmbeddedRaw::State {
  Storage& storage;
  SchemaLookup schemas;
  std::mutex mutex;
  // By place: no stored position is greater. May be greater than all that is stored (after a write that failed), which
  // costs a look at the index and nothing else.
  std::unordered_map<std::string, Position> greatest;

  // The blocks of one add_to() call so far, by place.
  using Pending = std::map<std::string, std::vector<PendingBlock>>;

  Result<EventBatch> decode(std::string_view bytes, const BlockHeader& header);
  Result<std::optional<Position>> greatest_position(const std::string& place);
  void raise_greatest(const std::string& place, const Position& position);
  Status remove_known(const std::string& place, const BlockSummary& summary, const BatchKeys& keys,
                      const std::vector<PendingBlock>& pending, NewEvents& fresh);
  Status remove_stored(const std::string& place, const BlockSummary& summary, const BatchKeys& keys, NewEvents& fresh);
  Status remove_block(std::string_view bytes, NewEvents& fresh);
  Status add_block(StorageBatch& batch, const RawAddition& addition, Pending& pending);
  void put(StorageBatch& batch, const std::string& place, const BlockSummary& summary, std::string_view bytes,
           Pending& pending);
};

EmbeddedRaw::EmbeddedRaw(Storage& storage, SchemaLookup schemas)
    : state_(new State{.storage = storage, .schemas = std::move(schemas), .mutex = {}, .greatest = {}}) {}
EmbeddedRaw::~EmbeddedRaw() = default;

Result<EventBatch> EmbeddedRaw::State::decode(std::string_view bytes, const BlockHeader& header) {
  ASSIGN_OR_RETURN(SchemaPtr schema, schemas(header.client, header.table, header.schema_version));
  return decode_block(bytes, schema);
}

Result<std::optional<Position>> EmbeddedRaw::State::greatest_position(const std::string& place) {
  {
    std::lock_guard lock(mutex);
    if (auto known = greatest.find(place); known != greatest.end()) return std::optional(known->second);
  }
  StorageIterator it = storage.iterate(Family::kRawIndex, place);
  it.seek_to_last();
  RETURN_IF_ERROR(it.status());
  if (!it.valid()) return std::optional<Position>();
  std::optional<RawIndexEntry> entry = decode_raw_index(it.key(), it.value());
  if (!entry) return Error{ErrorCode::kCorrupt, "raw: the last entry of an index is damaged"};
  raise_greatest(place, entry->summary.max_position);
  return std::optional(entry->summary.max_position);
}

void EmbeddedRaw::State::raise_greatest(const std::string& place, const Position& position) {
  std::lock_guard lock(mutex);
  if (greatest.size() >= greatest_positions_max) greatest.clear();
  auto [at, is_new] = greatest.try_emplace(place, position);
  if (!is_new && at->second < position) at->second = position;
}

Status EmbeddedRaw::State::remove_block(std::string_view bytes, NewEvents& fresh) {
  ASSIGN_OR_RETURN(BlockHeader header, read_block_header(bytes));
  ASSIGN_OR_RETURN(EventBatch events, decode(bytes, header));
  fresh.remove(events, BatchKeys(events));
  return {};
}

// Takes out of `fresh` what is in blocks that are stored.
Status EmbeddedRaw::State::remove_stored(const std::string& place, const BlockSummary& summary, const BatchKeys& keys,
                                         NewEvents& fresh) {
  StorageIterator it = storage.iterate(Family::kRawIndex, place);
  for (it.seek(raw_index_seek_key(place, summary.min_position)); it.valid() && !fresh.none(); it.next()) {
    std::optional<RawIndexEntry> entry = decode_raw_index(it.key(), it.value());
    if (!entry) return Error{ErrorCode::kCorrupt, "raw: an index entry is damaged"};
    const BlockSummary& stored = entry->summary;
    if (!stored.may_share_events(summary)) continue;
    bool hit = (stored.op_mask & summary.op_mask & block_has_range) != 0;
    for (size_t row = 0; row < keys.hashes.size() && !hit; ++row) hit = stored.bloom.may_contain(keys.hashes[row]);
    if (!hit) continue;
    ASSIGN_OR_RETURN(std::optional<std::string> bytes, storage.get(Family::kRaw, raw_block_key(place, stored)));
    if (!bytes) {
      return Error{ErrorCode::kCorrupt, fmt::format("raw: the block at {} is in the index and nowhere else",
                                                    stored.min_position.to_string())};
    }
    RETURN_IF_ERROR(remove_block(*bytes, fresh));
  }
  return it.status();
}

Status EmbeddedRaw::State::remove_known(const std::string& place, const BlockSummary& summary, const BatchKeys& keys,
                                        const std::vector<PendingBlock>& pending, NewEvents& fresh) {
  ASSIGN_OR_RETURN(std::optional<Position> greatest_known, greatest_position(place));
  if (!greatest_known || summary.min_position > *greatest_known) return {};  // newer than all there is
  RETURN_IF_ERROR(remove_stored(place, summary, keys, fresh));
  for (const PendingBlock& block : pending) {
    if (block.summary.may_share_events(summary)) RETURN_IF_ERROR(remove_block(block.bytes, fresh));
  }
  return {};
}

void EmbeddedRaw::State::put(StorageBatch& batch, const std::string& place, const BlockSummary& summary,
                             std::string_view bytes, Pending& pending) {
  batch.put(Family::kRaw, raw_block_key(place, summary), bytes);
  batch.put(Family::kRawIndex, raw_index_key(place, summary), summary.encode_value());
  raise_greatest(place, summary.max_position);
  pending[place].push_back({summary, std::string(bytes)});
}

Status EmbeddedRaw::State::add_block(StorageBatch& batch, const RawAddition& addition, Pending& pending) {
  const LogBlock& block = *addition.block;
  const EventBatch* events = addition.events != nullptr ? addition.events : block.decoded.get();
  std::string made;  // where the log had no block of its own
  if (block.bytes.empty()) made = encode_block(*events, BlockCompression::kLz4);
  std::string_view block_bytes = block.bytes.empty() ? std::string_view(made) : std::string_view(block.bytes);
  ASSIGN_OR_RETURN(BlockHeader header, read_block_header(block_bytes));
  EventBatch decoded;
  if (events == nullptr) {
    Result<EventBatch> result = decode(block_bytes, header);
    if (!result.ok()) return with_place(result.error(), header, block.at.partition);
    decoded = std::move(*result);
    events = &decoded;
  }
  std::string place = raw_place_prefix(header.client, header.domain, block.at.partition);
  BatchKeys keys(*events);
  BlockSummary summary = summarize(header, keys);
  NewEvents fresh(*events, keys);
  if (Status status = remove_known(place, summary, keys, pending[place], fresh); !status.ok()) {
    return with_place(status.error(), header, block.at.partition);
  }
  if (fresh.none()) return {};
  if (fresh.all()) {
    put(batch, place, summary, block_bytes, pending);
    return {};
  }
  EventBatch left = fresh.left();
  std::string bytes = encode_block(left, header.compression);
  ASSIGN_OR_RETURN(BlockHeader left_header, read_block_header(bytes));
  put(batch, place, summarize(left_header, BatchKeys(left)), bytes, pending);
  return {};
}

Status EmbeddedRaw::add_to(StorageBatch& batch, std::span<const RawAddition> blocks) {
  State::Pending pending;
  for (const RawAddition& block : blocks) RETURN_IF_ERROR(state_->add_block(batch, block, pending));
  return {};
}

Status EmbeddedRaw::add_to(StorageBatch& batch, std::span<const LogBlock> blocks) {
  std::vector<RawAddition> additions;
  for (const LogBlock& block : blocks) additions.push_back({&block, nullptr});
  return add_to(batch, additions);
}

Status EmbeddedRaw::write(std::span<const LogBlock> blocks) {
  StorageBatch batch;
  RETURN_IF_ERROR(add_to(batch, blocks));
  if (batch.empty()) return {};
  return state_->storage.write(batch);
}

Status EmbeddedRaw::read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) {
  std::vector<uint64_t> hashes;
  for (const std::string& key : query.keys) hashes.push_back(row_key_hash(key));
  StorageIterator it = state_->storage.iterate(Family::kRawIndex, raw_client_prefix(query.client, query.domain));
  for (; it.valid(); it.next()) {
    std::optional<RawIndexEntry> entry = decode_raw_index(it.key(), it.value());
    if (!entry)
      return Error{ErrorCode::kCorrupt, fmt::format("raw: an index entry of client {} is damaged", query.client)};
    if (!may_match(entry->summary, query, hashes)) continue;
    std::string context =
        fmt::format("raw: client {}, block at {}", query.client, entry->summary.min_position.to_string());
    Result<std::optional<std::string>> bytes =
        state_->storage.get(Family::kRaw, raw_block_key(entry->place, entry->summary));
    if (!bytes.ok()) return with_context(bytes.error(), context);
    if (!bytes->has_value()) return Error{ErrorCode::kCorrupt, context + ": it is in the index and nowhere else"};
    Result<BlockHeader> header = read_block_header(**bytes);
    if (!header.ok()) return with_context(header.error(), context);
    Result<EventBatch> events = state_->decode(**bytes, *header);
    if (!events.ok()) return with_context(events.error(), context);
    keep_matching(*events, query);
    if (!events->empty() && !visit(*events)) return {};
  }
  return it.status();
}

Result<uint64_t> EmbeddedRaw::count(const ClientId& client, const std::string& domain) {
  uint64_t events = 0;
  StorageIterator it = state_->storage.iterate(Family::kRawIndex, raw_client_prefix(client, domain));
  for (; it.valid(); it.next()) {
    std::optional<RawIndexEntry> entry = decode_raw_index(it.key(), it.value());
    if (!entry) return Error{ErrorCode::kCorrupt, fmt::format("raw: an index entry of client {} is damaged", client)};
    events += entry->summary.rows + entry->summary.ranges;
  }
  RETURN_IF_ERROR(it.status());
  return events;
}

Result<RawPiece> EmbeddedRaw::scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                                   size_t bytes_max) {
  RawPiece piece;
  piece.cursor = cursor;
  StorageIterator it = state_->storage.iterate(Family::kRaw, raw_client_prefix(client, domain));
  if (!cursor.empty()) it.seek(cursor);
  size_t bytes = 0;
  for (; it.valid() && bytes < bytes_max; it.next()) {
    std::string context = fmt::format("raw: client {}, domain {}", client, domain);
    Result<BlockHeader> header = read_block_header(it.value());
    if (!header.ok()) return with_context(header.error(), context);
    Result<EventBatch> events = state_->decode(it.value(), *header);
    if (!events.ok()) return with_context(events.error(), context);
    bytes += it.value().size();
    piece.batches.push_back(std::move(*events));
    piece.cursor = std::string(it.key()) + '\0';
  }
  RETURN_IF_ERROR(it.status());
  piece.end = !it.valid();
  return piece;
}

}  // namespace tributary
