// The ChangeSource for PostgreSQL 14 and newer: one event loop for all clients, one thread that appends to the log.
//
//   auto source = make_postgres_source(std::move(clients), log, {.temp_directory = "data/temp"});
//   RETURN_IF_ERROR(source->start());
//   source->mark_heads();
//   while (!source->caught_up()) …
//   source->stop();
//
// Per client: a control connection (lease, catalog, health), one that streams or peeks, and one that reads tables while
// there is something to read. What happens to one client (see SourceStatus) leaves the others alone.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "capture/postgres/lease_options.h"
#include "contracts/change_source.h"

namespace tributary {

struct PostgresCaptureOptions {
  // For spilled transactions; is made if missing. Empty: the system's folder for temporary files.
  std::string temp_directory;
  // These clients start a new epoch: slot made again, every table read again.
  std::vector<ClientId> reset_clients;

  // A client's open batch is appended when it is this large or this old and a commit was seen, or nothing more is at hand.
  size_t batch_bytes_max = size_t{1} << 20;
  size_t batch_facts_max = 16'384;
  std::chrono::milliseconds flush_interval{10};
  // Under way to the log; beyond it nothing more is read. Streaming and table reads apart.
  size_t in_flight_bytes_max = size_t{16} << 20;
  // Transactions in progress wait in this much memory, then in files.
  size_t spill_memory_bytes_max = size_t{8} << 20;

  std::chrono::milliseconds status_interval{1'000};
  std::chrono::milliseconds health_interval{3'000};
  std::chrono::milliseconds heartbeat_interval{10'000};
  std::chrono::milliseconds silence_max{25'000};  // a server that says nothing for so long is gone
  std::chrono::milliseconds retry_first{200};
  std::chrono::milliseconds retry_longest{30'000};
  // A client that stopped is looked at again so often: what a person has mended is seen without a restart.
  std::chrono::milliseconds stopped_retry{60'000};
  // The password as it is by now, asked for before each such look; without: as it was at the start.
  std::function<std::string(const ClientId&)> password_now;

  // Peeking: from this much backlog on, in batches of this much log, or of as much as is decoded in vain if that is more;
  // beyond the last figure it does not pay.
  bool bulk = true;
  uint64_t bulk_backlog_bytes = uint64_t{16} << 20;
  uint64_t bulk_batch_bytes = uint64_t{256} << 20;
  uint64_t bulk_batch_bytes_max = uint64_t{1} << 30;
  std::chrono::milliseconds bulk_silence_max{60'000};  // a peek without its first row by then is too large: stream

  // Table reads aim at chunks of this size.
  size_t chunk_rows = 65'536;
  size_t chunk_bytes = size_t{16} << 20;
  uint64_t chunk_first_blocks = 64;
};

std::unique_ptr<ChangeSource> make_postgres_source(std::vector<CaptureClient> clients, EventLog& log,
                                                   PostgresCaptureOptions options, LeaseOptions lease = {});

}  // namespace tributary
