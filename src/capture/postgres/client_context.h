// What the coroutines of one client share. Lives on the event loop; only `board` is touched by other threads.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "capture/append_queue.h"
#include "capture/pace.h"
#include "capture/postgres/change_assembler.h"
#include "capture/postgres/connection.h"
#include "capture/postgres/postgres_source.h"
#include "capture/postgres/source_state.h"
#include "capture/postgres/table_catalog.h"
#include "capture/postgres/visibility.h"
#include "codec/postgres/server_text.h"

namespace tributary {

// Why a client's session, or a part of it, ended.
struct Trouble {
  enum class Kind {
    kNone,
    kRetry,   // connect again, later
    kStop,    // a person is needed
    kSwitch,  // go on in the other way of reading
    kLocked,  // somebody holds a lock on a table: ask again
  };
  Kind kind = Kind::kNone;
  std::string reason;
  std::string remedy;
};
// What the lease on a client is, in its database: the same for all nodes of the pipeline.
std::string try_lease_sql(const std::string& name);
// What to do where changes are not to be had any more.
std::string reset_remedy(const std::string& client_name);
// What an error of the server means for the client.
Trouble trouble_of(const Error& error, const std::string& sqlstate, const std::string& client_name);

// Something between us and the server does not know replication; `message` is what it said.
Trouble pooler_trouble(const std::string& message);

// Wakes every coroutine that waits.
class Signal {
 public:
  explicit Signal(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  void notify();
  asio::awaitable<void> wait(std::chrono::milliseconds limit);

 private:
  asio::any_io_executor executor_;
  std::set<asio::steady_timer*> waiting_;
};

// The control connection serves one coroutine at a time.
class AsyncLock {
 public:
  class Held {
   public:
    explicit Held(AsyncLock& lock) : lock_(&lock) {}
    Held(Held&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    Held& operator=(Held&&) = delete;
    ~Held() {
      if (lock_ == nullptr) return;
      lock_->locked_ = false;
      lock_->freed_.notify();
    }

   private:
    AsyncLock* lock_;
  };
  explicit AsyncLock(asio::any_io_executor executor) : freed_(std::move(executor)) {}
  asio::awaitable<Held> hold();

 private:
  bool locked_ = false;
  Signal freed_;
};

// What other threads see and ask.
struct StatusBoard {
  std::mutex mutex;
  SourceStatus status;
  bool stopped = false;  // nothing is read here: it needs a person, or another node reads
  uint64_t mark_requested = 0;  // counts mark_heads()
  uint64_t mark_reached = 0;    // the newest mark up to which all is durable
  std::map<std::string, std::set<std::string>> wanted_rows;  // table → row keys to read again
};

struct ClientContext : std::enable_shared_from_this<ClientContext> {
  ClientContext(const asio::any_io_executor& loop, CaptureClient client, PostgresCaptureOptions capture_options,
                EventLog& event_log, AppendQueue& append_queue);

  // Row keys to read again that are kept at most; more are asked for again later.
  static constexpr size_t wanted_rows_max = 10'000;

  asio::any_io_executor executor;
  CaptureClient config;
  PostgresCaptureOptions options;
  EventLog& log;
  AppendQueue& queue;
  std::optional<ConnectionSettings> settings;
  std::map<std::string, std::string> domains;  // "public.orders" → "orders"

  // Of the session.
  std::unique_ptr<PgConnection> control;
  AsyncLock control_lock;
  ServerText server_text;
  bool takes_over = false;  // from a connector, in the epoch that begins
  bool tables_taken_over = false;  // it has begun: tables are complete already, at the slot's place
  bool reset_wanted = false;
  StreamState state;  // as of the newest append that was queued
  std::map<std::string, CatalogTable> tables;    // captured, as the catalog had them last
  std::map<std::string, SnapshotState> snapshots;  // as of the newest append that was queued
  std::map<std::string, uint64_t> times_forgotten;  // of tables: a reading that began before is worth nothing
  // Table → what stands for how the publication has it: another one means that changes may have been left out.
  std::map<std::string, uint64_t> publication_marks;
  NamedTables named;  // by the newest look
  std::set<std::string> tables_to_read;
  // Tables to read again once the transaction under way is delivered, since its changes do not say all of what the table has
  // now: a chunk at a position before it would fall to them. True: what was read of it is worth nothing.
  std::map<std::string, bool> to_read_when_delivered;
  std::map<std::string, std::string> set_aside;  // table → why
  std::map<std::string, std::string> locked;  // table, or "" for a look at all → who keeps us waiting
  std::string slot_warning;  // that it keeps more log than it may; empty: it does not
  Visibility visibility;
  std::unique_ptr<TransactionSpill> spill;
  std::unique_ptr<ChangeAssembler> assembler;
  uint64_t delivered_lsn = 0;
  bool message_applied = false;  // between take_message() and settle_message()
  bool bulk_wanted = false;
  PgConnection::Clock::time_point bulk_not_before{};

  // Why the log does not take what was read; kNone: it does. What a broker's settings or rights refuse is tried again, since
  // those can be changed while we wait.
  Trouble append_trouble() const;

  // Appends under way.
  size_t stream_bytes_in_flight = 0;
  size_t table_bytes_in_flight = 0;
  size_t jobs_in_flight = 0;
  size_t stream_jobs_in_flight = 0;
  uint64_t durable_confirmed_lsn = 0;
  std::optional<Error> append_error;
  std::shared_ptr<bool> appends_broken;  // of the session (AppendQueue::Job)
  Pace pace;  // of all rows
  Pace snapshot_pace;  // of those that snapshots read
  bool begin_again = false;  // asked for, and not done yet
  Signal asked_again;
  Signal changed;  // something became durable
  Signal delivered;  // delivered_lsn rose
  Signal work;  // tables_to_read changed

  StatusBoard board;

  // Tables for which changes of others were taken, or none of theirs, are read again.
  void forget_misnamed();
  // After each message: how far the stream is, and what may be read again now.
  void note_delivered();

  // For a reading in which the server sends what commits from `slot_lsn` on.
  std::unique_ptr<ChangeAssembler> make_assembler(uint64_t slot_lsn);
  // Queues what the assembler holds, with the stream's state.
  void flush();
  bool should_flush(PgConnection::Clock::time_point now);
  // Queues rows of a table read, with its progress.
  void append_rows(std::vector<EventBatch> batches, size_t bytes, const std::string& table,
                   const SnapshotState& progress);
  // Waits while as much as may be is under way in `budget`, or the rows so far are more than the client's pace allows.
  // An error: what the log said of an append.
  asio::awaitable<Status> wait_for_room(const size_t& budget);
  void queue_append(LogAppend append, size_t bytes, size_t* budget, const std::optional<StreamState>& reached);
  // Everything delivered is durable up to here.
  uint64_t durable_lsn() const;

  // Runs `work` on the appending thread. GCC 12 destroys twice what a co_await's operand makes of a lambda or of braces:
  // give it a named std::function, moved.
  template <typename T>
  asio::awaitable<T> on_queue(std::function<T()> work);
  asio::awaitable<Result<SchemaPtr>> register_schema(TableSchema schema);
  // What the assembler needs to know of a relation, of which it was told that changes are in `partitions`.
  asio::awaitable<Result<std::optional<TableTarget>>> resolve(PgRelation relation,
                                                              std::vector<ToldPartition> partitions);
  asio::awaitable<Status> note_partitions(std::string table, uint32_t oid, std::vector<ToldPartition> partitions);
  // Partitions that came since a table was read, or is being read.
  void add_partitions(const std::string& table, const std::vector<CatalogRelation>& partitions);
  // Changes of the table were left out: what a snapshot read of it does not count any more, also after a restart.
  void forget_snapshot(const std::string& table);
  // What was read of the table is worth nothing; it is read behind the transaction that is being told.
  void read_when_delivered(const std::string& table);
  // Looks at the captured tables in the catalog: sets aside what cannot be captured, and notes what must be read
  // (again). Adds tables to the publication. kLocked: not all was seen.
  asio::awaitable<Trouble> refresh_tables();

  void set_mode(SourceMode mode, std::string reason = {}, std::string remedy = {});
  // What is to be said of tables, in status.
  std::vector<std::string> table_warnings() const;
  void show_tables();
  bool stopping = false;

  // Where there are other nodes.
  LeaseOptions lease_options;
  std::unique_ptr<PgConnection> lease;

 private:
  std::optional<PgConnection::Clock::time_point> oldest_fact_;
};

template <typename T>
asio::awaitable<T> ClientContext::on_queue(std::function<T()> work) {
  struct Shared {
    explicit Shared(const asio::any_io_executor& executor) : done(executor) {}
    std::optional<T> result;
    Signal done;
  };
  auto shared = std::make_shared<Shared>(executor);
  queue.run([shared, executor = executor, work = std::move(work)] {
    auto result = std::make_shared<T>(work());
    asio::post(executor, [shared, result] {
      shared->result = std::move(*result);
      shared->done.notify();
    });
  });
  while (!shared->result) co_await shared->done.wait(std::chrono::seconds(60));
  co_return std::move(*shared->result);
}

// The publication as it is now; nullopt: there is none.
struct Publication {
  bool whole = false;  // every kind of change, under the name of a partitioned table and not of its partitions
  uint64_t version = 0;
  uint64_t lsn = 0;  // where the log ended
};
asio::awaitable<Result<std::optional<Publication>>> find_publication(ClientContext& context);  // source_tables.cpp
Trouble narrowed_publication(const ClientContext& context);

// The parts of a session (each returns why it ended).
asio::awaitable<Trouble> wait_for_lease(ClientContext& context);  // lease.cpp
asio::awaitable<Trouble> keep_lease(ClientContext& context);  // lease.cpp
asio::awaitable<Trouble> prepare_source(ClientContext& context);  // source_setup.cpp
asio::awaitable<Trouble> stream_changes(ClientContext& context);  // stream_reader.cpp
asio::awaitable<Trouble> peek_changes(ClientContext& context);  // bulk_reader.cpp
asio::awaitable<Trouble> read_tables(ClientContext& context);  // table_reader.cpp
asio::awaitable<Trouble> watch_source(ClientContext& context);  // source_watch.cpp
// Gives one message to the assembler. Nearly always that is all: true. False: settle_message() does what it asks for.
// Apart from each other, since a coroutine a message costs more than most messages.
Result<bool> take_message(ClientContext& context, uint64_t lsn, std::string_view bytes);
// Finds tables out for the message that take_message() left; reads a committed large transaction back.
asio::awaitable<Status> settle_message(ClientContext& context, uint64_t lsn, std::string_view bytes);
// The oldest transaction that holds an id, for people: "process 4711 (user shop, since 2024-…)".
asio::awaitable<std::string> oldest_transaction(PgConnection& connection);

}  // namespace tributary
