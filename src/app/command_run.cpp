#include <pthread.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "app/analytics_choice.h"
#include "app/commands.h"
#include "app/control.h"
#include "app/control_releases.h"
#include "app/engine_watch.h"
#include "app/log_choice.h"
#include "app/source_schemas.h"
#include "app/stages.h"
#include "app/status_report.h"
#include "base/wall_clock.h"
#include "runtime/progress_journal.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds tick{100};
constexpr std::chrono::milliseconds tick_until_caught_up{10};
constexpr std::chrono::seconds status_interval{1};
constexpr std::chrono::seconds report_interval{10};
constexpr std::chrono::hours retention_interval_max{1};
constexpr std::chrono::seconds retention_bytes_interval{10};
constexpr std::chrono::hours thin_interval{1};
constexpr std::chrono::seconds engine_interval{5};
constexpr std::chrono::seconds stop_limit{25};  // of the 30 that are promised
constexpr std::chrono::milliseconds stand_by_poll{200};
constexpr std::chrono::milliseconds broker_poll{1000};  // while none answers at the start

void say(const std::string& line) {
  std::time_t now = std::time(nullptr);
  char time[32];
  std::strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  std::fprintf(stderr, "%s %s\n", time, line.c_str());
}

// SIGTERM, SIGINT and SIGHUP wait to be asked for; blocked in this and every later thread.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGINT);
    struct sigaction hang_up{};
    bool ignored = sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler == SIG_IGN;  // by nohup
    if (!ignored) sigaddset(&set_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }
  // Waits up to `time`; true when one came.
  bool wait(std::chrono::milliseconds time) {
    timespec limit{time.count() / 1000, time.count() % 1000 * 1'000'000};
    return sigtimedwait(&set_, nullptr, &limit) > 0;
  }

 private:
  sigset_t set_;
};

// Ends the process where stopping does not: a round can hang in one call of a view's function over many long texts, or
// in a peer that answers no more. What is not committed is done again by the next start, as after SIGKILL.
class LastResort {
 public:
  LastResort() : thread_([this] { watch(); }) {}
  ~LastResort() {
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  LastResort(const LastResort&) = delete;
  LastResort& operator=(const LastResort&) = delete;

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, stop_limit, [this] { return stopped_; })) return;
    say(
        fmt::format("stopping: the round in flight has not ended within {} s; it is given up, and done again at the "
                    "next start",
                    stop_limit.count()));
    std::_Exit(exit_try_again);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::thread thread_;
};

// Says what changed since the last time, and rates now and then.
class Reporter {
 public:
  void report(const json& status) {
    for (const json& problem : status["problems"]) once(problem.get<std::string>());
    for (const json& client : status["clients"]) {
      auto id = client["client"].get<std::string>();
      std::string state = client["state"].get<std::string>();
      std::string reason = client["reason"].get<std::string>();
      std::string& known = states_[id];
      if (known != state + reason) {
        known = state + reason;
        std::string remedy = client["remedy"].get<std::string>();
        say(fmt::format("{}: {}{}{}", id, state, reason.empty() ? "" : ": " + reason,
                        remedy.empty() ? "" : "; what to do: " + remedy));
      }
      for (const json& warning : client["warnings"]) once(id + ": " + warning.get<std::string>());
    }
    auto now = std::chrono::steady_clock::now();
    if (now - last_rates_ < report_interval) return;
    rates(status, std::chrono::duration<double>(now - last_rates_).count());
    last_rates_ = now;
  }

  void once(const std::string& line) {
    if (said_.size() < said_max && said_.insert(line).second) say(line);
  }

 private:
  void rates(const json& status, double seconds) {
    uint64_t captured = 0;
    uint64_t waiting = 0;
    for (const json& client : status["clients"]) {
      captured += client["captured_events"].get<uint64_t>();
      if (client["lag"]["events"].is_number()) waiting += client["lag"]["events"].get<uint64_t>();
      for (const json& snapshot : client["snapshots"]) {
        if (snapshot["fraction"].get<double>() >= 1) continue;
        say(fmt::format("{}: snapshot of {} at {:.0f} %", client["client"].get<std::string>(),
                        snapshot["table"].get<std::string>(), snapshot["fraction"].get<double>() * 100));
      }
    }
    if (captured != last_captured_) {
      say(fmt::format("{:.0f} events/s captured, {} wait to be queryable",
                      static_cast<double>(captured - last_captured_) / seconds, waiting));
    }
    last_captured_ = captured;
  }

  static constexpr size_t said_max = 10'000;
  std::map<std::string, std::string> states_;
  std::set<std::string> said_;
  uint64_t last_captured_ = 0;
  std::chrono::steady_clock::time_point last_rates_ = std::chrono::steady_clock::now();
};

// --until-caught-up: first capture reaches the marks, then everything in the log becomes queryable.
class CaughtUp {
 public:
  explicit CaughtUp(const Assembly& assembly) : assembly_(assembly) {}

  bool reached() {
    if (!captured_) {
      if (assembly_.source != nullptr && !assembly_.source->caught_up()) return false;
      captured_ = true;
      ends_ = assembly_.log->ends();
    }
    if (assembly_.runtime == nullptr) return true;
    if (!assembly_.runtime->queryable(ends_)) return false;
    if (assembly_.following_raw != nullptr && !assembly_.following_raw->has(ends_)) return false;
    // Rows may have turned out to lack a value, which the source brings again.
    captured_ = assembly_.source == nullptr || assembly_.source->caught_up();
    return captured_;
  }

 private:
  const Assembly& assembly_;
  bool captured_ = false;
  std::map<TopicPartition, Offset> ends_;
};

Status enforce_retention(Assembly& assembly) {
  if (assembly.embedded_log == nullptr) return {};  // the brokers do it
  const LogConfig& config = assembly.pipeline.log;
  RetentionLimits limits{std::chrono::duration_cast<std::chrono::seconds>(config.retention),
                         config.retention_bytes_max};
  auto offset = [](const std::map<TopicPartition, Offset>& of, const TopicPartition& partition) {
    auto at = of.find(partition);
    return at == of.end() ? Offset{0} : at->second;
  };
  auto processed = assembly.runtime->processed();
  auto in_raw = assembly.following_raw == nullptr ? processed : assembly.following_raw->acknowledged();
  return assembly.embedded_log->enforce_retention(limits, now_micros(), [&](const TopicPartition& partition) {
    return std::min(offset(processed, partition), offset(in_raw, partition));
  });
}

// A log is never longer than its bound by more than a tenth, nor larger by more than what comes in some seconds.
std::chrono::milliseconds retention_interval(const LogConfig& log) {
  std::chrono::milliseconds interval = retention_interval_max;
  if (log.retention.count() > 0) interval = std::min(interval, log.retention / 10);
  if (log.retention_bytes_max > 0) interval = std::min<std::chrono::milliseconds>(interval, retention_bytes_interval);
  return std::max<std::chrono::milliseconds>(interval, status_interval);
}

Status note_progress(const Assembly& assembly, ProgressJournal& journal) {
  if (assembly.runtime == nullptr) return {};
  return journal.note(now_micros(), {.captured = assembly.log->ends(),
                                     .processed = assembly.runtime->processed(),
                                     .stored = assembly.runtime->acknowledged()});
}

int drive(Assembly& assembly, StopSignals& signals, const RunOptions& options) {
  Reporter reporter;
  ProgressJournal journal(*assembly.storage);
  CaughtUp caught_up(assembly);
  std::optional<EngineWatch> engine_watch;
  if (assembly.engine != nullptr && assembly.runtime != nullptr) {
    engine_watch.emplace(*assembly.engine, analytics_directory(assembly.pipeline.data), *assembly.store,
                         *assembly.runtime, say);
  }
  auto next_status = std::chrono::steady_clock::now();
  auto next_retention = next_status;
  auto next_thin = next_status;
  auto next_engine = next_status;
  auto give_up_at = options.seconds > 0
                        ? next_status + std::chrono::milliseconds(static_cast<int64_t>(options.seconds * 1000))
                        : std::chrono::steady_clock::time_point::max();
  bool too_long = false;
  bool too_early = false;  // told to stop before it was caught up
  bool done = false;
  std::optional<LastResort> last_resort;
  while (!done) {
    bool told_to_stop = signals.wait(options.until_caught_up ? tick_until_caught_up : tick);
    bool reached = options.until_caught_up && caught_up.reached();
    done = told_to_stop || reached;
    too_early = options.until_caught_up && !reached;
    auto now = std::chrono::steady_clock::now();
    too_long = !done && now >= give_up_at;
    done = done || too_long;
    if (told_to_stop) last_resort.emplace();
    if (!done && now < next_status) continue;
    next_status = now + status_interval;
    json status = running_status(assembly, now_micros());
    reporter.report(status);
    if (assembly.capture_link != nullptr) assembly.capture_link->tell(status["clients"]);
    if (assembly.process_link != nullptr) assembly.process_link->tell(status["clients"]);
    if (Status written = write_status(assembly.pipeline.data, status); !written.ok())
      reporter.once(written.error().message);
    if (Status noted = note_progress(assembly, journal); !noted.ok()) reporter.once(noted.error().message);
    if (now >= next_retention && assembly.runtime != nullptr) {
      next_retention = now + retention_interval(assembly.pipeline.log);
      if (Status kept = enforce_retention(assembly); !kept.ok()) reporter.once(kept.error().message);
    }
    if (now >= next_thin && assembly.runtime != nullptr) {
      next_thin = now + thin_interval;
      if (Status thinned = journal.thin(now_micros()); !thinned.ok()) say(thinned.error().message);
    }
    if (engine_watch && (done || now >= next_engine)) {
      next_engine = now + engine_interval;
      engine_watch->look();
    }
    if (done && told_to_stop) say("stopping: the round in flight is committed");
  }
  // Sources that need a person are no reason to wait for ever, nor are they caught up.
  std::vector<std::string> stopped;
  if (options.until_caught_up) stopped = stopped_clients(assembly);
  assembly.stop();
  last_resort.reset();
  (void)note_progress(assembly, journal);  // a full disk has been told of
  json last = running_status(assembly, now_micros());
  for (json& client : last["clients"]) client["state"] = client["state"] == "stopped" ? "stopped" : "not_running";
  if (Status written = write_status(assembly.pipeline.data, last); !written.ok()) say(written.error().message);
  if (!stopped.empty()) {
    std::fprintf(stderr, "tributary: %s\n", stopped_message(options.file, stopped).c_str());
    return exit_unavailable;
  }
  if (!too_long && !too_early) return exit_ok;
  std::string when = too_long ? fmt::format("within {:g} s", options.seconds) : "when it was told to stop";
  std::fprintf(
      stderr, "tributary: not caught up %s; `tributary status %s` says how far each client is; run it again to go on\n",
      when.c_str(), options.file.c_str());
  return exit_try_again;
}

std::optional<DataHolder> runs_elsewhere(const Pipeline& pipeline) {
  auto holder = DataDirectory::holder(pipeline.data);
  return holder && holder->use == DataUse::kRun ? holder : std::nullopt;
}

// Waits while another process runs the pipeline on the data directory. False: told to stop meanwhile.
bool stand_by(const Pipeline& pipeline, StopSignals& signals) {
  pid_t known = 0;
  while (auto holder = runs_elsewhere(pipeline)) {
    if (std::exchange(known, holder->process) != holder->process) {
      say(fmt::format("stands by: process {} runs the pipeline on {}", holder->process, pipeline.data));
    }
    if (signals.wait(stand_by_poll)) return false;
  }
  return true;
}

// A pipeline whose brokers are away at its start waits for them as it does later on. kCancelled: told to stop meanwhile.
Result<std::unique_ptr<Assembly>> open_when_brokers_answer(const Pipeline& pipeline, LockFile lock,
                                                           const AssemblyParts& parts, StopSignals& signals) {
  bool stands_by = parts.process && !parts.capture;
  std::string said;
  while (true) {
    auto opened = Assembly::open(pipeline, lock, parts, say);
    if (opened.ok() || !is_kafka(pipeline.log)) return opened;
    if (stands_by && runs_elsewhere(pipeline)) {  // another standby was faster
      if (!stand_by(pipeline, signals)) return Error{ErrorCode::kCancelled, "told to stop"};
      continue;
    }
    if (!retryable(opened.error().code)) return opened;
    std::string why = opened.error().to_string();
    if (why != said) say(why + "; waiting until that is over");
    json status = stopped_status(pipeline);
    status["problems"] = json::array({why});
    (void)write_status(pipeline.data, status);  // for `status`, as far as the folder takes it
    said = std::move(why);
    if (signals.wait(broker_poll)) return Error{ErrorCode::kCancelled, "told to stop"};
  }
}

// Stages in processes of their own meet in a log that all of them reach.
std::vector<FileError> why_not_apart(const Pipeline& pipeline, Stages stages) {
  std::vector<FileError> errors;
  if (stages == Stages::kAll) return errors;
  if (!is_kafka(pipeline.log)) {
    if (stages == Stages::kProcess) {
      errors.push_back({pipeline.file, pipeline.log.target.place,
                        "log: an embedded log belongs to one process, which runs all stages; name brokers as log: "
                        "kafka://HOST:PORT for --stages process"});
    }
    return errors;
  }
  for (const auto& [id, client] : pipeline.clients) {
    if (client.source.scheme != "debezium+kafka") continue;
    errors.push_back({pipeline.file, client.place,
                      fmt::format("client {} is read from a connector's topics, and only by a process that runs all "
                                  "stages; run it without --stages",
                                  id)});
  }
  return errors;
}

int refuse_later(const std::vector<FileError>& later) {
  print_errors(later);
  return exit_config;
}

}  // namespace

int run_command(const RunOptions& options) {
  auto stages = parse_stages(options.stages);
  if (!stages) {
    std::fprintf(stderr, "tributary: --stages takes all, capture or process, not %s\n", options.stages.c_str());
    return exit_usage;
  }
  auto loaded = load_or_complain(options.file);
  if (int* code = std::get_if<int>(&loaded)) return *code;
  const auto& pipeline = std::get<Pipeline>(loaded);
  if (auto later = not_built_yet(pipeline); !later.empty()) return refuse_later(later);
  if (auto refused = why_not_apart(pipeline, *stages); !refused.empty()) return refuse_later(refused);
  StopSignals signals;
  if (*stages == Stages::kProcess && !stand_by(pipeline, signals)) return exit_ok;
  if (Status waited = announce_wait(pipeline); !waited.ok()) return print_error(waited.error());
  if (auto why = DataDirectory::why_not_creatable(pipeline.data)) {
    std::fprintf(stderr, "tributary: cannot create the data directory %s: %s\n", pipeline.data.c_str(), why->c_str());
    return exit_cannot_create;
  }
  auto lock = *stages == Stages::kAll ? schemas_for_run(pipeline) : schemas_without_sources(pipeline);
  if (auto* errors = std::get_if<std::vector<FileError>>(&lock)) {
    print_errors(*errors);
    return exit_config;
  }
  bool processes = *stages != Stages::kCapture;
  if (processes) {
    // One that is away is waited for, one that cannot be used is not.
    Status usable = analytics_usable(pipeline);
    if (!usable.ok()) return print_error(usable.error());
  }
  auto opened = open_when_brokers_answer(pipeline, std::get<LockFile>(std::move(lock)),
                                         {.engine = processes,
                                          .process = processes,
                                          .capture = *stages != Stages::kProcess,
                                          .run = true,
                                          .stages = *stages,
                                          .shares = !options.until_caught_up,
                                          .wait = [&](std::chrono::milliseconds time) { return signals.wait(time); },
                                          .bulk = options.read != "streaming"},
                                         signals);
  if (!opened.ok()) return opened.error().code == ErrorCode::kCancelled ? exit_ok : print_error(opened.error());
  Assembly& assembly = **opened;
  auto control = ControlServer::listen(control_socket_path(pipeline.data), control_handler(assembly));
  if (!control.ok()) return print_error(control.error());
  if (Status started = assembly.start(); !started.ok()) return print_error(started.error());
  if (options.until_caught_up && assembly.source != nullptr) assembly.source->mark_heads();
  for (const FileError& note : without_effect(pipeline)) say("note: " + note.to_string());
  for (const std::string& note : assembly.left_behind) say("note: " + note);
  if (assembly.storage != nullptr) {
    if (std::string note = release_note(assembly); !note.empty()) say("note: " + note);
  }
  say(fmt::format("{} runs: {} clients, data in {}", pipeline.name, pipeline.clients.size(), pipeline.data));
  int code = drive(assembly, signals, options);
  (*control)->stop();
  return code;
}

}  // namespace tributary
