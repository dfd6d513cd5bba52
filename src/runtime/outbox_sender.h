// OutboxSender: brings the outbox to the analytics store, in order, again until it is acknowledged, and removes what was.
// Rows of one table are sent together, across rounds and clients. Writing twice changes nothing there, so a crash at any
// moment is followed by simply sending again.
//
// A table that refuses its rows for good (its columns do not fit, say) is set aside by name: its entries stay in the
// outbox, all others flow, and what stays is no back-pressure. When what stays of all such tables is more than
// `aside_bytes_max`, further rows of theirs are dropped, and the table is called incomplete from then on, also after a
// restart: what was dropped is in the raw store, and comes back only when the table is built again from there.
//
// One thread drives send(); status methods are thread-safe.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "contracts/analytics.h"
#include "contracts/event_log.h"
#include "runtime/outbox.h"
#include "runtime/stored_facts.h"
#include "storage/storage.h"

namespace tributary {

struct SenderLimits {
  size_t batch_bytes_max = 16 << 20;  // of outbox entries read at a time
  size_t inserts_at_once = 4;  // tables
  uint64_t aside_bytes_max = 256 << 20;  // of outbox entries kept for tables set aside
};

struct ClientProgress {
  uint64_t events = 0;  // queryable since the program started
  int64_t commit_micros = 0;  // newest queryable commit
  Position position;
};

class OutboxSender {
 public:
  OutboxSender(Storage& storage, AnalyticsStore& store, SenderLimits limits)
      : storage_(storage), store_(store), limits_(limits) {}

  // Reads where earlier runs ended.
  Status open();

  // Sends the next batch. False: there was nothing. Errors: try again later, with back-off. `prepared` is asked once the
  // entries are read: false where tables were to be changed since, so that entries may be there whose columns and types their
  // tables do not have yet; then none of them is sent.
  Result<bool> send(const std::function<bool()>& prepared);

  // Bytes that wait for a store that takes them: what back-pressure looks at. note_added() after each round's commit. Thread-safe.
  // What a round added may be sent before it is noted here.
  uint64_t waiting_bytes() const { return static_cast<uint64_t>(std::max(waiting_bytes_.load(), int64_t{0})); }
  void note_added(uint64_t bytes) { waiting_bytes_ += static_cast<int64_t>(bytes); }
  std::map<ClientId, ClientProgress> progress() const;
  std::map<TopicPartition, Offset> acknowledged() const;  // consumed and queryable
  // What every checkpoint before it gave is sent, or belongs to a table set aside.
  Checkpoint sent_before() const { return Checkpoint{sent_before_.load()}; }
  std::map<std::string, std::string> set_aside() const;  // table → reason, the incomplete ones among them
  // Whether readers are to be brought over to new builds since the last call: noted in the storage (stored_facts.h).
  bool took_switches() { return std::exchange(switched_, false); }
  // The table is dropped, since readers have another build: what still waits for it goes, and that it was incomplete.
  Status forget_table(const std::string& table);
  // The store has lost rows of a table; also after a restart, until forget_table(). An error: this run alone knows it.
  // Thread-safe.
  Status note_lost_rows(const std::string& table);
  std::vector<std::string> lost_tables() const;
  // Offers the tables set aside again, after they may have been mended.
  void offer_again();

 private:
  struct Loaded {
    std::string key;
    OutboxEntry entry;
    size_t bytes;
  };

  Result<std::vector<Loaded>> load();
  Status withdraw(const OutboxEntry& entry);
  // They are through: they go from the outbox, but for what is kept of tables set aside.
  Status acknowledge(std::span<const Loaded> entries);
  Status insert_rows(const std::vector<Loaded>& entries, size_t begin, size_t end);
  // Whether an entry of a table set aside is kept, and counted in `kept`; else the table is marked.
  bool keep_aside(const Loaded& loaded, uint64_t& kept, StorageBatch& write);
  void note_progress(const OutboxProgress& progress);
  bool aside(const OutboxEntry& entry) const;

  Storage& storage_;
  AnalyticsStore& store_;
  SenderLimits limits_;
  std::atomic<int64_t> waiting_bytes_ = 0;
  std::atomic<uint64_t> sent_before_ = 0;
  uint64_t aside_bytes_ = 0;  // kept for tables set aside; the sending thread's
  bool switched_ = false;
  std::set<std::string> dropped_;  // tables
  std::string resume_key_;  // what is before it is sent or belongs to a table set aside

  mutable std::mutex mutex_;
  std::map<ClientId, ClientProgress> progress_;
  std::map<TopicPartition, Offset> acknowledged_;
  std::map<std::string, std::string> set_aside_;
  std::map<std::string, Incomplete> incomplete_;  // tables
};

}  // namespace tributary
