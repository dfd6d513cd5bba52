#include "app/dead_letter_list.h"

#include <algorithm>
#include <cctype>

#include "app/event_reader.h"
#include "app/json_line.h"
#include "app/pipeline_plan.h"
#include "base/hex.h"
#include "capture/debezium/debezium_state.h"
#include "model/row_key.h"
#include "runtime/builds.h"
#include "runtime/dead_letters.h"

namespace tributary {
namespace {

using nlohmann::json;

// What the views' plans say of the keys of letters.
class Plans {
 public:
  explicit Plans(const Pipeline& pipeline) {
    auto lock = read_lock(lock_path(pipeline.file));
    auto* known = std::get_if<std::optional<LockFile>>(&lock);
    auto duckdb = DuckDbEngine::open();
    if (known == nullptr || !*known || !duckdb.ok()) return;
    compiled_ = compile_pipeline(pipeline, &**known, plan_functions(**duckdb)).compiled;
  }

  std::vector<DeadLetterRow> rows_of(const std::string& view, const std::string& letter_key) const {
    const ViewPlan* plan = find(view);
    return plan == nullptr ? std::vector<DeadLetterRow>() : rows_of_dead_letter(*plan, letter_key);
  }
  // Whether a row of the domain has a part in what the letter is about, through whatever views.
  bool is_about(const std::string& view, const std::string& letter_key, const DeadLetterRow& row) const {
    std::vector<DeadLetterRow> from = rows_of(view, letter_key);
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i].relation == row.relation && from[i].key == row.key) return true;
      const ViewPlan* plan = from[i].relation == view ? nullptr : find(from[i].relation);
      if (plan == nullptr) continue;
      view_rows_behind(*plan, std::string(from[i].key), from);
    }
    return false;
  }
  bool is_domain(const std::string& relation) const { return compiled_.domains.contains(relation); }

  // "orders id=1; items order_id=1, line=2", "group user_id=3".
  std::string text(const std::string& view, const std::string& letter_key) const {
    std::string out;
    for (const DeadLetterRow& row : rows_of(view, letter_key)) {
      bool group = row.relation == view && !is_domain(view);
      out += (out.empty() ? "" : "; ") + (group ? std::string(row.key.empty() ? "all rows" : "group") : row.relation);
      std::vector<std::string> names = group ? group_names(*find(view)) : key_names_of(row.relation);
      std::vector<std::optional<std::string>> values = row_key_values(row.key);
      for (size_t i = 0; i < values.size(); ++i) {
        out += i == 0 ? " " : ", ";
        if (i < names.size() && names[i].find('#') == std::string::npos) out += names[i] + "=";
        out += values[i].value_or("NULL");
      }
    }
    return out.empty() ? row_key_to_string(failed_at(letter_key).key) : out;
  }

 private:
  // A group of the view is not followed.
  static void view_rows_behind(const ViewPlan& plan, const std::string& key, std::vector<DeadLetterRow>& to) {
    for (DeadLetterRow& row : rows_of_row(plan, key)) {
      if (row.relation != plan.name) to.push_back(std::move(row));
    }
  }
  const ViewPlan* find(const std::string& view) const {
    for (const ViewPlan& plan : compiled_.views) {
      if (plan.name == view) return &plan;
    }
    return nullptr;
  }
  std::vector<std::string> key_names_of(const std::string& relation) const {
    if (auto domain = compiled_.domains.find(relation); domain != compiled_.domains.end())
      return domain->second.relation.key;
    const ViewPlan* plan = find(relation);
    return plan == nullptr ? std::vector<std::string>() : plan->key;
  }
  static std::vector<std::string> group_names(const ViewPlan& plan) {
    for (size_t node = plan.nodes.size(); node-- > 0;) {
      const PlanNode& of = plan.nodes[node];
      if (of.kind != NodeKind::kAggregate) continue;
      std::vector<std::string> names;
      for (size_t i = 0; i < of.aggregate.group_columns; ++i) names.push_back(of.columns[i].name);
      return names;
    }
    return {};
  }

  CompiledPipeline compiled_;
};

// All events of the domains' rows that the letter is about. Of a group `trace` tells the rows.
Result<json> events_of(const Pipeline& pipeline, EventLog& log, RawStore& raw, const std::string& client,
                       const std::vector<DeadLetterRow>& rows, const Plans& plans) {
  json events = json::array();
  EventReader reader(pipeline, log, &raw);
  for (const DeadLetterRow& row : rows) {
    if (!plans.is_domain(row.relation)) continue;
    TapOptions options{.client = client,
                       .from_start = true,
                       .from_micros = {},
                       .follow = false,
                       .raw = true,
                       .key = row.key,
                       .domain = row.relation};
    RETURN_IF_ERROR(reader.read(
        options,
        [&](std::string_view line) {
          events.push_back(json::parse(line, nullptr, false));
          return true;
        },
        [] { return true; }));
  }
  return events;
}

// Without the engine's word of a column that only the plan has: "… when casting from source column max#1".
std::string reason_for_people(std::string reason) {
  size_t at = reason.find(" when casting from source column ");
  if (at != std::string::npos && reason.find('#', at) != std::string::npos) reason.erase(at);
  return reason;
}

// Messages of a connector that could not be read.
Status add_unread_messages(EventLog& log, const std::string& client, const DeadLetterFilter& filter, json& list) {
  ASSIGN_OR_RETURN(SourceState state, log.peek_source_state(ClientId{client}));
  for (const auto& [key, bytes] : state) {
    if (!key.starts_with(debezium_dead_prefix)) continue;
    std::string place = key.substr(debezium_dead_prefix.size());
    if (!filter.id.empty() && filter.id != place) continue;
    ASSIGN_OR_RETURN(DebeziumDeadMessage message, DebeziumDeadMessage::decode(bytes));
    if (!filter.has_reason(message.reason)) continue;
    json entry{{"client", client},   {"view", ""},        {"id", place},
               {"key", message.key}, {"position", place}, {"reason", message.reason}};
    if (filter.events) entry["events"] = json::array({{{"key", message.key}, {"value", message.value}}});
    list.push_back(std::move(entry));
  }
  return {};
}

}  // namespace

bool DeadLetterFilter::has_reason(const std::string& of_letter) const {
  auto same = [](unsigned char one, unsigned char other) { return std::tolower(one) == std::tolower(other); };
  return std::search(of_letter.begin(), of_letter.end(), reason.begin(), reason.end(), same) != of_letter.end() ||
         reason.empty();
}

std::string DeadLetterFilter::to_json() const {
  return json_line(json{{"command", "dead_letter_list"},
                        {"client", client},
                        {"view", view},
                        {"id", id},
                        {"reason", reason},
                        {"events", events}});
}

DeadLetterFilter DeadLetterFilter::from_json(const json& json) {
  return {json.value("client", ""), json.value("view", ""),      json.value("id", ""),
          json.value("reason", ""), json.value("events", false), {}};
}

Result<json> list_dead_letters(const Pipeline& pipeline, const Storage& storage, EventLog& log, RawStore& raw,
                               const DeadLetterFilter& filter) {
  json list = json::array();
  ASSIGN_OR_RETURN(Builds builds, Builds::load(storage));
  DeadLetters counts;
  RETURN_IF_ERROR(counts.load(storage));
  std::optional<Plans> plans;
  for (const Build& build : builds.all()) {
    if (!filter.view.empty() && build.view != filter.view) continue;
    // Of several builds those count that readers see.
    if (!build.shown && builds.shown(build.view) != nullptr) continue;
    for (const auto& [id, config] : pipeline.clients) {
      if (!filter.client.empty() && id != filter.client) continue;
      ASSIGN_OR_RETURN(auto letters, DeadLetters::stored(storage, ClientId{id}, build.table()));
      for (const DeadLetter& letter : letters) {
        std::string hex = to_hex(letter.key);
        if (letter.dropped || (!filter.id.empty() && filter.id != hex) || !filter.has_reason(letter.reason)) continue;
        if (!plans) plans.emplace(pipeline);
        if (filter.row && !plans->is_about(build.view, letter.key, *filter.row)) continue;
        json entry{{"client", id},
                   {"view", build.view},
                   {"id", hex},
                   {"key", plans->text(build.view, letter.key)},
                   {"position", letter.position == Position{} ? "" : letter.position.to_string()},
                   {"reason", reason_for_people(letter.reason)}};
        if (filter.events) {
          ASSIGN_OR_RETURN(entry["events"],
                           events_of(pipeline, log, raw, id, plans->rows_of(build.view, letter.key), *plans));
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
    bool wanted = !filter.row && filter.view.empty() && (filter.client.empty() || id == filter.client);
    if (wanted) RETURN_IF_ERROR(add_unread_messages(log, id, filter, list));
  }
  return list;
}

}  // namespace tributary
