#include "log/embedded/embedded_log.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <queue>

#include "base/wall_clock.h"
#include "codec/block.h"
#include "log/append_ledger.h"
#include "log/embedded/cut_blocks.h"
#include "log/embedded/log_keys.h"
#include "log/embedded/schema_registry.h"

namespace tributary {
namespace {

// Where a partition begins and ends. first == end: it holds nothing now.
struct Extent {
  uint64_t first = 0;
  uint64_t end = 0;
};

// One append() that waits for its commit.
struct Pending {
  std::vector<CutBlock> blocks;
  std::span<const LogAppend> appends;  // for their state changes
  size_t bytes = 0;
  bool done = false;
  Status result;
};

Error damaged(const TopicPartition& at, Offset offset, std::string_view what) {
  return {ErrorCode::kCorrupt,
          fmt::format("log: topic {}, partition {}, offset {}: {}", at.topic, at.partition, offset, what)};
}

}  // namespace

struct EmbeddedLog::State {
  Storage& storage;
  EmbeddedLogOptions options;
  SchemaRegistry schemas;

  // Appends queue up; the one at the front commits for all that wait (group commit).
  std::mutex queue_mutex;
  std::condition_variable queue_changed;
  std::deque<Pending*> queue;
  bool committing = false;

  // Held over each change of what is stored: a group commit or a trim.
  std::mutex commit_mutex;

  // Guards what follows; never held over I/O.
  mutable std::mutex mutex;
  std::condition_variable appended;
  std::map<TopicPartition, Extent> extents;
  uint64_t generation = 0;
  std::atomic<uint64_t> kept_bytes = 0;
  AppendLedger ledger;

  State(Storage& s, EmbeddedLogOptions o) : storage(s), options(o), schemas(s) {}

  Status load();
  std::vector<Pending*> take_group();
  Status commit(const std::vector<Pending*>& group);
  Extent extent(const TopicPartition& at) const;
  Status check_start(const TopicPartition& at, Offset from, const Extent& before, std::optional<Offset> found) const;
};

EmbeddedLog::EmbeddedLog(std::unique_ptr<State> state) : state_(std::move(state)) {}
EmbeddedLog::~EmbeddedLog() = default;

Result<std::unique_ptr<EmbeddedLog>> EmbeddedLog::open(Storage& storage, EmbeddedLogOptions options) {
  CHECK(options.block_rows >= 1 && options.block_rows <= block_rows_max);
  auto state = std::make_unique<State>(storage, options);
  RETURN_IF_ERROR(state->load());
  return std::unique_ptr<EmbeddedLog>(new EmbeddedLog(std::move(state)));
}

Status EmbeddedLog::State::load() {
  RETURN_IF_ERROR(schemas.load());
  StorageIterator it = storage.iterate(Family::kMeta, log_end_prefix);
  for (; it.valid(); it.next()) {
    auto at = partition_of_end_key(it.key());
    auto end = decode_u64(it.value());
    if (!at || !end) return Error{ErrorCode::kCorrupt, "log: the end of a partition is damaged"};
    Extent extent{*end, *end};
    StorageIterator blocks = storage.iterate(Family::kLogIndex, log_partition_prefix(*at));
    if (blocks.valid()) {
      auto first = offset_of_block_key(blocks.key(), *at);
      if (!first || first->value >= *end) return damaged(*at, Offset(*end), "its first block is behind its end");
      extent.first = first->value;
    }
    RETURN_IF_ERROR(blocks.status());
    extents[*at] = extent;
  }
  RETURN_IF_ERROR(it.status());
  ASSIGN_OR_RETURN(std::optional<std::string> bytes, storage.get(Family::kMeta, log_bytes_key));
  kept_bytes = bytes ? decode_u64(*bytes).value_or(0) : 0;
  return {};
}

Extent EmbeddedLog::State::extent(const TopicPartition& at) const {
  std::lock_guard lock(mutex);
  auto found = extents.find(at);
  return found == extents.end() ? Extent{} : found->second;
}

// ---- appending ----

Status EmbeddedLog::append(std::span<const LogAppend> appends) {
  Pending pending;
  pending.appends = appends;
  BlockLimits limits{state_->options.block_rows, state_->options.block_bytes};
  bool has_changes = false;
  for (const LogAppend& append : appends) {
    has_changes |= !append.state_changes.empty();
    for (const EventBatch& batch : append.batches) {
      CHECK(batch.client == append.client, "events of {} in an append of {}", batch.client, append.client);
      RETURN_IF_ERROR(cut_blocks(batch, state_->options.partitioning, limits, pending.blocks));
    }
  }
  if (pending.blocks.empty() && !has_changes) return {};
  for (const CutBlock& block : pending.blocks) pending.bytes += block.bytes.size();

  std::unique_lock lock(state_->queue_mutex);
  state_->queue.push_back(&pending);
  state_->queue_changed.wait(
      lock, [&] { return pending.done || (!state_->committing && state_->queue.front() == &pending); });
  if (pending.done) return pending.result;
  state_->committing = true;
  std::vector<Pending*> group = state_->take_group();
  lock.unlock();
  Status result = state_->commit(group);
  lock.lock();
  state_->committing = false;
  for (Pending* member : group) {
    member->result = result;
    member->done = true;
  }
  lock.unlock();
  // Under the lock no longer: `pending` is ours, and the others' may vanish as soon as they see `done`.
  state_->queue_changed.notify_all();
  return result;
}

// The queue's front, and those behind it that fit into one write with it.
std::vector<Pending*> EmbeddedLog::State::take_group() {
  std::vector<Pending*> group;
  size_t bytes = 0;
  while (!queue.empty() && (group.empty() || bytes + queue.front()->bytes <= options.commit_bytes_max)) {
    bytes += queue.front()->bytes;
    group.push_back(queue.front());
    queue.pop_front();
  }
  return group;
}

Status EmbeddedLog::State::commit(const std::vector<Pending*>& group) {
  std::lock_guard commit_lock(commit_mutex);
  StorageBatch batch;
  std::map<TopicPartition, Extent> changed;
  std::vector<AppendLedger::Entry> noted;
  uint64_t bytes = kept_bytes;
  int64_t now = now_micros();
  for (const Pending* pending : group) {
    for (const CutBlock& block : pending->blocks) {
      auto [at, is_new] = changed.try_emplace(block.at);
      if (is_new) at->second = extent(block.at);
      std::string key = log_block_key(block.at, Offset(at->second.end));
      batch.put(Family::kLog, key, block.bytes);
      batch.put(Family::kLogIndex, key, LogIndexEntry{block.events, block.bytes.size(), now}.encode());
      at->second.end += block.events;
      noted.push_back(
          {block.client, block.at, Offset(at->second.end), block.events, block.events, block.bytes.size(), now});
      bytes += block.bytes.size();
    }
    for (const LogAppend& append : pending->appends) {
      std::string prefix = log_source_prefix(append.client);
      for (const auto& [name, value] : append.state_changes) {
        if (value.empty()) {
          batch.remove(Family::kMeta, prefix + name);
        } else {
          batch.put(Family::kMeta, prefix + name, value);
        }
      }
    }
  }
  for (const auto& [at, extent] : changed) batch.put(Family::kMeta, log_end_key(at), encode_u64(extent.end));
  batch.put(Family::kMeta, log_bytes_key, encode_u64(bytes));
  RETURN_IF_ERROR(storage.write(batch));

  kept_bytes = bytes;
  {
    std::lock_guard lock(mutex);
    for (const auto& [at, extent] : changed) extents[at] = extent;
    if (!changed.empty()) ++generation;
  }
  for (const AppendLedger::Entry& entry : noted) ledger.add(entry);
  appended.notify_all();
  return {};
}

uint64_t EmbeddedLog::append_generation() {
  std::lock_guard lock(state_->mutex);
  return state_->generation;
}

void EmbeddedLog::wait_for_append(uint64_t known_generation, std::chrono::milliseconds limit) {
  std::unique_lock lock(state_->mutex);
  state_->appended.wait_for(lock, limit, [&] { return state_->generation != known_generation; });
}

// ---- sources and schemas ----

Result<std::vector<ClientId>> EmbeddedLog::known_clients() {
  std::vector<ClientId> clients;
  StorageIterator it = state_->storage.iterate(Family::kMeta, log_source_prefix());
  for (; it.valid(); it.next()) {
    auto client = client_of_source_key(it.key());
    if (!client) return Error{ErrorCode::kCorrupt, "log: the key of a client's state is damaged"};
    if (clients.empty() || clients.back() != *client) clients.push_back(*std::move(client));
  }
  RETURN_IF_ERROR(it.status());
  return clients;
}

Result<SourceState> EmbeddedLog::source_state(const ClientId& client) {
  SourceState out;
  std::string prefix = log_source_prefix(client);
  StorageIterator it = state_->storage.iterate(Family::kMeta, prefix);
  for (; it.valid(); it.next()) out.emplace(it.key().substr(prefix.size()), it.value());
  RETURN_IF_ERROR(it.status());
  return out;
}

Result<SchemaPtr> EmbeddedLog::register_schema(const ClientId& client, const TableSchema& schema) {
  return state_->schemas.register_schema(client, schema);
}

Result<SchemaPtr> EmbeddedLog::schema(const ClientId& client, const std::string& table, uint32_t version) {
  return state_->schemas.find(client, table, version);
}

Result<std::vector<SchemaPtr>> EmbeddedLog::newest_schemas(const ClientId& client) {
  return state_->schemas.newest(client);
}

// ---- reading ----

std::map<TopicPartition, Offset> EmbeddedLog::ends() {
  std::lock_guard lock(state_->mutex);
  std::map<TopicPartition, Offset> out;
  for (const auto& [at, extent] : state_->extents) out.emplace(at, Offset(extent.end));
  return out;
}

LogLag EmbeddedLog::lag(const std::map<TopicPartition, Offset>& from) {
  auto known = known_clients();
  return state_->ledger.lag(ends(), from, known.ok() ? *known : std::vector<ClientId>(),
                            [this](const ClientId& client, const TopicPartition& at) {
                              auto subset = client_partitions(state_->options.partitioning, client.value, at.topic);
                              return std::find(subset.begin(), subset.end(), at.partition) != subset.end();
                            });
}

Result<Offset> EmbeddedLog::first_offset(const TopicPartition& partition) {
  return Offset(state_->extent(partition).first);
}

// A reader at `from` was given the block at `found` (none: nothing). Right where that block holds `from`, or where what
// is missing was trimmed, perhaps while we read; else blocks have vanished.
Status EmbeddedLog::State::check_start(const TopicPartition& at, Offset from, const Extent& before,
                                       std::optional<Offset> found) const {
  uint64_t start = std::max(from.value, before.first);
  uint64_t got = found ? found->value : before.end;
  if (start >= before.end || got <= start || extent(at).first >= got) return {};
  return damaged(at, Offset(start), fmt::format("no block holds it, the next one begins at {}", got));
}

namespace {

class EmbeddedReader final : public LogReader {
 public:
  explicit EmbeddedReader(EmbeddedLog& log) : log_(log) {}
  Result<std::vector<LogBlock>> read(const TopicPartition& partition, Offset from, size_t bytes_max) override {
    return log_.read(partition, from, bytes_max);
  }

 private:
  EmbeddedLog& log_;
};

}  // namespace

std::unique_ptr<LogReader> EmbeddedLog::open_reader() { return std::make_unique<EmbeddedReader>(*this); }

Result<std::shared_ptr<const EventBatch>> EmbeddedLog::events_of(const LogBlock& block) {
  auto decoded = [&]() -> Result<EventBatch> {
    ASSIGN_OR_RETURN(BlockHeader header, read_block_header(block.bytes));
    ASSIGN_OR_RETURN(SchemaPtr schema, state_->schemas.find(header.client, header.table, header.schema_version));
    return decode_block(block.bytes, schema);
  }();
  if (!decoded.ok()) {
    return with_context(decoded.error(), fmt::format("log: topic {} partition {} offset {}", block.at.topic,
                                                     block.at.partition, block.first));
  }
  return std::make_shared<const EventBatch>(std::move(*decoded));
}

Result<std::vector<LogBlock>> EmbeddedLog::read(const TopicPartition& partition, Offset from, size_t bytes_max) {
  Extent before = state_->extent(partition);
  std::vector<LogBlock> out;
  if (from.value >= before.end) return out;
  StorageIterator it = state_->storage.iterate(Family::kLog, log_partition_prefix(partition));
  std::string key = log_block_key(partition, from);
  it.seek_at_or_before(key);
  if (!it.valid() && it.status().ok()) it.seek(key);
  size_t bytes = 0;
  for (; it.valid() && (out.empty() || bytes < bytes_max); it.next()) {
    std::optional<Offset> first = offset_of_block_key(it.key(), partition);
    if (!first) return damaged(partition, from, "a key that is none");
    Result<BlockHeader> header = read_block_header(it.value());
    if (!header.ok()) {
      Error error = damaged(partition, *first, header.error().message);
      error.code = header.error().code;
      return error;
    }
    uint64_t end = first->value + header->events();
    if (out.empty() && end <= from.value) continue;  // the one before
    if (out.empty()) {
      RETURN_IF_ERROR(state_->check_start(partition, from, before, first));
    } else if (uint64_t expected = out.back().next.value; expected != first->value) {
      return damaged(partition, Offset(expected), fmt::format("no block holds it, the next one begins at {}", *first));
    }
    out.push_back({partition, *first, Offset(end), header->events(), std::string(it.value()), nullptr});
    bytes += out.back().bytes.size();
  }
  if (Status status = it.status(); !status.ok()) {
    Offset at = out.empty() ? from : out.back().next;
    return with_context(status.error(), damaged(partition, at, "its block cannot be read").message);
  }
  if (out.empty()) RETURN_IF_ERROR(state_->check_start(partition, from, before, std::nullopt));
  return out;
}

// ---- removing ----

Status EmbeddedLog::trim_before(const TopicPartition& partition, Offset offset) {
  std::lock_guard commit_lock(state_->commit_mutex);
  Extent extent = state_->extent(partition);
  uint64_t first = extent.first;
  uint64_t removed_bytes = 0;
  StorageIterator it = state_->storage.iterate(Family::kLogIndex, log_partition_prefix(partition));
  for (; it.valid() && first < extent.end; it.next()) {
    auto entry = LogIndexEntry::decode(it.value());
    if (!entry) return damaged(partition, Offset(first), "its index entry is damaged");
    if (first + entry->events > offset.value) break;
    first += entry->events;
    removed_bytes += entry->bytes;
  }
  RETURN_IF_ERROR(it.status());
  if (first == extent.first) return {};

  StorageBatch batch;
  std::string low = log_partition_prefix(partition);
  std::string high = log_block_key(partition, Offset(first));
  batch.remove_range(Family::kLog, low, high);
  batch.remove_range(Family::kLogIndex, low, high);
  uint64_t bytes = state_->kept_bytes - removed_bytes;
  batch.put(Family::kMeta, log_bytes_key, encode_u64(bytes));
  RETURN_IF_ERROR(state_->storage.write(batch, {.use_reserve = true}));
  state_->kept_bytes = bytes;
  std::lock_guard lock(state_->mutex);
  state_->extents[partition].first = first;
  return {};
}

Status EmbeddedLog::enforce_retention(const RetentionLimits& limits, int64_t now_micros,
                                      const std::function<Offset(const TopicPartition&)>& keep_from) {
  struct Head {
    TopicPartition at;
    StorageIterator blocks;
    Offset keep;
    uint64_t end;  // of the block that `entry` is about
    LogIndexEntry entry;
  };
  std::vector<Head> heads;
  auto younger = [&](size_t a, size_t b) { return heads[a].entry.appended_micros > heads[b].entry.appended_micros; };
  std::priority_queue<size_t, std::vector<size_t>, decltype(younger)> oldest(younger);
  // Puts a partition's next block into the queue, where it has one that may go.
  auto enqueue = [&](size_t index) -> Status {
    Head& head = heads[index];
    if (!head.blocks.valid()) return head.blocks.status();
    auto first = offset_of_block_key(head.blocks.key(), head.at);
    auto entry = LogIndexEntry::decode(head.blocks.value());
    if (!first || !entry) return damaged(head.at, Offset(head.end), "the index entry here is damaged");
    head.entry = *entry;
    head.end = first->value + entry->events;
    if (head.end <= head.keep.value) oldest.push(index);
    return {};
  };
  std::map<TopicPartition, Extent> extents;
  {
    std::lock_guard lock(state_->mutex);
    extents = state_->extents;
  }
  heads.reserve(extents.size());
  for (const auto& [at, extent] : extents) {
    if (extent.first == extent.end) continue;
    heads.push_back(
        {at, state_->storage.iterate(Family::kLogIndex, log_partition_prefix(at)), keep_from(at), extent.first, {}});
    RETURN_IF_ERROR(enqueue(heads.size() - 1));
  }

  uint64_t bytes = state_->kept_bytes;
  int64_t age_micros = std::chrono::duration_cast<std::chrono::microseconds>(limits.age).count();
  std::map<TopicPartition, Offset> trims;
  while (!oldest.empty()) {
    size_t index = oldest.top();
    Head& head = heads[index];
    bool too_old = age_micros > 0 && head.entry.appended_micros < now_micros - age_micros;
    bool too_much = limits.bytes > 0 && bytes > limits.bytes;
    if (!too_old && !too_much) break;
    oldest.pop();
    bytes -= std::min(bytes, head.entry.bytes);
    trims[head.at] = Offset(head.end);
    head.blocks.next();
    RETURN_IF_ERROR(enqueue(index));
  }
  for (const auto& [at, offset] : trims) RETURN_IF_ERROR(trim_before(at, offset));
  return {};
}

uint64_t EmbeddedLog::kept_bytes() const { return state_->kept_bytes; }
const Partitioning& EmbeddedLog::partitioning() const { return state_->options.partitioning; }

}  // namespace tributary
