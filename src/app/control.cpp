#include "app/control.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/control_releases.h"
#include "app/dead_letter_list.h"
#include "app/event_reader.h"
#include "app/json_line.h"
#include "app/preview.h"
#include "app/status_report.h"
#include "app/trace.h"
#include "base/hex.h"
#include "base/wall_clock.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds wait_poll{10};
constexpr std::chrono::seconds remind_interval{2};
constexpr std::chrono::seconds prepare_limit{30};  // a query waits so long for the first tables

constexpr std::chrono::seconds reach_limit{60};
constexpr std::chrono::milliseconds reach_poll{50};

std::string held_by_command(const Pipeline& pipeline, const std::optional<DataHolder>& holder) {
  return fmt::format("another command ({}) still works on {}; try again when it has ended",
                     holder ? fmt::format("process {}", holder->process) : "a process that just ends", pipeline.data);
}

// What the lock file has. Without one, what the log knows is enough for what a command does.
LockFile known_schemas(const Pipeline& pipeline) {
  auto stored = read_lock(lock_path(pipeline.file));
  auto* lock = std::get_if<std::optional<LockFile>>(&stored);
  return lock == nullptr ? LockFile{} : std::move(*lock).value_or(LockFile{});
}

// Marks the sources' heads, and waits until everything before them is in the log and then queryable.
// `client` empty: all of them; else that one's, whatever the others do.
Status wait_queryable(const Assembly& assembly, const std::string& client, std::chrono::milliseconds limit,
                      ControlStream& out) {
  if (assembly.runtime == nullptr || (assembly.source == nullptr && assembly.process_link == nullptr)) {
    return Error{ErrorCode::kUnsupported, "the running pipeline has not all its stages"};
  }
  auto deadline = std::chrono::steady_clock::now() + limit;
  auto until = [&](const std::function<bool()>& condition) {
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline || !out.wanted()) return false;
      std::this_thread::sleep_for(wait_poll);
    }
    return true;
  };
  bool reached = false;
  if (assembly.process_link != nullptr) {
    uint64_t mark = assembly.process_link->mark();
    auto remind_at = std::chrono::steady_clock::now() + remind_interval;
    reached = until([&] {
      if (std::chrono::steady_clock::now() > remind_at) {
        assembly.process_link->remind(mark);
        remind_at += remind_interval;
      }
      for (const auto& [id, config] : assembly.pipeline.clients) {
        bool wanted = client.empty() || client == id;
        if (wanted && !assembly.process_link->in_log(id, mark) && !assembly.process_link->stopped(id)) return false;
      }
      return true;
    });
    RETURN_IF_ERROR(assembly.kafka_log->catch_up());
  } else {
    assembly.source->mark_heads();
    reached = until(
        [&] { return client.empty() ? assembly.source->caught_up() : assembly.source->caught_up(ClientId{client}); });
  }
  auto ends = assembly.log->ends();
  std::optional<Checkpoint> read_at;
  reached = reached && until([&] {
              return client.empty() ? assembly.runtime->queryable(ends)
                                    : assembly.runtime->queryable(ends, ClientId{client}, read_at);
            });
  out.send(json_line(json{{"queryable", reached}, {"stopped", stopped_clients(assembly)}}));
  return {};
}

Status handle(const Assembly& assembly, std::string_view request, ControlStream& out) {
  json parsed = json::parse(request, nullptr, false);
  if (!parsed.is_object()) return Error{ErrorCode::kInvalidInput, "the request is no JSON object"};
  std::string command = parsed.value("command", "");
  if (command == "status") {
    out.send(json_line(running_status(assembly, now_micros())));
    return {};
  }
  bool of_the_log = command == "tap" && !parsed.value("raw", false);
  if (assembly.storage == nullptr && !of_the_log) return Error{ErrorCode::kUnsupported, asks_processing()};
  auto answer = answer_release_request(assembly, parsed);
  std::function<bool()> wanted = [&out] { return out.wanted(); };
  if (!answer) answer = answer_preview_request(assembly, parsed, wanted);
  if (!answer) answer = answer_trace_request(assembly, parsed, wanted);
  if (answer) {
    if (!answer->ok()) return answer->error();
    out.send(json_line(**answer));
    return {};
  }
  if (command == "query") {
    if (assembly.queries == nullptr) return Error{ErrorCode::kUnsupported, "the running pipeline has no analytics"};
    if (assembly.runtime != nullptr) RETURN_IF_ERROR(assembly.runtime->wait_prepared(prepare_limit));
    ClientQuery query{ClientId{parsed.value("client", "")}, parsed.value("sql", ""), parsed.value("format", "")};
    auto& queries = parsed.value("whole_tables", false) ? assembly.validator_queries : assembly.queries;
    return queries->query(query, [&](std::string_view part) { out.send(part); });
  }
  if (command == "tap") {
    ASSIGN_OR_RETURN(TapOptions options, TapOptions::from_json(request));
    EventReader reader(assembly.pipeline, *assembly.log, assembly.raw);
    return reader.read(options, [&](std::string_view line) { return out.send(line); }, [&] { return out.wanted(); });
  }
  if (command == "wait") {
    return wait_queryable(assembly, parsed.value("client", ""),
                          std::chrono::milliseconds(parsed.value("milliseconds", 0)), out);
  }
  if (command == "reset") {
    ClientId client{parsed.value("client", "")};
    if (!assembly.pipeline.clients.contains(client.value) || assembly.source == nullptr) {
      return Error{ErrorCode::kNotFound, fmt::format("the running pipeline does not capture client {}", client)};
    }
    RETURN_IF_ERROR(assembly.log->append(std::array{reset_mark(client)}));
    out.send(json_line(json{{"at_once", assembly.source->begin_session_again(client)}}));
    return {};
  }
  if (command == "dead_letters") {
    if (assembly.runtime == nullptr) return {};
    ASSIGN_OR_RETURN(
        auto keys, assembly.runtime->dead_letter_keys(ClientId{parsed.value("client", "")}, parsed.value("view", "")));
    for (const std::string& key : keys) out.send(key);
    return {};
  }
  if (command == "dead_letter_list") {
    ASSIGN_OR_RETURN(json list, list_dead_letters(assembly.pipeline, *assembly.storage, *assembly.log, *assembly.raw,
                                                  DeadLetterFilter::from_json(parsed)));
    out.send(json_line(list));
    return {};
  }
  if (command == "dead_letter_order") {
    if (assembly.runtime == nullptr) return Error{ErrorCode::kUnsupported, "the running pipeline does not process"};
    RoundRunner::DeadLetterOrder order{
        ClientId{parsed.value("client", "")}, parsed.value("view", ""), {}, parsed.value("drop", false)};
    DeadLetterFilter filter = DeadLetterFilter::from_json(parsed);
    if (!filter.id.empty() || !filter.reason.empty()) {  // those, else all
      ASSIGN_OR_RETURN(json chosen,
                       list_dead_letters(assembly.pipeline, *assembly.storage, *assembly.log, *assembly.raw, filter));
      for (const json& letter : chosen) {
        if (!letter.contains("id")) continue;
        if (auto key = from_hex(letter["id"].get<std::string>())) order.keys.push_back(std::move(*key));
      }
      if (order.keys.empty()) {
        return Error{ErrorCode::kNotFound,
                     fmt::format("there is no dead letter {} of client {} in view {}; `dead-letters FILE list` shows "
                                 "those there are",
                                 filter.id.empty() ? "of this reason" : filter.id, order.client, order.view)};
      }
    }
    assembly.runtime->order(std::move(order));
    return {};
  }
  return Error{ErrorCode::kUnsupported, fmt::format("the running pipeline knows no command {}", command)};
}

}  // namespace

ControlHandler control_handler(const Assembly& assembly) {
  return [&assembly](std::string_view request, ControlStream& out) { return handle(assembly, request, out); };
}

Result<Reached> reach_pipeline(const Pipeline& pipeline, AssemblyParts parts) {
  auto deadline = std::chrono::steady_clock::now() + reach_limit;
  while (true) {
    auto holder = DataDirectory::holder(pipeline.data);
    bool runs = holder && holder->use == DataUse::kRun;
    if (runs && control_answers(control_socket_path(pipeline.data))) return Reached{};
    if (!runs) {
      auto opened = Assembly::open(pipeline, known_schemas(pipeline), parts, [](const std::string&) {});
      if (opened.ok()) return Reached{std::move(opened).value()};
      if (opened.error().code != ErrorCode::kAlreadyExists) return opened.error();
    }
    if (std::chrono::steady_clock::now() > deadline) {
      return Error{
          ErrorCode::kAlreadyExists,
          runs ? fmt::format("process {} is still starting or stopping this pipeline; try again", holder->process)
               : held_by_command(pipeline, holder)};
    }
    std::this_thread::sleep_for(reach_poll);
  }
}

Status check_data_directory(const Pipeline& pipeline, std::string_view what) {
  auto identity = DataDirectory::inspect(pipeline.data);
  if (identity.ok() && identity->pipeline != pipeline.name) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("{} belongs to the pipeline '{}', not to '{}': give each pipeline a `data:` of its own",
                             pipeline.data, identity->pipeline, pipeline.name)};
  }
  if (identity.ok()) return {};
  if (identity.error().code != ErrorCode::kNotFound) return identity.error();
  return Error{ErrorCode::kNotFound,
               fmt::format("there is nothing to {}: {} does not exist yet; `tributary run {}` makes it", what,
                           pipeline.data, pipeline.file)};
}

Status announce_wait(const Pipeline& pipeline) {
  auto holder = DataDirectory::holder(pipeline.data);
  if (!holder) return {};
  if (holder->use == DataUse::kRun) {
    return Error{ErrorCode::kAlreadyExists, fmt::format("process {} is running this pipeline on {}; stop it first",
                                                        holder->process, pipeline.data)};
  }
  std::fprintf(stderr, "tributary: waits for another command (process %d) to be done with %s\n", holder->process,
               pipeline.data.c_str());
  return {};
}

Status control_query(const Pipeline& pipeline, const ClientQuery& query, bool whole_tables,
                     const std::function<void(std::string_view)>& out) {
  json request{{"command", "query"},
               {"client", query.client.value},
               {"sql", query.sql},
               {"format", query.format},
               {"whole_tables", whole_tables}};
  return control_call(control_socket_path(pipeline.data), json_line(request), [&](std::string_view part) {
    out(part);
    return true;
  });
}

Result<std::string> control_live_views(const Pipeline& pipeline) {
  ASSIGN_OR_RETURN(std::string answer, control_status(pipeline));
  json status = json::parse(answer, nullptr, false);
  if (!status.is_object()) return Error{ErrorCode::kUnavailable, "the running pipeline was stopped while it answered"};
  for (const json& release : status.value("releases", json::array())) {
    if (release.value("state", "") == "live") return release.value("definitions", "");
  }
  return std::string();
}

Result<std::string> control_status(const Pipeline& pipeline) {
  std::string answer;
  RETURN_IF_ERROR(
      control_call(control_socket_path(pipeline.data), R"({"command":"status"})", [&](std::string_view part) {
        answer.append(part);
        return true;
      }));
  return answer;
}

Result<Waited> control_wait(const Pipeline& pipeline, const ClientId& client, std::chrono::milliseconds limit) {
  std::string answer;
  json request{{"command", "wait"}, {"client", client.value}, {"milliseconds", limit.count()}};
  RETURN_IF_ERROR(control_call(control_socket_path(pipeline.data), json_line(request), [&](std::string_view part) {
    answer.append(part);
    return true;
  }));
  json parsed = json::parse(answer, nullptr, false);
  if (!parsed.is_object()) return Error{ErrorCode::kUnavailable, "the running pipeline was stopped while it waited"};
  return Waited{parsed.value("queryable", false), parsed.value("stopped", std::vector<std::string>())};
}

LogAppend reset_mark(const ClientId& client) { return {client, {}, {{"reset", "1"}}}; }

Result<bool> control_reset(const Pipeline& pipeline, const ClientId& client) {
  std::string answer;
  json request{{"command", "reset"}, {"client", client.value}};
  RETURN_IF_ERROR(control_call(control_socket_path(pipeline.data), json_line(request), [&](std::string_view part) {
    answer.append(part);
    return true;
  }));
  json parsed = json::parse(answer, nullptr, false);
  if (!parsed.is_object())
    return Error{ErrorCode::kUnavailable, "the running pipeline was stopped while it answered; say it again"};
  return parsed.value("at_once", false);
}

Result<std::vector<std::string>> control_dead_letters(const Pipeline& pipeline, const ClientId& client,
                                                      const std::string& view) {
  std::vector<std::string> keys;
  json request{{"command", "dead_letters"}, {"client", client.value}, {"view", view}};
  RETURN_IF_ERROR(control_call(control_socket_path(pipeline.data), json_line(request), [&](std::string_view key) {
    keys.emplace_back(key);
    return true;
  }));
  return keys;
}

}  // namespace tributary
