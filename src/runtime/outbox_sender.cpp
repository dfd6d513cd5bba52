#include "runtime/outbox_sender.h"

#include <algorithm>
#include <thread>
#include <tuple>

#include "runtime/builds.h"
#include "runtime/stored_facts.h"

namespace tributary {
namespace {

const std::string* table_of(const OutboxEntry& entry) {
  if (const auto* rows = std::get_if<OutboxRows>(&entry)) return &rows->table;
  if (const auto* withdrawal = std::get_if<OutboxWithdrawal>(&entry)) return &withdrawal->withdrawal.view;
  return nullptr;
}

// For each entry the place of the withdrawal that does all that it does; its own where there is none, or it is no withdrawal.
// What is older than a later one's bound is gone with that, also what came in between.
std::vector<size_t> covering_withdrawals(const std::vector<const OutboxWithdrawal*>& withdrawals) {
  std::vector<size_t> covering(withdrawals.size());
  std::map<std::tuple<std::string, ClientId, std::string, std::string>, size_t> later;
  for (size_t i = withdrawals.size(); i-- > 0;) {
    covering[i] = i;
    if (withdrawals[i] == nullptr) continue;
    const Withdrawal& of = withdrawals[i]->withdrawal;
    auto [at, last] = later.try_emplace({of.view, of.client, of.low, of.high}, i);
    if (last) continue;
    if (of.below <= withdrawals[at->second]->withdrawal.below) {
      covering[i] = at->second;
    } else {
      at->second = i;
    }
  }
  return covering;
}

}  // namespace

Status OutboxSender::open() {
  ASSIGN_OR_RETURN(acknowledged_, stored_offsets(storage_, queryable_offsets));
  ASSIGN_OR_RETURN(incomplete_, stored_incomplete(storage_));
  StorageIterator waiting = storage_.iterate(Family::kOutbox, {});
  for (; waiting.valid(); waiting.next()) note_added(waiting.value().size());
  return waiting.status();
}

bool OutboxSender::aside(const OutboxEntry& entry) const {
  const std::string* table = table_of(entry);
  return table != nullptr && set_aside_.contains(*table);
}

Result<std::vector<OutboxSender::Loaded>> OutboxSender::load() {
  std::vector<Loaded> entries;
  size_t bytes = 0;
  StorageIterator it = storage_.iterate(Family::kOutbox, {}, resume_key_);
  for (; it.valid() && bytes < limits_.batch_bytes_max; it.next()) {
    ASSIGN_OR_RETURN(OutboxEntry entry, decode_outbox_entry(it.value()));
    bytes += it.value().size();
    entries.push_back({std::string(it.key()), std::move(entry), it.value().size()});
  }
  RETURN_IF_ERROR(it.status());
  return entries;
}

Result<bool> OutboxSender::send(const std::function<bool()>& prepared) {
  ASSIGN_OR_RETURN(std::vector<Loaded> entries, load());
  if (entries.empty()) return false;
  if (!prepared()) return true;
  std::vector<const OutboxWithdrawal*> withdrawals;
  for (const Loaded& loaded : entries) withdrawals.push_back(std::get_if<OutboxWithdrawal>(&loaded.entry));
  std::vector<size_t> covering = covering_withdrawals(withdrawals);
  // Withdrawals act on the rows before them: rows between two withdrawals go together.
  size_t rows_begin = 0;
  size_t begin = 0;  // of what is not acknowledged
  size_t owed = 0;  // before it are withdrawals that were left to it or to one before it
  for (size_t i = 0; i < entries.size(); ++i) {
    owed = std::max(owed, covering[i]);
    if (withdrawals[i] == nullptr || covering[i] != i) continue;
    RETURN_IF_ERROR(insert_rows(entries, rows_begin, i));
    rows_begin = i + 1;
    RETURN_IF_ERROR(withdraw(entries[i].entry));
    if (owed > i) continue;
    RETURN_IF_ERROR(acknowledge(std::span(entries).subspan(begin, i + 1 - begin)));  // no kill begins it anew
    begin = i + 1;
  }
  RETURN_IF_ERROR(insert_rows(entries, rows_begin, entries.size()));
  if (begin < entries.size()) RETURN_IF_ERROR(acknowledge(std::span(entries).subspan(begin)));
  return true;
}

Status OutboxSender::withdraw(const OutboxEntry& entry) {
  const Withdrawal& withdrawal = std::get<OutboxWithdrawal>(entry).withdrawal;
  if (aside(entry) || dropped_.contains(withdrawal.view)) return {};
  Status done = store_.withdraw(withdrawal);
  if (done.ok() || retryable(done.error().code)) return done;
  std::lock_guard lock(mutex_);
  set_aside_[withdrawal.view] = done.error().to_string();
  return {};
}

Status OutboxSender::acknowledge(std::span<const Loaded> entries) {
  StorageBatch write;
  bool switched = false;
  uint64_t done_with = 0;
  uint64_t kept = 0;
  for (const Loaded& loaded : entries) {
    done_with += loaded.bytes;
    if (aside(loaded.entry) && keep_aside(loaded, kept, write)) continue;
    write.remove(Family::kOutbox, loaded.key);
    if (const auto* change = std::get_if<OutboxSwitch>(&loaded.entry)) {
      put_switched(write, change->view + generation_suffix(change->generation));
      switched = true;
    }
    const auto* progress = std::get_if<OutboxProgress>(&loaded.entry);
    if (progress == nullptr) continue;
    for (const auto& consumed : progress->consumed)
      put_offset(write, queryable_offsets, {consumed.topic, consumed.partition}, consumed.next);
  }
  RETURN_IF_ERROR(storage_.write(write, {.sync = false}));  // lost with the machine: sent again
  waiting_bytes_ -= static_cast<int64_t>(done_with);
  aside_bytes_ += kept;
  switched_ = switched_ || switched;
  resume_key_ = entries.back().key + '\0';
  ASSIGN_OR_RETURN(Checkpoint newest, outbox_checkpoint(entries.back().key));
  sent_before_ = newest.value;
  for (const Loaded& loaded : entries) {
    if (const auto* progress = std::get_if<OutboxProgress>(&loaded.entry)) note_progress(*progress);
  }
  return {};
}

bool OutboxSender::keep_aside(const Loaded& loaded, uint64_t& kept, StorageBatch& write) {
  if (aside_bytes_ + kept + loaded.bytes <= limits_.aside_bytes_max) {
    kept += loaded.bytes;
    return true;
  }
  const std::string& table = *table_of(loaded.entry);
  std::lock_guard lock(mutex_);
  // Each time: the write that says it first may have failed.
  put_incomplete(write, table, incomplete_.try_emplace(table, Incomplete::kDropped).first->second);
  return false;
}

Status OutboxSender::insert_rows(const std::vector<Loaded>& entries, size_t begin, size_t end) {
  std::map<std::string, std::vector<std::string_view>> by_table;
  for (size_t i = begin; i < end; ++i) {
    const auto* rows = std::get_if<OutboxRows>(&entries[i].entry);
    if (rows != nullptr && !aside(entries[i].entry) && !dropped_.contains(rows->table))
      by_table[rows->table].push_back(rows->encoded);
  }
  // An insert mostly waits for the store's disk: several tables at once.
  std::vector<std::pair<std::string, Status>> done;
  for (const auto& [table, encoded] : by_table) done.emplace_back(table, Status());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t at = next++; at < done.size(); at = next++) {
      done[at].second = store_.insert(done[at].first, by_table.at(done[at].first));
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(limits_.inserts_at_once, done.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  Status failed;
  for (auto& [table, inserted] : done) {
    if (inserted.ok()) continue;
    if (retryable(inserted.error().code)) {
      failed = std::move(inserted);
      continue;
    }
    std::lock_guard lock(mutex_);
    set_aside_[table] = inserted.error().to_string();
  }
  return failed;
}

Status OutboxSender::forget_table(const std::string& table) {
  dropped_.insert(table);
  {
    std::lock_guard lock(mutex_);
    set_aside_.erase(table);
    incomplete_.erase(table);
  }
  // What waits for it goes with the note that it is to be dropped: left behind, a next run would find rows without a table.
  StorageBatch write;
  uint64_t waited = 0;
  uint64_t kept = 0;
  StorageIterator it = storage_.iterate(Family::kOutbox, {});
  for (; it.valid(); it.next()) {
    ASSIGN_OR_RETURN(OutboxEntry entry, decode_outbox_entry(it.value()));
    const std::string* of = table_of(entry);
    if (of == nullptr || *of != table) continue;
    write.remove(Family::kOutbox, it.key());
    (it.key() < resume_key_ ? kept : waited) += it.value().size();
  }
  RETURN_IF_ERROR(it.status());
  remove_unused(write, table);
  remove_incomplete(write, table);
  remove_mark(write, table);
  RETURN_IF_ERROR(storage_.write(write));
  waiting_bytes_ -= static_cast<int64_t>(waited);
  aside_bytes_ -= kept;
  return {};
}

void OutboxSender::note_progress(const OutboxProgress& progress) {
  std::lock_guard lock(mutex_);
  for (const auto& client : progress.clients) {
    ClientProgress& known = progress_[client.client];
    known.events += client.events;
    known.commit_micros = std::max(known.commit_micros, client.commit_micros);
    known.position = std::max(known.position, client.position);
  }
  for (const auto& consumed : progress.consumed) acknowledged_[{consumed.topic, consumed.partition}] = consumed.next;
}

std::map<ClientId, ClientProgress> OutboxSender::progress() const {
  std::lock_guard lock(mutex_);
  return progress_;
}

std::map<TopicPartition, Offset> OutboxSender::acknowledged() const {
  std::lock_guard lock(mutex_);
  return acknowledged_;
}

std::map<std::string, std::string> OutboxSender::set_aside() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::string> all = set_aside_;
  for (const auto& [table, why] : incomplete_) {
    std::string& reason = all[table];
    reason += reason.empty() ? "" : "; ";
    reason += why == Incomplete::kLost
                  ? "the store has lost rows of it: its view is computed again from raw"
                  : "rows of it were dropped while the store refused them: it is incomplete until `tributary replay` "
                    "has built it again";
  }
  return all;
}

Status OutboxSender::note_lost_rows(const std::string& table) {
  StorageBatch write;
  put_incomplete(write, table, Incomplete::kLost);
  Status written = storage_.write(write);
  std::lock_guard lock(mutex_);
  incomplete_.insert_or_assign(table, Incomplete::kLost);
  return written;
}

std::vector<std::string> OutboxSender::lost_tables() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> lost;
  for (const auto& [table, why] : incomplete_) {
    if (why == Incomplete::kLost) lost.push_back(table);
  }
  return lost;
}

void OutboxSender::offer_again() {
  std::lock_guard lock(mutex_);
  set_aside_.clear();
  resume_key_.clear();
  note_added(std::exchange(aside_bytes_, 0));
}

}  // namespace tributary
