// What a node that captures and the one that processes tell each other while both run (docs/formats/kafka-nodes.md): how the
// clients are, which rows are to be read again, and when all that a source had at a moment is in the log. What must outlive
// them, positions, schemas, snapshots, resets, is in the log itself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "contracts/change_source.h"
#include "log/kafka/node_board.h"
#include "process/domain_merge.h"

namespace tributary {

// This process, as people find it: "db7.example:4711".
std::string node_name();

// What a node last told of each client, and by whom; without those that nobody has renewed for `note_age_max`.
constexpr std::chrono::seconds note_age_max{10};
constexpr std::chrono::seconds note_interval{3};  // a note is renewed at least so often

// Of the clients that a node tells about: one note each, when it changed and now and then.
class ClientNotes {
 public:
  ClientNotes(NodeBoard& board, std::string prefix) : board_(board), prefix_(std::move(prefix)) {}
  void tell(const std::string& client, const nlohmann::json& note);
  // This node does not speak of the client any more; another may.
  void forget(const std::string& client) { told_.erase(client); }
  std::map<std::string, nlohmann::json> heard() const;

 private:
  struct Told {
    std::string text;
    std::chrono::steady_clock::time_point at;
  };
  NodeBoard& board_;
  std::string prefix_;
  std::map<std::string, Told> told_;
};

// The end of a node that captures. Its thread runs from start() to stop(). Thread-safe.
class CaptureLink {
 public:
  explicit CaptureLink(NodeBoard& board);
  ~CaptureLink() { stop(); }
  // `source` outlives the link's thread.
  void start(ChangeSource& source);
  void stop();

  // `clients`: entries of a status (status_report.h). Tells of those that this node reads, or would if it could; and which it
  // is ready for, so that nodes share them (capture/client_share.h).
  void tell(const nlohmann::json& clients);
  // What others told of clients, by client.
  std::map<std::string, nlohmann::json> captured() const { return capture_.heard(); }
  std::map<std::string, nlohmann::json> processed() const { return process_.heard(); }
  // Whether the client is this node's to read, of those that are ready for it.
  bool prefers(const ClientId& client) const;

 private:
  void share(const nlohmann::json& clients);
  void run();
  void take_wanted_rows();
  bool answer_mark();  // false: not of all clients yet

  NodeBoard& board_;
  ChangeSource* source_ = nullptr;
  std::string node_ = node_name();
  ClientNotes nodes_;
  ClientNotes capture_;
  ClientNotes process_;
  ClientNotes in_log_;
  uint64_t mark_ = 0;  // the newest that was asked for; these by the thread alone
  std::chrono::steady_clock::time_point mark_heard_;
  std::map<std::string, uint64_t> answered_;
  std::map<std::string, uint64_t> wanted_taken_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::set<std::string> others_;  // clients that other nodes shall read
  std::thread thread_;
};

// The end of the node that processes. Thread-safe.
class ProcessLink {
 public:
  explicit ProcessLink(NodeBoard& board);

  // Rows to read again from their sources. Best effort: asked again later.
  void want(const std::vector<ParkedRow>& rows);
  void tell(const nlohmann::json& clients);
  std::map<std::string, nlohmann::json> captured() const { return capture_.heard(); }

  // Marks the heads of all sources as of now, and gives the mark. in_log(): whether all that was committed before it in the
  // client's source is in the log. stopped(): the client waits for a person, as far as one knows.
  uint64_t mark();
  // For whoever waits on: what is lost on the way is said again.
  void remind(uint64_t mark);
  bool in_log(const std::string& client, uint64_t mark) const;
  bool stopped(const std::string& client) const;

 private:
  NodeBoard& board_;
  ClientNotes capture_;
  ClientNotes process_;
  std::mutex mutex_;
  uint64_t newest_mark_ = 0;
  uint64_t newest_ = 0;  // mark, or set of wanted rows: numbers that rise, also from one process to the next
};

}  // namespace tributary
