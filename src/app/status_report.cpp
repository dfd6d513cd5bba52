#include "app/status_report.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "app/control.h"
#include "app/control_releases.h"
#include "app/json_line.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr size_t partitions_shown = 5;  // to people

std::string_view mode_name(SourceMode mode) {
  switch (mode) {
    case SourceMode::kConnecting: return "connecting";
    case SourceMode::kSnapshot: return "snapshot";
    case SourceMode::kBulk: return "bulk";
    case SourceMode::kStreaming: return "streaming";
    case SourceMode::kBackingOff: return "backing_off";
    case SourceMode::kStandby: return "standby";
    case SourceMode::kStopped: return "stopped";
  }
  return "unknown";
}

// Seconds since `micros`; 0 where that is no time.
double seconds_since(int64_t micros, int64_t now_micros) {
  return micros == 0 ? 0.0 : std::max(0.0, static_cast<double>(now_micros - micros) / 1e6);
}

// A partition is behind while it holds something of a client whose rows are still to come; the others in it are not.
LogLag log_lag(const Assembly& assembly) {
  auto behind = [&](const std::map<TopicPartition, Offset>& from) {
    return assembly.kafka_log != nullptr ? assembly.kafka_log->lag(from) : assembly.embedded_log->lag(from);
  };
  RoundRunner::Read read = assembly.runtime->read_and_stored();
  auto acknowledged = assembly.runtime->acknowledged();
  LogLag lag = behind(acknowledged);
  if (!read.untold || read.untold->empty()) return lag;
  for (const auto& [partition, next] : acknowledged) read.offsets[partition] = std::max(read.offsets[partition], next);
  LogLag own = behind(read.offsets);
  std::erase_if(lag.clients, [&](const auto& of) { return !read.untold->contains(of.first); });
  for (auto& [client, of] : own.clients) lag.clients.try_emplace(client, of);
  return lag;
}

// Partitions of the log that hold what is not queryable, those with most of it first.
json partitions_json(const LogLag& lag, int64_t now_micros) {
  std::vector<std::pair<TopicPartition, PartitionLag>> sorted(lag.partitions.begin(), lag.partitions.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& one, const auto& other) { return one.second.events > other.second.events; });
  json list = json::array();
  for (const auto& [at, of] : sorted) {
    list.push_back({{"topic", at.topic},
                    {"partition", at.partition.value},
                    {"end", of.end.value},
                    {"events", of.events},
                    {"bytes", of.bytes},
                    {"seconds", seconds_since(of.oldest_micros, now_micros)}});
  }
  return list;
}

json snapshots_json(const SourceStatus& source) {
  json snapshots = json::array();
  for (const SnapshotProgress& progress : source.snapshots) {
    json entry{{"table", progress.table},
               {"rows", progress.rows_read},
               {"rows_estimated", progress.rows_estimated},
               {"fraction", progress.fraction}};
    entry["seconds_left"] = progress.seconds_left ? json(*progress.seconds_left) : json(nullptr);
    snapshots.push_back(std::move(entry));
  }
  return snapshots;
}

// Every key that a status ever has (docs/formats/status.md).
json empty_status(const std::string& pipeline) {
  return {{"pipeline", pipeline},      {"running", false},          {"pid", nullptr},
          {"stages", "all"},           {"checkpoint", 0},           {"processed_events", 0},
          {"outbox_bytes", 0},         {"raw_waiting_events", 0},   {"engine_pid", 0},
          {"written_micros", 0},       {"problems", json::array()}, {"notes", json::array()},
          {"releases", json::array()}, {"rebuilds", json::array()}, {"partitions", json::array()},
          {"clients", json::array()}};
}

json empty_client(const std::string& id) {
  return {{"client", id},
          {"state", "not_running"},
          {"reason", ""},
          {"remedy", ""},
          {"warnings", json::array()},
          {"lag",
           {{"events", nullptr},
            {"exact", true},
            {"log_bytes", nullptr},
            {"seconds", nullptr},
            {"bytes", nullptr},
            {"messages", nullptr}}},
          {"captured_events", 0},
          {"captured_bytes", 0},
          {"queryable_events", 0},
          {"retained_wal_bytes", nullptr},
          {"snapshots", json::array()},
          {"pace", {{"rows_per_second", nullptr}, {"held", false}}},
          {"dead_letters", 0},
          {"node", nullptr},
          {"last_commit_micros", 0},
          {"durable_position", Position{}.to_string()}};
}

void add_source(json& client, const SourceStatus& source) {
  client["state"] = mode_name(source.mode);
  client["reason"] = source.reason;
  client["remedy"] = source.remedy;
  client["warnings"] = source.warnings;
  if (source.lag_bytes) client["lag"]["bytes"] = *source.lag_bytes;
  if (source.lag_messages) client["lag"]["messages"] = *source.lag_messages;
  client["captured_events"] = source.events_captured;
  client["captured_bytes"] = source.bytes_captured;
  if (source.retained_wal_bytes) client["retained_wal_bytes"] = *source.retained_wal_bytes;
  client["snapshots"] = snapshots_json(source);
  if (source.rows_per_second_max != 0) {
    client["pace"] = {{"rows_per_second", source.rows_per_second_max}, {"held", source.held}};
  }
  client["durable_position"] = source.durable.to_string();
  client["last_commit_micros"] = source.last_commit_micros;
}

// Of a client that another node captures, as that one told it.
void add_captured(json& client, const json& note) {
  if (!note.contains("client") || !note["client"].is_object()) {
    client["state"] = "no_capture";
    client["reason"] = "no node captures it";
    client["remedy"] = "Start one: tributary run FILE --stages capture";
    return;
  }
  for (const auto& [name, value] : note["client"].items()) {
    if (name != "lag") client[name] = value;
  }
  json lag = note["client"].value("lag", json::object());
  for (const char* what : {"bytes", "messages"}) client["lag"][what] = lag.value(what, json(nullptr));
  client["node"] = note.value("node", "");
}

std::string read_by(const json& note) {
  return fmt::format("node {} reads it", note.is_object() ? note.value("node", "?") : "?");
}

// What another node's processing told of the client.
void add_processed(json& client, const json& note) {
  if (!note.is_object()) return;
  client["queryable_events"] = note.value("queryable_events", uint64_t{0});
  client["dead_letters"] = note.value("dead_letters", uint64_t{0});
  json lag = note.value("lag", json::object());
  for (const char* what : {"events", "exact", "log_bytes", "seconds"})
    client["lag"][what] = lag.value(what, json(nullptr));
}

void add_runtime(json& client, const ClientId& id, const RuntimeStatus& runtime, const LogLag& waiting,
                 int64_t now_micros) {
  auto progress = runtime.queryable.find(id);
  client["queryable_events"] = progress == runtime.queryable.end() ? 0 : progress->second.events;
  auto lag = waiting.clients.find(id);
  ClientLag own = lag == waiting.clients.end() ? ClientLag() : lag->second;
  client["lag"]["events"] = own.events;
  client["lag"]["exact"] = own.exact;
  client["lag"]["log_bytes"] = own.bytes;
  client["lag"]["seconds"] = seconds_since(own.oldest_micros, now_micros);
  uint64_t dead = 0;
  for (const auto& [of, count] : runtime.dead_letters) {
    if (of.first != id) continue;
    dead += count.kept + count.not_kept;
    if (count.tripped()) {
      client["warnings"].push_back(
          fmt::format("view {}: the breaker has tripped: {} rows that could not be computed are not "
                      "listed; `tributary dead-letters FILE retry --client {} --view {}` after a fix",
                      of.second, count.not_kept, id, of.second));
    }
  }
  client["dead_letters"] = dead;
  for (const PlanProblem& problem : runtime.set_aside) {
    if (problem.client == id)
      client["warnings"].push_back("domain " + problem.domain + " is set aside: " + problem.reason);
  }
  for (const PlanProblem& problem : runtime.lacking) {
    if (problem.client == id) client["warnings"].push_back("domain " + problem.domain + ": " + problem.reason);
  }
}

std::string bytes_text(const json& bytes) {
  if (!bytes.is_number()) return "?";
  auto value = bytes.get<double>();
  for (const char* unit : {"B", "KiB", "MiB", "GiB"}) {
    if (value < 1024 || std::string_view(unit) == "GiB")
      return fmt::format("{:.{}f} {}", value, *unit == 'B' ? 0 : 1, unit);
    value /= 1024;
  }
  return "?";
}

std::string time_text(int64_t micros) {
  std::time_t seconds = micros / 1'000'000;
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", std::gmtime(&seconds));
  return text;
}

std::string number_text(const json& value) {
  if (!value.is_number()) return "?";
  return value.is_number_float() ? fmt::format("{:.2f}", value.get<double>()) : value.dump();
}

}  // namespace

json running_status(const Assembly& assembly, int64_t now_micros) {
  json status = empty_status(assembly.pipeline.name);
  status["running"] = true;
  status["pid"] = ::getpid();
  status["stages"] = assembly.runtime == nullptr ? "capture" : assembly.source == nullptr ? "process" : "all";
  RuntimeStatus runtime;
  if (assembly.runtime != nullptr) runtime = assembly.runtime->status();
  status["checkpoint"] = runtime.checkpoint.value;
  status["processed_events"] = runtime.events_processed;
  status["outbox_bytes"] = runtime.outbox_bytes;
  status["raw_waiting_events"] = runtime.raw_waiting_events;
  status["engine_pid"] = assembly.engine == nullptr ? 0 : assembly.engine->pid();
  status["written_micros"] = now_micros;
  json problems = json::array();
  if (!runtime.process_problem.empty()) problems.push_back("processing: " + runtime.process_problem);
  if (!runtime.store_problem.empty()) problems.push_back("analytics: " + runtime.store_problem);
  if (!runtime.raw_problem.empty()) problems.push_back("raw: " + runtime.raw_problem);
  if (assembly.following_raw != nullptr) {
    for (const std::string& gap : assembly.following_raw->gaps()) problems.push_back("raw: " + gap);
  }
  if (!runtime.feed_problem.empty()) problems.push_back("what is computed from raw waits: " + runtime.feed_problem);
  if (!runtime.order_problem.empty()) problems.push_back(runtime.order_problem);
  if (assembly.kafka_log != nullptr) {
    for (const std::string& problem : assembly.kafka_log->problems()) problems.push_back(problem);
  }
  for (const PlanProblem& problem : runtime.set_aside) {
    if (problem.client.value.empty()) problems.push_back(problem.reason);
  }
  for (const auto& [table, reason] : runtime.tables_set_aside)
    problems.push_back(fmt::format("table {} is set aside: {}", table, reason));
  status["problems"] = std::move(problems);
  status["notes"] = assembly.left_behind;
  if (assembly.mongo_raw != nullptr && !assembly.mongo_raw->set_aside().empty())
    status["notes"].push_back("raw: " + assembly.mongo_raw->set_aside());
  if (assembly.storage != nullptr) {
    if (std::string note = release_note(assembly); !note.empty()) status["notes"].push_back(std::move(note));
  }
  if (assembly.runtime != nullptr) status["releases"] = releases_json(assembly)["releases"];
  status["rebuilds"] = json::array();
  for (const RoundRunner::Rebuild& rebuild : runtime.rebuilds) {
    double fraction =
        rebuild.refeeds == 0 ? 1 : 1 - static_cast<double>(rebuild.refeeds_left) / static_cast<double>(rebuild.refeeds);
    status["rebuilds"].push_back({{"view", rebuild.view}, {"fraction", fraction}});
  }

  // Sources first: what they call durable is then in the log when the waiting events are counted.
  std::map<ClientId, SourceStatus> sources;
  if (assembly.source != nullptr) {
    for (SourceStatus& source : assembly.source->status()) sources[source.client] = std::move(source);
  }
  std::map<std::string, json> captured;
  std::map<std::string, json> processed;
  if (assembly.process_link != nullptr) captured = assembly.process_link->captured();
  if (assembly.capture_link != nullptr) {
    captured = assembly.capture_link->captured();
    processed = assembly.capture_link->processed();
  }
  LogLag waiting;
  if (assembly.runtime != nullptr) waiting = log_lag(assembly);
  status["partitions"] = partitions_json(waiting, now_micros);
  status["clients"] = json::array();
  for (const auto& [name, config] : assembly.pipeline.clients) {
    ClientId id{name};
    json client = empty_client(name);
    auto source = sources.find(id);
    if (source != sources.end()) add_source(client, source->second);
    if (assembly.process_link != nullptr) add_captured(client, captured[name]);
    if (assembly.capture_link != nullptr) {
      if (client["state"] == "standby") client["reason"] = read_by(captured[name]);
      add_processed(client, processed[name]);
    }
    if (assembly.runtime != nullptr) add_runtime(client, id, runtime, waiting, now_micros);
    status["clients"].push_back(std::move(client));
  }
  return status;
}

std::string status_path(const std::string& data_directory) { return data_directory + "/run/status.json"; }

Status write_status(const std::string& data_directory, const json& status) {
  std::string path = status_path(data_directory);
  std::string part = path + ".new";
  std::ofstream file(part, std::ios::trunc);
  file << json_line(status) << '\n';
  file.close();
  if (!file || std::rename(part.c_str(), path.c_str()) != 0) {
    return Error{ErrorCode::kResourceExhausted, fmt::format("cannot write {}", path)};
  }
  return {};
}

json stopped_status(const Pipeline& pipeline) {
  json status = empty_status(pipeline.name);
  std::ifstream file(status_path(pipeline.data));
  json last = json::parse(file, nullptr, false);
  if (last.is_object() && last.value("pipeline", "") == pipeline.name) status.update(last);
  std::map<std::string, json> known;
  if (status.contains("clients")) {
    for (json& client : status["clients"]) known[client.value("client", "")] = client;
  }
  status["clients"] = json::array();
  for (const auto& [id, config] : pipeline.clients) {
    json client = empty_client(id);
    if (known.contains(id)) client.update(known[id]);
    // What stopped a client before is still worth telling.
    if (client.value("state", "") != "stopped") client["reason"] = client["remedy"] = "";
    client["state"] = "not_running";
    // Sources go on while nobody looks.
    client["lag"]["bytes"] = client["lag"]["messages"] = client["retained_wal_bytes"] = nullptr;
    status["clients"].push_back(std::move(client));
  }
  status["running"] = false;
  status["pid"] = nullptr;
  status["engine_pid"] = 0;
  return status;
}

json known_status(const Pipeline& pipeline) {
  json status;
  auto running = control_status(pipeline);
  if (running.ok()) status = json::parse(*running, nullptr, false);
  if (status.is_object()) return status;
  status = stopped_status(pipeline);
  // It may just be starting or stopping.
  auto holder = DataDirectory::holder(pipeline.data);
  if (holder && holder->use == DataUse::kRun) {
    status["running"] = true;
    status["pid"] = holder->process;
    if (holder->waits_for) {
      status["problems"].push_back(fmt::format("it waits until another command (process {}) is done with {}",
                                               *holder->waits_for, pipeline.data));
    }
  }
  return status;
}

std::string status_text(const json& status) {
  std::string out;
  if (status.value("running", false)) {
    out = fmt::format("{} is running (process {}), checkpoint {}\n", status["pipeline"].get<std::string>(),
                      status["pid"].dump(), status["checkpoint"].dump());
  } else {
    auto written = status.value("written_micros", int64_t{0});
    out = fmt::format("{} is stopped, checkpoint {}{}\n", status["pipeline"].get<std::string>(),
                      status["checkpoint"].dump(), written == 0 ? "" : "; as of " + time_text(written));
  }
  for (const json& problem : status["problems"]) out += fmt::format("  ! {}\n", problem.get<std::string>());
  for (const json& note : status.value("notes", json::array()))
    out += fmt::format("  note: {}\n", note.get<std::string>());
  for (const json& rebuild : status.value("rebuilds", json::array())) {
    out += fmt::format("  view {} is computed again: {:.0f} %; until then readers see the build before\n",
                       rebuild["view"].get<std::string>(), rebuild["fraction"].get<double>() * 100);
  }
  for (const json& release : status.value("releases", json::array())) {
    if (release["state"] == "live" || release["state"] == "ready") continue;
    double events = release["events"].get<double>();
    out +=
        fmt::format("  release {} is {}{}\n", release["number"].dump(), release["state"].get<std::string>(),
                    events == 0 ? "" : fmt::format(": {:.0f} %", release["events_fed"].get<double>() / events * 100));
  }
  out += fmt::format("\n{:<20} {:<12} {:>10} {:>10} {:>8} {:>12} {:>10} {:>6}\n", "client", "state", "lag events",
                     "lag source", "lag s", "retained WAL", "captured", "dead");
  for (const json& client : status["clients"]) {
    const json& lag = client["lag"];
    std::string events = number_text(lag["events"]);
    if (!lag.value("exact", true)) events.insert(0, "<= ");
    json messages = lag.value("messages", json(nullptr));
    std::string source = messages.is_number() ? messages.dump() + " msgs" : bytes_text(lag["bytes"]);
    out += fmt::format("{:<20} {:<12} {:>10} {:>10} {:>8} {:>12} {:>10} {:>6}\n", client["client"].get<std::string>(),
                       client["state"].get<std::string>(), events, source, number_text(lag["seconds"]),
                       bytes_text(client["retained_wal_bytes"]), number_text(client["captured_events"]),
                       number_text(client["dead_letters"]));
    if (!client["reason"].get<std::string>().empty())
      out += fmt::format("    reason: {}\n", client["reason"].get<std::string>());
    if (!client["remedy"].get<std::string>().empty())
      out += fmt::format("    remedy: {}\n", client["remedy"].get<std::string>());
    for (const json& warning : client["warnings"]) out += fmt::format("    warning: {}\n", warning.get<std::string>());
    if (client.contains("pace") && client["pace"]["held"].get<bool>()) {
      out += fmt::format("    held to rows_per_second {}; what is more waits in the source's log\n",
                         client["pace"]["rows_per_second"].dump());
    }
    for (const json& snapshot : client["snapshots"]) {
      out += fmt::format(
          "    snapshot of {}: {} of about {} rows, {:.0f} %{}\n", snapshot["table"].get<std::string>(),
          snapshot["rows"].dump(), snapshot["rows_estimated"].dump(), snapshot["fraction"].get<double>() * 100,
          snapshot["seconds_left"].is_number() ? fmt::format(", {:.0f} s left", snapshot["seconds_left"].get<double>())
                                               : "");
    }
  }
  size_t shown = 0;
  for (const json& partition : status.value("partitions", json::array())) {
    if (shown++ == partitions_shown) {
      out += fmt::format("  and {} partitions more\n", status["partitions"].size() - partitions_shown);
      break;
    }
    out += fmt::format("  {} partition {}: {} events wait, {}, since {:.1f} s\n", partition["topic"].get<std::string>(),
                       partition["partition"].dump(), partition["events"].dump(), bytes_text(partition["bytes"]),
                       partition["seconds"].get<double>());
  }
  return out;
}

std::vector<std::string> stopped_clients(const Assembly& assembly) {
  std::vector<std::string> clients;
  if (assembly.process_link != nullptr) {
    for (const auto& [id, config] : assembly.pipeline.clients) {
      if (assembly.process_link->stopped(id)) clients.push_back(id);
    }
  }
  if (assembly.source == nullptr) return clients;
  for (const SourceStatus& client : assembly.source->status()) {
    if (client.mode == SourceMode::kStopped) clients.push_back(client.client.value);
  }
  return clients;
}

std::string stopped_message(const std::string& file, const std::vector<std::string>& clients) {
  return fmt::format("{} {} stopped and not caught up; `tributary status {}` says why and what to do",
                     fmt::join(clients, ", "), clients.size() == 1 ? "is" : "are", file);
}

}  // namespace tributary
