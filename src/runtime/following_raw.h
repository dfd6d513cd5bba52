// FollowingRaw: a raw store that is not within the checkpoint's write (MongoDB), filled from the log by a way of its own.
//
//   FollowingRaw raw(storage, log, store, {});
//   RETURN_IF_ERROR(raw.open());
//   while (*raw.send()) {}                  // the next piece of the log, until there is none
//
// Events are durable in the log before they go to the store, and writing them twice changes nothing there: so they need not
// wait for the checkpoint that processes them, and an offset is noted when the store has acknowledged what is before it. What
// was not noted before a crash is sent again. The log keeps what the store has not (has() and acknowledged() tell): while the
// store is away events gather there, and processing goes on. Brokers remove events by their own rules: what they removed before
// the store had it is told for good.
//
// Whoever reads sees at least everything that was processed before: a read first brings the store so far itself, for at most
// `catch_up_limit`.
//
// Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "contracts/raw_store.h"
#include "storage/storage.h"

namespace tributary {

struct FollowLimits {
  size_t partition_bytes_max = 1 << 20;  // read of one partition at a time
  size_t piece_bytes_max = 4 << 20;  // of one send()
  uint32_t write_events_max = 5000;  // of one write to the store, between which it may be stopped
  std::chrono::milliseconds catch_up_limit{20'000};
};

class FollowingRaw final : public RawStore {
 public:
  // All outlive it.
  FollowingRaw(Storage& storage, EventLog& log, RawStore& store, FollowLimits limits)
      : storage_(storage), log_(log), store_(store), limits_(limits), reader_(log.open_reader()) {}

  // Reads where earlier runs ended.
  Status open();

  // Sends the next piece of the log, ahead of processing where that is slower. False: there was nothing. Errors: try again
  // later, with back-off.
  Result<bool> send();
  // Ends a send() early, with kCancelled, and all to come.
  void stop() { stopping_ = true; }

  // Whether the store has everything before `ends`.
  bool has(const std::map<TopicPartition, Offset>& ends) const;
  std::map<TopicPartition, Offset> acknowledged() const;
  // Events in the log that the store has not, about: a log may leave offsets out.
  uint64_t waiting_events() const;
  // Where a log that is not ours removed events before the store had them: one sentence each, kept for good.
  std::vector<std::string> gaps() const;

  Status write(std::span<const LogBlock> blocks) override { return store_.write(blocks); }
  Status read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) override;
  Result<uint64_t> count(const ClientId& client, const std::string& domain) override;
  Result<RawPiece> scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                        size_t bytes_max) override;

 private:
  Result<bool> send_piece();
  Result<std::vector<LogBlock>> next_blocks();
  Status write_blocks(const std::vector<LogBlock>& blocks);
  Status look_for_gap(const TopicPartition& partition, Offset next, const std::vector<LogBlock>& read);
  Status catch_up();

  Storage& storage_;
  EventLog& log_;
  RawStore& store_;
  FollowLimits limits_;
  std::atomic<bool> stopping_ = false;

  std::timed_mutex sending_;  // guards what follows
  std::unique_ptr<LogReader> reader_;
  size_t first_partition_ = 0;  // where the next piece begins, so that none starves

  mutable std::mutex mutex_;
  std::map<TopicPartition, Offset> acknowledged_;
  std::map<TopicPartition, uint64_t> lives_;  // of the log's partitions (EventLog::life)
  std::vector<std::string> gaps_;
};

}  // namespace tributary
