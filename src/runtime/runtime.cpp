#include "runtime/runtime.h"

#include <pthread.h>

#include <algorithm>

#include "runtime/heap_return.h"

namespace tributary {
namespace {

constexpr std::chrono::milliseconds idle_wait{200};
constexpr std::chrono::milliseconds order_wait{50};

class BackOff {
 public:
  explicit BackOff(std::chrono::milliseconds limit) : limit_(limit) {}
  std::chrono::milliseconds next() {
    auto now = delay_;
    delay_ = std::min(delay_ * 2, limit_);
    return now;
  }
  void reset() { delay_ = first; }

 private:
  static constexpr std::chrono::milliseconds first{20};
  std::chrono::milliseconds delay_ = first;
  std::chrono::milliseconds limit_;
};

}  // namespace

Runtime::Runtime(std::unique_ptr<RoundRunner> runner, std::unique_ptr<OutboxSender> sender, StoreMarks marks,
                 EventLog& log, AnalyticsStore& store, RuntimeOptions options)
    : runner_(std::move(runner)),
      sender_(std::move(sender)),
      marks_(marks),
      log_(log),
      store_(store),
      options_(std::move(options)) {}

Runtime::~Runtime() { stop(); }

void Runtime::start() {
  round_thread_ = std::thread([this] { run_rounds(); });
  sender_thread_ = std::thread([this] { run_sender(); });
  if (options_.raw != nullptr) raw_thread_ = std::thread([this] { run_raw(); });
}

void Runtime::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (options_.raw != nullptr) options_.raw->stop();
  wake_.notify_all();
  if (round_thread_.joinable()) round_thread_.join();
  if (sender_thread_.joinable()) sender_thread_.join();
  if (raw_thread_.joinable()) raw_thread_.join();
}

bool Runtime::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void Runtime::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, time, [this] { return stopping_; });
}

void Runtime::run_rounds() {
  ::pthread_setname_np(::pthread_self(), "rounds");
  BackOff back_off(options_.back_off_max);
  HeapReturn heap;
  while (!stopping()) {
    ask_for_parked({});
    if (sender_->waiting_bytes() > options_.outbox_bytes_max) {
      pause(idle_wait);
      continue;
    }
    uint64_t generation = log_.append_generation();
    auto outcome = runner_->run();
    uint64_t added = runner_->take_outbox_bytes();
    sender_->note_added(added);
    {
      std::lock_guard lock(mutex_);
      process_problem_ = outcome.ok() ? "" : outcome.error().to_string();
      if (added > 0) ++rounds_;
      if (outcome.ok()) events_processed_ += outcome->events;
    }
    if (added > 0) wake_.notify_all();
    if (!outcome.ok()) {
      pause(back_off.next());
      continue;
    }
    back_off.reset();
    if (!outcome->parked.empty()) ask_for_parked(outcome->parked);
    heap.turn(outcome->events > 0 || outcome->more);
    if (outcome->events == 0 && !outcome->more) {
      log_.wait_for_append(generation, idle_wait);
      continue;
    }
    // Small rounds are gathered: each costs a sync and, for each view, a block to insert.
    if (outcome->events < options_.round_events_large && !outcome->more) pause(options_.round_interval);
  }
}

void Runtime::ask_for_parked(const std::vector<ParkedRow>& newly) {
  if (!options_.read_again) return;
  if (!newly.empty()) options_.read_again(newly);
  auto now = std::chrono::steady_clock::now();
  if (now < next_parked_) return;
  next_parked_ = now + options_.parked_interval;
  auto parked = runner_->parked(options_.parked_at_once);
  if (parked.ok() && !parked->empty()) options_.read_again(*parked);
}

void Runtime::note_lost_rows(const std::string& table) {
  (void)sender_->note_lost_rows(table);  // else the part set aside says so at the next start
  runner_->build_again(table);
}

Status Runtime::look_for_losses() {
  if (compared_)
    return note_marks();  // a table may have lost a column since, which we would add again without its values
  ASSIGN_OR_RETURN(std::vector<std::string> lost, marks_.lost(runner_->tables().definitions));
  for (const std::string& table : lost) RETURN_IF_ERROR(sender_->note_lost_rows(table));  // its mark is forgotten next
  for (const std::string& table : sender_->lost_tables()) runner_->build_again(table);
  compared_ = true;
  return {};
}

Status Runtime::note_marks() {
  Result<std::vector<std::string>> lost = marks_.note(runner_->tables().definitions);
  if (!lost.ok() && !retryable(lost.error().code)) return {};  // it may not tell us
  if (!lost.ok()) return std::move(lost).error();
  std::vector<std::string> known = sender_->lost_tables();
  for (const std::string& table : *lost) {
    if (std::find(known.begin(), known.end(), table) != known.end()) continue;
    RETURN_IF_ERROR(sender_->note_lost_rows(table));
    runner_->build_again(table);
  }
  return {};
}

Status Runtime::note_marks_in_time(bool sent) {
  marks_due_ = marks_due_ || sent;
  auto now = std::chrono::steady_clock::now();
  if (!marks_due_ || now < next_marks_) return {};
  next_marks_ = now + options_.marks_interval;
  marks_due_ = false;
  return note_marks();
}

Status Runtime::prepare_tables() {
  if (runner_->tables_generation() == prepared_generation_) return drop_unused();
  RETURN_IF_ERROR(look_for_losses());
  RoundRunner::Tables tables = runner_->tables();
  // What is lost is not made anew: it would look whole to readers.
  for (const std::string& lost : sender_->lost_tables())
    std::erase_if(tables.definitions, [&](const TableDefinition& table) { return table.name == lost; });
  RETURN_IF_ERROR(marks_.forget());
  Status prepared = store_.prepare(tables.definitions, options_.clients);
  if (!prepared.ok() && retryable(prepared.error().code)) return prepared;
  // A table that does not fit is set aside when its rows are refused; the others go on.
  {
    std::lock_guard lock(mutex_);
    prepare_problem_ = prepared.ok() ? "" : prepared.error().to_string();
    prepared_generation_ = tables.generation;
  }
  wake_.notify_all();
  sender_->offer_again();
  marks_due_ = true;
  next_marks_ = {};  // at once
  to_drop_ = std::move(tables.unused);
  return drop_unused();
}

// Tables of builds that readers were brought over from.
Status Runtime::drop_unused() {
  if (to_drop_.empty()) return {};
  for (; !to_drop_.empty(); to_drop_.pop_back()) {
    RETURN_IF_ERROR(store_.drop(to_drop_.back()));
    RETURN_IF_ERROR(sender_->forget_table(to_drop_.back()));
  }
  runner_->look_at_builds();
  return {};
}

void Runtime::run_sender() {
  ::pthread_setname_np(::pthread_self(), "outbox");
  BackOff back_off(options_.back_off_max);
  uint64_t rounds_seen = 0;
  while (true) {
    uint64_t rounds_now = 0;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) break;
      rounds_now = rounds_;
    }
    Checkpoint checkpoint = runner_->checkpoint();
    Status prepared = prepare_tables();
    // Rounds go on while tables are made: their rows may be wider than those tables.
    auto still_prepared = [this] { return runner_->tables_generation() == prepared_generation_; };
    Result<bool> sent = prepared.ok() ? sender_->send(still_prepared) : Result<bool>(prepared.error());
    if (sender_->took_switches()) runner_->look_at_builds();
    if (sent.ok()) (void)note_marks_in_time(*sent);  // else the next time
    {
      std::lock_guard lock(mutex_);
      store_problem_ = sent.ok() ? prepare_problem_ : sent.error().to_string();
      if (sent.ok() && !*sent) stored_ = checkpoint;  // nothing waits that was there then
    }
    if (!sent.ok()) {
      pause(back_off.next());
      continue;
    }
    back_off.reset();
    rounds_seen = rounds_now;
    if (*sent) {
      pause(options_.send_interval);
      continue;
    }
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, idle_wait, [&] { return stopping_ || rounds_ != rounds_seen; });
  }
  // What came since the last note.
  if (marks_due_) (void)note_marks();
}

void Runtime::run_raw() {
  ::pthread_setname_np(::pthread_self(), "raw");
  BackOff back_off(options_.back_off_max);
  while (!stopping()) {
    uint64_t generation = log_.append_generation();
    Result<bool> sent = options_.raw->send();
    {
      std::lock_guard lock(mutex_);
      raw_problem_ = sent.ok() ? "" : sent.error().to_string();
    }
    if (!sent.ok()) {
      pause(back_off.next());
      continue;
    }
    back_off.reset();
    if (!*sent) log_.wait_for_append(generation, idle_wait);
  }
}

Result<uint32_t> Runtime::order(RoundRunner::ReleaseOrder order, std::chrono::milliseconds limit) {
  std::future<Result<uint32_t>> done = runner_->order(std::move(order));
  auto end = std::chrono::steady_clock::now() + limit;
  while (done.wait_for(order_wait) != std::future_status::ready && std::chrono::steady_clock::now() < end) {
    if (stopping()) {
      return Error{ErrorCode::kUnavailable,
                   "the pipeline stops and has not said whether it is done; `release FILE list` shows it"};
    }
  }
  if (done.wait_for(std::chrono::seconds(0)) == std::future_status::ready) return done.get();
  std::lock_guard lock(mutex_);
  return Error{ErrorCode::kTimeout, fmt::format("no round was made within {} s; it is carried out by the next one{}",
                                                std::chrono::duration_cast<std::chrono::seconds>(limit).count(),
                                                process_problem_.empty() ? "" : ": " + process_problem_)};
}

std::vector<RoundRunner::ReleaseStatus> Runtime::releases() const {
  std::vector<RoundRunner::ReleaseStatus> all = runner_->releases();
  uint64_t defined = runner_->tables().generation;
  Checkpoint sent_before = sender_->sent_before();
  std::lock_guard lock(mutex_);
  for (auto& release : all) {
    release.stored = release.whole() && prepared_generation_ == defined &&
                     (release.whole_at <= stored_ || release.whole_at < sent_before);
  }
  return all;
}

RuntimeStatus Runtime::status() const {
  RuntimeStatus status;
  status.checkpoint = runner_->checkpoint();
  status.outbox_bytes = sender_->waiting_bytes();
  status.queryable = sender_->progress();
  status.dead_letters = runner_->dead_letters();
  status.tables_set_aside = sender_->set_aside();
  RoundRunner::Tables tables = runner_->tables();
  status.set_aside = std::move(tables.set_aside);
  status.lacking = std::move(tables.lacking);
  status.rebuilds = runner_->rebuilds();
  status.order_problem = runner_->order_problem();
  status.feed_problem = runner_->feed_problem();
  if (options_.raw != nullptr) status.raw_waiting_events = options_.raw->waiting_events();
  std::lock_guard lock(mutex_);
  status.events_processed = events_processed_;
  status.process_problem = process_problem_;
  status.store_problem = store_problem_;
  status.raw_problem = raw_problem_;
  return status;
}

Status Runtime::wait_prepared(std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  if (wake_.wait_for(lock, limit, [this] { return prepared_generation_ > 0 || stopping_; }) && !stopping_) return {};
  return Error{ErrorCode::kUnavailable, store_problem_.empty() ? "the analytics tables are still being made; ask again"
                                                               : "the analytics store: " + store_problem_};
}

bool Runtime::shows_live() const {
  if (!runner_->rebuilds().empty()) return false;
  uint64_t planned = runner_->tables_generation();
  std::lock_guard lock(mutex_);
  return prepared_generation_ == planned;
}

// Whether the store has what this round and those before it gave.
bool Runtime::in_store(Checkpoint checkpoint) const {
  Checkpoint sent_before = sender_->sent_before();
  std::lock_guard lock(mutex_);
  return checkpoint <= stored_ || checkpoint < sent_before;
}

bool Runtime::queryable(const std::map<TopicPartition, Offset>& ends, const ClientId& client,
                        std::optional<Checkpoint>& read_at) const {
  if (queryable(ends)) return true;
  if (!shows_live()) return false;
  if (!read_at) {
    RoundRunner::Read read = runner_->read();
    bool all = std::all_of(ends.begin(), ends.end(), [&](const auto& end) {
      auto at = read.offsets.find(end.first);
      return end.second.value == 0 || (at != read.offsets.end() && at->second >= end.second);
    });
    if (all && read.untold && !read.untold->contains(client)) read_at = read.checkpoint;
  }
  return read_at && in_store(*read_at);
}

RoundRunner::Read Runtime::read_and_stored() const {
  RoundRunner::Read now = runner_->read();
  Checkpoint sent_before = sender_->sent_before();
  std::lock_guard lock(mutex_);
  if (!next_read_) next_read_ = std::move(now);
  if (next_read_->checkpoint <= stored_ || next_read_->checkpoint < sent_before)
    stored_read_ = *std::exchange(next_read_, std::nullopt);
  return stored_read_;
}

bool Runtime::queryable(const std::map<TopicPartition, Offset>& ends) const {
  if (!shows_live() || !sender_->lost_tables().empty()) return false;
  auto acknowledged = sender_->acknowledged();
  return std::all_of(ends.begin(), ends.end(), [&](const auto& end) {
    auto at = acknowledged.find(end.first);
    return end.second.value == 0 || (at != acknowledged.end() && at->second >= end.second);
  });
}

}  // namespace tributary
