#include "app/node_link.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <set>

#include "app/json_line.h"
#include "base/hex.h"
#include "base/wall_clock.h"
#include "capture/client_share.h"

namespace tributary {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// Keys of notes; they end with a node, or a client.
constexpr std::string_view node_prefix = "node/";
constexpr std::string_view capture_prefix = "capture/";
constexpr std::string_view process_prefix = "process/";
constexpr std::string_view wanted_prefix = "wanted/";
constexpr std::string_view in_log_prefix = "in-log/";
constexpr std::string_view mark_key = "mark";

constexpr size_t wanted_rows_max = 1000;  // in one note
constexpr std::chrono::milliseconds idle_wait{200};
constexpr std::chrono::milliseconds last_words_limit{2000};
constexpr std::chrono::milliseconds mark_poll{20};
constexpr std::chrono::minutes mark_age_max{2};  // nobody waits for an older one's answers any more

std::string key_of(std::string_view prefix, const std::string& client) { return std::string(prefix) + client; }

// A note of ours, or an empty object.
json note_of(const NodeNote& note) {
  json parsed = json::parse(note.value, nullptr, false);
  return parsed.is_object() ? parsed : json::object();
}

uint64_t number_of(const std::map<std::string, NodeNote>& notes, const std::string& key) {
  auto found = notes.find(key);
  return found == notes.end() ? 0 : note_of(found->second).value("number", uint64_t{0});
}

bool reads(std::string_view state) { return state == "streaming" || state == "snapshot" || state == "bulk"; }

bool reads(const SourceStatus& source) {
  return source.mode == SourceMode::kStreaming || source.mode == SourceMode::kSnapshot ||
         source.mode == SourceMode::kBulk;
}

}  // namespace

std::string node_name() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) return fmt::format("process {}", ::getpid());
  return fmt::format("{}:{}", host.data(), ::getpid());
}

void ClientNotes::tell(const std::string& client, const json& note) {
  std::string text = json_line(note);
  Told& told = told_[client];
  auto now = Clock::now();
  if (told.text == text && now - told.at < note_interval) return;
  board_.publish(key_of(prefix_, client), text);
  told = {std::move(text), now};
}

std::map<std::string, json> ClientNotes::heard() const {
  std::map<std::string, json> found;
  auto oldest = Clock::now() - note_age_max;
  for (const auto& [key, note] : board_.notes(prefix_)) {
    if (note.heard >= oldest) found[key.substr(prefix_.size())] = note_of(note);
  }
  return found;
}

// ---- the node that captures ----

CaptureLink::CaptureLink(NodeBoard& board)
    : board_(board),
      nodes_(board, std::string(node_prefix)),
      capture_(board, std::string(capture_prefix)),
      process_(board, std::string(process_prefix)),
      in_log_(board, std::string(in_log_prefix)) {
  // What was asked of nodes before this one came was asked of them.
  for (const auto& [key, note] : board_.notes(wanted_prefix)) {
    wanted_taken_[key] = note_of(note).value("number", uint64_t{0});
  }
}

void CaptureLink::start(ChangeSource& source) {
  source_ = &source;
  thread_ = std::thread([this] { run(); });
}

void CaptureLink::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (!thread_.joinable()) return;
  thread_.join();
  board_.withdraw(key_of(node_prefix, node_));
  board_.flush(last_words_limit);
}

void CaptureLink::run() {
  ::pthread_setname_np(::pthread_self(), "nodes");
  while (true) {
    uint64_t known = board_.generation();
    take_wanted_rows();
    bool answered = answer_mark();
    {
      std::unique_lock lock(mutex_);
      if (answered ? stopping_ : wake_.wait_for(lock, mark_poll, [this] { return stopping_; })) return;
    }
    if (answered) board_.wait_change(known, idle_wait);
  }
}

void CaptureLink::take_wanted_rows() {
  auto notes = board_.notes(wanted_prefix);
  for (const auto& [key, note] : notes) {
    json wanted = note_of(note);
    uint64_t number = wanted.value("number", uint64_t{0});
    if (number <= wanted_taken_[key]) continue;
    wanted_taken_[key] = number;
    ClientId client{key.substr(wanted_prefix.size())};
    bool ours = false;
    for (const SourceStatus& status : source_->status()) ours = ours || (status.client == client && reads(status));
    if (!ours || !wanted.contains("rows") || !wanted["rows"].is_object()) continue;
    for (const auto& [table, keys] : wanted["rows"].items()) {
      std::vector<std::string> rows;
      for (const json& hex : keys) {
        auto row = from_hex(hex.is_string() ? hex.get<std::string>() : "");
        if (row && !row->empty()) rows.push_back(*std::move(row));
      }
      source_->read_again(client, table, std::move(rows));
    }
  }
}

bool CaptureLink::answer_mark() {
  uint64_t wanted = number_of(board_.notes(mark_key), std::string(mark_key));
  if (wanted > mark_) {
    mark_ = wanted;
    mark_heard_ = Clock::now();
    source_->mark_heads();
  }
  if (mark_ == 0 || Clock::now() - mark_heard_ > mark_age_max) return true;
  bool all = true;
  std::set<ClientId> reached;
  for (const SourceStatus& status : source_->status()) {
    if (!reads(status)) continue;
    if (answered_[status.client.value] == mark_ || source_->caught_up(status.client)) {
      reached.insert(status.client);
    } else {
      all = false;
    }
  }
  if (reached.empty()) return all;
  // A client that another node took over meanwhile counts as caught up, and was not.
  for (const SourceStatus& status : source_->status()) {
    if (!reads(status) || !reached.contains(status.client)) continue;
    in_log_.tell(status.client.value, json{{"number", mark_}});
    answered_[status.client.value] = mark_;
  }
  return all;
}

bool CaptureLink::prefers(const ClientId& client) const {
  std::lock_guard lock(mutex_);
  return !others_.contains(client.value);
}

void CaptureLink::share(const json& clients) {
  json ready = json::array();
  for (const json& client : clients) {
    std::string state = client["state"].get<std::string>();
    if (state == "standby" || reads(state)) ready.push_back(client["client"]);
  }
  nodes_.tell(node_, json{{"ready", ready}});
  auto nodes = nodes_.heard();
  nodes[node_] = json{{"ready", std::move(ready)}};
  std::map<std::string, std::set<std::string>> by_client;
  for (const auto& [node, note] : nodes) {
    for (const json& client : note.value("ready", json::array())) {
      if (client.is_string()) by_client[client.get<std::string>()].insert(node);
    }
  }
  std::set<std::string> others;
  for (const auto& [client, node] : share_clients(by_client)) {
    if (node != node_) others.insert(client);
  }
  std::lock_guard lock(mutex_);
  others_ = std::move(others);
}

void CaptureLink::tell(const json& clients) {
  share(clients);
  auto heard = capture_.heard();
  for (const json& client : clients) {
    auto id = client["client"].get<std::string>();
    std::string state = client["state"].get<std::string>();
    json other = heard[id].is_object() ? heard[id] : json::object();
    bool other_reads =
        other.value("node", "") != node_ && reads(other.value("client", json::object()).value("state", ""));
    // Of a client that another node reads, that one speaks.
    if (state == "standby" || state == "not_running" || (other_reads && !reads(state))) {
      capture_.forget(id);
      continue;
    }
    capture_.tell(id, json{{"node", node_}, {"client", client}});
  }
}

// ---- the node that processes ----

ProcessLink::ProcessLink(NodeBoard& board)
    : board_(board), capture_(board, std::string(capture_prefix)), process_(board, std::string(process_prefix)) {}

void ProcessLink::want(const std::vector<ParkedRow>& rows) {
  std::map<std::string, std::map<std::string, std::vector<std::string>>> wanted;
  std::map<std::string, size_t> counts;
  for (const ParkedRow& row : rows) {
    if (++counts[row.client.value] > wanted_rows_max) continue;
    wanted[row.client.value][row.table].push_back(to_hex(row.key));
  }
  std::lock_guard lock(mutex_);
  newest_ = std::max(newest_ + 1, static_cast<uint64_t>(now_micros()));
  for (const auto& [client, tables] : wanted) {
    board_.publish(key_of(wanted_prefix, client), json_line(json{{"number", newest_}, {"rows", tables}}));
  }
}

void ProcessLink::tell(const json& clients) {
  for (const json& client : clients) {
    process_.tell(client["client"].get<std::string>(), json{{"queryable_events", client["queryable_events"]},
                                                            {"dead_letters", client["dead_letters"]},
                                                            {"lag", client["lag"]}});
  }
}

uint64_t ProcessLink::mark() {
  std::lock_guard lock(mutex_);
  newest_ = std::max(newest_ + 1, static_cast<uint64_t>(now_micros()));
  newest_mark_ = newest_;
  board_.publish(std::string(mark_key), json_line(json{{"number", newest_}}));
  return newest_;
}

void ProcessLink::remind(uint64_t mark) {
  std::lock_guard lock(mutex_);
  if (mark == newest_mark_) board_.publish(std::string(mark_key), json_line(json{{"number", mark}}));
}

bool ProcessLink::in_log(const std::string& client, uint64_t mark) const {
  std::string key = key_of(in_log_prefix, client);
  return number_of(board_.notes(key), key) >= mark;
}

bool ProcessLink::stopped(const std::string& client) const {
  auto all = capture_.heard();
  auto found = all.find(client);
  return found != all.end() && found->second.contains("client") &&
         found->second["client"].value("state", "") == "stopped";
}

}  // namespace tributary
