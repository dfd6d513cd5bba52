#include "runtime/following_raw.h"

#include <algorithm>

#include "model/gather.h"
#include "runtime/stored_facts.h"

namespace tributary {

Status FollowingRaw::open() {
  ASSIGN_OR_RETURN(auto acknowledged, stored_offsets(storage_, raw_offsets));
  ASSIGN_OR_RETURN(auto gaps, stored_raw_gaps(storage_));
  std::lock_guard lock(mutex_);
  acknowledged_ = std::move(acknowledged);
  gaps_ = std::move(gaps);
  return {};
}

bool FollowingRaw::has(const std::map<TopicPartition, Offset>& ends) const {
  std::lock_guard lock(mutex_);
  return std::all_of(ends.begin(), ends.end(), [&](const auto& end) {
    auto at = acknowledged_.find(end.first);
    return end.second.value == 0 || (at != acknowledged_.end() && at->second >= end.second);
  });
}

std::map<TopicPartition, Offset> FollowingRaw::acknowledged() const {
  std::lock_guard lock(mutex_);
  return acknowledged_;
}

uint64_t FollowingRaw::waiting_events() const {
  auto known = acknowledged();
  uint64_t waiting = 0;
  for (const auto& [partition, end] : log_.ends()) {
    auto at = known.find(partition);
    uint64_t next = at == known.end() ? 0 : at->second.value;
    waiting += end.value - std::min(end.value, next);
  }
  return waiting;
}

std::vector<std::string> FollowingRaw::gaps() const {
  std::lock_guard lock(mutex_);
  return gaps_;
}

Result<bool> FollowingRaw::send() {
  std::lock_guard lock(sending_);
  return send_piece();
}

Result<bool> FollowingRaw::send_piece() {
  ASSIGN_OR_RETURN(std::vector<LogBlock> blocks, next_blocks());
  if (blocks.empty()) return false;
  RETURN_IF_ERROR(write_blocks(blocks));
  std::map<TopicPartition, Offset> next;
  for (const LogBlock& block : blocks) {
    Offset& end = next[block.at];
    end = std::max(end, block.next);
  }
  StorageBatch write;
  for (const auto& [partition, offset] : next) put_offset(write, raw_offsets, partition, offset);
  RETURN_IF_ERROR(storage_.write(write, {.sync = false}));  // lost with the machine: sent again
  std::lock_guard lock(mutex_);
  for (const auto& [partition, offset] : next) acknowledged_[partition] = offset;
  return true;
}

Result<std::vector<LogBlock>> FollowingRaw::next_blocks() {
  std::vector<std::pair<TopicPartition, Offset>> behind;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [partition, end] : log_.ends()) {
      if (uint64_t life = log_.life(partition); life != lives_[partition]) {
        ASSIGN_OR_RETURN(acknowledged_[partition], log_.first_offset(partition));
        lives_[partition] = life;
      }
      auto at = acknowledged_.find(partition);
      Offset next = at == acknowledged_.end() ? Offset{0} : at->second;
      if (next < end) behind.emplace_back(partition, next);
    }
  }
  std::vector<LogBlock> blocks;
  size_t bytes = 0;
  for (size_t i = 0; i < behind.size() && bytes < limits_.piece_bytes_max; ++i) {
    const auto& [partition, next] = behind[(first_partition_ + i) % behind.size()];
    size_t share = std::min(limits_.partition_bytes_max, limits_.piece_bytes_max - bytes);
    ASSIGN_OR_RETURN(std::vector<LogBlock> read, reader_->read(partition, next, share));
    RETURN_IF_ERROR(look_for_gap(partition, next, read));
    for (LogBlock& block : read) {
      bytes += block.bytes.size();
      blocks.push_back(std::move(block));
    }
  }
  ++first_partition_;
  return blocks;
}

// A log may leave offsets out between events; before its first one nothing is left, and nothing is to be waited for.
Status FollowingRaw::look_for_gap(const TopicPartition& partition, Offset next, const std::vector<LogBlock>& read) {
  if (!read.empty() && (next.value == 0 || read.front().first <= next)) return {};
  ASSIGN_OR_RETURN(Offset first, log_.first_offset(partition));
  if (first <= next) return {};
  StorageBatch write;
  put_offset(write, raw_offsets, partition, first);
  std::string gap;
  if (next.value > 0) {  // else it is older than this pipeline
    gap = fmt::format(
        "events of {}, partition {}, offsets {} to {}, were removed from the log before raw had them: what is computed "
        "from raw lacks them until `tributary client FILE reset CLIENT` reads the clients again",
        partition.topic, partition.partition, next, first);
    put_raw_gap(write, gap);
  }
  RETURN_IF_ERROR(storage_.write(write));
  std::lock_guard lock(mutex_);
  acknowledged_[partition] = first;
  if (!gap.empty()) gaps_.push_back(std::move(gap));
  return {};
}

Status FollowingRaw::write_blocks(const std::vector<LogBlock>& blocks) {
  std::vector<LogBlock> together;
  uint32_t events = 0;
  auto flush = [&]() -> Status {
    if (stopping_) return Error{ErrorCode::kCancelled, "raw: told to stop"};
    if (!together.empty()) RETURN_IF_ERROR(store_.write(together));
    together.clear();
    events = 0;
    return {};
  };
  auto add = [&](const LogBlock& of, std::shared_ptr<const EventBatch> batch) {
    events += static_cast<uint32_t>(batch->rows() + batch->ranges.size());
    together.push_back({of.at, of.first, of.next, of.events, {}, std::move(batch)});
  };
  for (const LogBlock& block : blocks) {
    ASSIGN_OR_RETURN(std::shared_ptr<const EventBatch> batch, log_.events_of(block));
    auto rows = static_cast<uint32_t>(batch->rows());
    if (rows <= limits_.write_events_max) {
      if (events + rows > limits_.write_events_max) RETURN_IF_ERROR(flush());
      add(block, std::move(batch));
      continue;
    }
    for (uint32_t begin = 0; begin < rows; begin += limits_.write_events_max) {
      RETURN_IF_ERROR(flush());
      EventBatch part = slice(*batch, begin, std::min(rows, begin + limits_.write_events_max));
      if (begin == 0) part.ranges = batch->ranges;
      add(block, std::make_shared<const EventBatch>(std::move(part)));
    }
  }
  return flush();
}

Status FollowingRaw::catch_up() {
  ASSIGN_OR_RETURN(auto processed, stored_offsets(storage_, processed_offsets));
  auto deadline = std::chrono::steady_clock::now() + limits_.catch_up_limit;
  auto behind = [&] {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("raw: {} events of the log are not there yet; try again", waiting_events())};
  };
  while (!has(processed)) {
    std::unique_lock lock(sending_, deadline);
    if (!lock.owns_lock()) return behind();
    if (has(processed)) return {};
    ASSIGN_OR_RETURN(bool sent, send_piece());
    if ((!sent && !has(processed)) || std::chrono::steady_clock::now() > deadline) return behind();
  }
  return {};
}

Status FollowingRaw::read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) {
  RETURN_IF_ERROR(catch_up());
  return store_.read(query, visit);
}

Result<uint64_t> FollowingRaw::count(const ClientId& client, const std::string& domain) {
  return store_.count(client, domain);
}

Result<RawPiece> FollowingRaw::scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                                    size_t bytes_max) {
  return store_.scan(client, domain, cursor, bytes_max);
}

}  // namespace tributary
