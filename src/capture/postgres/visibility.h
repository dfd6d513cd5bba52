// At which position does a row count that was read beside the stream?
//
// The order of commit records in the log is not the order of visibility: a transaction that waits for a synchronous
// standby is in the log, may be delivered by the stream, and is invisible to a snapshot. So a read counts "just before" the
// earliest delivered commit that its snapshot does not see, and else "just after" everything that was delivered before
// the snapshot was taken.
//
//   visibility.delivered(700, 0x100, 0x130);  // transaction 700, its commit record [0x100, 0x130)
//   visibility.read_lsn(0x130, snapshot)      // 700 visible: 0x130; invisible: 0x100
//
// Transactions that ran before the list began are not in it: a barrier (a transaction id that was new when the list
// began) must be older than every running transaction before the first read.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

namespace tributary {

// What pg_current_snapshot() prints: "xmin:xmax:xip,xip".
struct PgSnapshot {
  uint64_t xmin = 0;  // everything older has ended
  uint64_t xmax = 0;  // nothing from here on is visible
  std::vector<uint64_t> running;  // ascending

  static std::optional<PgSnapshot> parse(std::string_view text);
  // Whether the effects of a transaction are seen, given that it committed. `transaction` is the low 32 bits of its id.
  bool sees(uint32_t transaction) const;
};

class Visibility {
 public:
  // More deliveries than this between two reads are forgotten: a new barrier is needed, also in the middle of a table, and what is
  // being read meanwhile counts at no known position.
  static constexpr size_t remembered_max = 100'000;

  void delivered(uint32_t transaction, uint64_t commit_lsn);
  // The LSN just before which nothing is missing from the snapshot: a read counts at {epoch, that, 0, 0}.
  // `delivered_lsn`: the end of everything that was delivered before the snapshot was taken.
  uint64_t read_lsn(uint64_t delivered_lsn, const PgSnapshot& snapshot);

  bool needs_barrier() const { return needs_barrier_; }
  // Transactions that run now matter to the next table that is read. What is remembered for one being read stays.
  void want_barrier() { needs_barrier_ = true; }
  // From now on deliveries are remembered; the caller then takes the barrier's transaction id and waits for it.
  void begin_barrier();
  bool remembers() const { return remembers_; }
  uint64_t times_forgotten() const { return times_forgotten_; }

 private:
  struct Delivery {
    uint32_t transaction;
    uint64_t commit_lsn;
  };
  std::deque<Delivery> recent_;
  bool needs_barrier_ = true;
  bool remembers_ = false;
  uint64_t times_forgotten_ = 0;
};

}  // namespace tributary
