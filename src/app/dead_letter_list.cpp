#include "app/dead_letter_list.h"

#include "app/event_reader.h"
#include "base/hex.h"
#include "capture/debezium/debezium_state.h"
#include "model/row_key.h"
#include "runtime/builds.h"
#include "runtime/dead_letters.h"

namespace tributary {
namespace {

using nlohmann::json;

// All events of the row in any domain: its key tells which they are.
Result<json> events_of(const Pipeline& pipeline, EventLog& log, RawStore& raw, const std::string& client,
                       const std::string& key) {
  json events = json::array();
  EventReader reader(pipeline, log, &raw);
  TapOptions options{.client = client,
                     .from_start = true,
                     .from_micros = {},
                     .follow = false,
                     .raw = true,
                     .key = domain_key(key),
                     .domain = {}};
  RETURN_IF_ERROR(reader.read(
      options,
      [&](std::string_view line) {
        events.push_back(json::parse(line, nullptr, false));
        return true;
      },
      [] { return true; }));
  return events;
}

// Messages of a connector that could not be read.
Status add_unread_messages(EventLog& log, const std::string& client, const DeadLetterFilter& filter, json& list) {
  ASSIGN_OR_RETURN(SourceState state, log.peek_source_state(ClientId{client}));
  for (const auto& [key, bytes] : state) {
    if (!key.starts_with(debezium_dead_prefix)) continue;
    std::string place = key.substr(debezium_dead_prefix.size());
    if (!filter.id.empty() && filter.id != place) continue;
    ASSIGN_OR_RETURN(DebeziumDeadMessage message, DebeziumDeadMessage::decode(bytes));
    json entry{{"client", client},   {"view", ""},        {"id", place},
               {"key", message.key}, {"position", place}, {"reason", message.reason}};
    if (filter.events) entry["events"] = json::array({{{"key", message.key}, {"value", message.value}}});
    list.push_back(std::move(entry));
  }
  return {};
}

}  // namespace

std::string DeadLetterFilter::to_json() const {
  return json{{"command", "dead_letter_list"}, {"client", client}, {"view", view}, {"id", id}, {"events", events}}
      .dump();
}

DeadLetterFilter DeadLetterFilter::from_json(const json& json) {
  return {json.value("client", ""), json.value("view", ""), json.value("id", ""), json.value("events", false)};
}

Result<json> list_dead_letters(const Pipeline& pipeline, const Storage& storage, EventLog& log, RawStore& raw,
                               const DeadLetterFilter& filter) {
  json list = json::array();
  ASSIGN_OR_RETURN(Builds builds, Builds::load(storage));
  DeadLetters counts;
  RETURN_IF_ERROR(counts.load(storage));
  for (const Build& build : builds.all()) {
    if (!filter.view.empty() && build.view != filter.view) continue;
    // Of several builds those count that readers see.
    if (!build.shown && builds.shown(build.view) != nullptr) continue;
    for (const auto& [id, config] : pipeline.clients) {
      if (!filter.client.empty() && id != filter.client) continue;
      ASSIGN_OR_RETURN(auto letters, DeadLetters::stored(storage, ClientId{id}, build.table()));
      for (const DeadLetter& letter : letters) {
        std::string hex = to_hex(letter.key);
        if (letter.dropped || (!filter.id.empty() && filter.id != hex)) continue;
        json entry{{"client", id},
                   {"view", build.view},
                   {"id", hex},
                   {"key", row_key_to_string(domain_key(letter.key))},
                   {"position", letter.position.to_string()},
                   {"reason", letter.reason}};
        if (filter.events) {
          ASSIGN_OR_RETURN(entry["events"], events_of(pipeline, log, raw, id, letter.key));
        }
        list.push_back(std::move(entry));
      }
      auto all = counts.counts();
      auto at = all.find({ClientId{id}, build.table()});
      if (at != all.end() && at->second.tripped()) {
        list.push_back({{"client", id}, {"view", build.view}, {"not_kept", at->second.not_kept}});
      }
    }
  }
  for (const auto& [id, config] : pipeline.clients) {
    bool wanted = filter.view.empty() && (filter.client.empty() || id == filter.client);
    if (wanted) RETURN_IF_ERROR(add_unread_messages(log, id, filter, list));
  }
  return list;
}

}  // namespace tributary
