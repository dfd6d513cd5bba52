// Runtime: drives rounds, the outbox and a raw store that follows the log natively, each on its own thread.
//
//   ASSIGN_OR_RETURN(auto runtime, Runtime::open(std::move(runner), storage, log, store, {...}));
//   runtime->start();  …  runtime->stop();
//
// Back-pressure: while more than outbox_bytes_max wait for the store, no round is made; events wait in the log. A failing
// round or store is tried again with back-off, for ever, and status() says why.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/following_raw.h"
#include "runtime/outbox_sender.h"
#include "runtime/round_runner.h"
#include "runtime/store_marks.h"

namespace tributary {

struct RuntimeOptions {
  uint64_t outbox_bytes_max = 256 << 20;
  std::chrono::milliseconds round_interval{20};  // from one small round's end to the next one's begin
  uint64_t round_events_large = 10'000;  // a round of so many is followed at once
  std::chrono::milliseconds send_interval{40};  // rows of one table are gathered for so long
  std::chrono::milliseconds back_off_max{5000};
  std::chrono::milliseconds marks_interval{1000};  // between two questions how far the store's tables are
  std::chrono::milliseconds parked_interval{5000};  // rows still waiting for a value are asked for again
  size_t parked_at_once = 1000;
  std::vector<ClientId> clients;
  std::function<void(const std::vector<ParkedRow>&)> read_again;
  FollowingRaw* raw = nullptr;  // outlives the runtime; none where raw is within the checkpoint
};

struct RuntimeStatus {
  Checkpoint checkpoint;
  uint64_t events_processed = 0;  // since start
  uint64_t outbox_bytes = 0;
  std::string process_problem;  // why rounds fail now; empty: they do not
  std::string store_problem;  // likewise for the analytics store
  std::string raw_problem;  // likewise for a raw store that follows the log
  uint64_t raw_waiting_events = 0;  // in the log and not there
  std::string feed_problem;  // why what is computed from raw waits
  std::string order_problem;  // why the newest order for dead letters failed
  std::vector<PlanProblem> set_aside;
  std::vector<PlanProblem> lacking;
  std::map<std::string, std::string> tables_set_aside;
  std::map<ClientId, ClientProgress> queryable;
  std::map<std::pair<ClientId, std::string>, DeadLetterCount> dead_letters;  // by view
  std::vector<RoundRunner::Rebuild> rebuilds;  // views that are computed again, not yet shown
};

class Runtime {
 public:
  Runtime(std::unique_ptr<RoundRunner> runner, std::unique_ptr<OutboxSender> sender, StoreMarks marks, EventLog& log,
          AnalyticsStore& store, RuntimeOptions options);
  ~Runtime();

  void start();
  // Ends the round in flight and the batch being sent, and returns.
  void stop();

  RuntimeStatus status() const;
  // Returns once the analytics store has the plan's tables, as far as it takes them. kUnavailable: not within `limit`.
  Status wait_prepared(std::chrono::milliseconds limit) const;
  // Whether readers see the live release's builds, each of them.
  bool shows_live() const;
  // Whether everything in the log before `ends` is queryable.
  bool queryable(const std::map<TopicPartition, Offset>& ends) const;
  // Whether what is there of the client before `ends` is, whatever of others is still to come. `read_at`: what this was told
  // when it was asked before, none at first.
  bool queryable(const std::map<TopicPartition, Offset>& ends, const ClientId& client,
                 std::optional<Checkpoint>& read_at) const;
  // What rounds had read by some checkpoint whose rows the store has: about when somebody last asked.
  RoundRunner::Read read_and_stored() const;
  std::map<TopicPartition, Offset> processed() const { return runner_->offsets(); }
  std::map<TopicPartition, Offset> acknowledged() const { return sender_->acknowledged(); }
  // Row keys of a view's rows that could not be processed.
  Result<std::vector<std::string>> dead_letter_keys(const ClientId& client, const std::string& view) const {
    return runner_->dead_letter_keys(client, view);
  }
  // Of a table of the store: its view is computed again from raw.
  void note_lost_rows(const std::string& table);
  void order(RoundRunner::DeadLetterOrder order) { runner_->order(std::move(order)); }
  // Carried out between two rounds: the release's number, or why not. kTimeout: not within `limit`; it may be later.
  Result<uint32_t> order(RoundRunner::ReleaseOrder order, std::chrono::milliseconds limit);
  std::vector<RoundRunner::ReleaseStatus> releases() const;

 private:
  void run_rounds();
  void run_sender();
  void run_raw();
  // What the store lost is built again. Nothing is sent or altered before that is known.
  Status look_for_losses();
  Status note_marks();
  Status note_marks_in_time(bool sent);
  Status prepare_tables();
  Status drop_unused();
  void ask_for_parked(const std::vector<ParkedRow>& newly);
  // Sleeps, or returns early when told to stop.
  void pause(std::chrono::milliseconds time);
  bool stopping() const;
  bool in_store(Checkpoint checkpoint) const;

  std::unique_ptr<RoundRunner> runner_;
  std::unique_ptr<OutboxSender> sender_;
  StoreMarks marks_;  // the sending thread's
  EventLog& log_;
  AnalyticsStore& store_;
  RuntimeOptions options_;

  mutable std::mutex mutex_;
  mutable std::condition_variable wake_;
  bool stopping_ = false;
  uint64_t rounds_ = 0;  // committed; the sender waits for news
  uint64_t events_processed_ = 0;
  std::string process_problem_;
  std::string store_problem_;
  std::string raw_problem_;
  std::string prepare_problem_;
  uint64_t prepared_generation_ = 0;
  bool compared_ = false;  // the store with its marks
  bool marks_due_ = false;  // something was acknowledged since they were noted
  std::chrono::steady_clock::time_point next_marks_;
  std::vector<std::string> to_drop_;  // tables
  Checkpoint stored_;  // what it and those before it gave is in the store
  mutable RoundRunner::Read stored_read_;
  mutable std::optional<RoundRunner::Read> next_read_;  // takes its place once the store has that
  std::chrono::steady_clock::time_point next_parked_;

  std::thread round_thread_;
  std::thread sender_thread_;
  std::thread raw_thread_;
};

}  // namespace tributary
