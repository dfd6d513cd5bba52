#include "app/control_releases.h"

#include <algorithm>

#include "app/table_diff.h"
#include "config/views_text.h"

namespace tributary {
namespace {

using nlohmann::json;
using Order = RoundRunner::ReleaseOrder;
using ReleaseStatus = RoundRunner::ReleaseStatus;

constexpr std::chrono::seconds order_limit{60};

std::string_view state_of(const ReleaseStatus& release) {
  if (release.live) return "live";
  if (!release.problems.empty()) return "broken";
  if (!release.whole() || !release.stored) return "building";
  return release.scope.whole() ? "ready" : "partial";
}

json optional_json(const std::optional<int64_t>& micros) { return micros ? json(*micros) : json(nullptr); }

json release_json(const ReleaseStatus& release) {
  json views = json::array();
  for (const auto& view : release.builds) {
    views.push_back({{"view", view.name}, {"table", view.table}, {"whole", view.whole}, {"shared", view.shared}});
  }
  json clients = json::array();
  for (const ClientId& client : release.scope.clients) clients.push_back(client.value);
  return {{"number", release.number},
          {"state", state_of(release)},
          {"made_micros", release.made_micros},
          {"replaced", release.replaced == 0 ? json(nullptr) : json(release.replaced)},
          {"clients", clients},
          {"from_micros", optional_json(release.scope.from_micros)},
          {"to_micros", optional_json(release.scope.to_micros)},
          {"events", release.events},
          {"events_fed", release.events_fed},
          {"problems", release.problems},
          {"definitions", release.views},
          {"views", views}};
}

Result<Order> order_of(const json& request) {
  Order order;
  std::string action = request.value("action", "");
  if (action == "make") {
    order.views = request.value("views", "");
    RETURN_IF_ERROR(parse_views_text(order.views));
    order.again = request.value("again", std::set<std::string>());
    for (const std::string& client : request.value("clients", std::vector<std::string>()))
      order.scope.clients.emplace(client);
    if (request.contains("from_micros")) order.scope.from_micros = request["from_micros"].get<int64_t>();
    if (request.contains("to_micros")) order.scope.to_micros = request["to_micros"].get<int64_t>();
    order.events_per_second_max = request.value("events_per_second_max", 0U);
    order.now_micros = request.value("now_micros", int64_t{0});
    return order;
  }
  order.number = request.value("number", 0U);
  if (action == "switch") {
    order.kind = Order::Kind::kSwitch;
  } else if (action == "rollback") {
    order.kind = Order::Kind::kRollBack;
  } else if (action == "drop") {
    order.kind = Order::Kind::kDrop;
  } else {
    return Error{ErrorCode::kInvalidInput, fmt::format("there is no order {} for releases", action)};
  }
  return order;
}

std::map<std::string, std::string> tables_of(const ReleaseStatus& release) {
  std::map<std::string, std::string> tables;
  for (const auto& view : release.builds) tables[view.name] = view.table;
  return tables;
}

// Each view that the two do not share, of each client.
Result<json> diff(const Assembly& assembly, const json& request) {
  if (assembly.store == nullptr) return Error{ErrorCode::kUnsupported, "the running pipeline has no analytics"};
  std::vector<ReleaseStatus> all = assembly.runtime->releases();
  // Of a stopped pipeline, opened for this: the runtime has not looked yet at what is whole.
  ASSIGN_OR_RETURN(std::vector<ReleaseStatus> stored, stored_releases(*assembly.storage));
  for (ReleaseStatus& release : all) {
    for (const ReleaseStatus& known : stored) {
      if (known.number == release.number && known.stored && release.problems.empty()) release = known;
    }
  }
  auto number = request.value("number", 0U);
  auto other = std::find_if(all.begin(), all.end(), [&](const ReleaseStatus& of) { return of.number == number; });
  if (other == all.end()) return Error{ErrorCode::kNotFound, fmt::format("there is no release {}", number)};
  auto before = tables_of(all.front());
  auto after = tables_of(*other);
  std::set<std::string> views;
  for (const auto& [view, table] : before) views.insert(view);
  for (const auto& [view, table] : after) views.insert(view);
  std::string only_view = request.value("view", "");
  std::string only_client = request.value("client", "");
  if (!only_view.empty() && !views.contains(only_view)) {
    return Error{ErrorCode::kNotFound, fmt::format("neither release {} nor release {}, which is live, has a view {}",
                                                   number, all.front().number, only_view)};
  }
  json answer{{"live", all.front().number}, {"release", number}, {"state", state_of(*other)}, {"views", json::array()}};
  answer["unchanged"] = json::array();
  for (const std::string& view : views) {
    if (!only_view.empty() && view != only_view) continue;
    if (before[view] == after[view]) {
      answer["unchanged"].push_back(view);
      continue;
    }
    for (const auto& [id, config] : assembly.pipeline.clients) {
      if (!only_client.empty() && id != only_client) continue;
      if (!other->scope.takes(ClientId{id})) continue;
      ASSIGN_OR_RETURN(TableDiff of, diff_tables(*assembly.store, before[view], after[view], ClientId{id},
                                                 request.value("samples", size_t{3})));
      json entry = of.to_json();
      entry["view"] = view;
      entry["client"] = id;
      answer["views"].push_back(std::move(entry));
    }
  }
  return answer;
}

}  // namespace

Result<json> stored_releases_json(const Pipeline& pipeline) {
  ASSIGN_OR_RETURN(DataDirectory directory, DataDirectory::open(pipeline.data, pipeline.name, DataUse::kCommand));
  ASSIGN_OR_RETURN(std::unique_ptr<Storage> storage, Storage::open(directory.db(), {}));
  ASSIGN_OR_RETURN(std::vector<ReleaseStatus> stored, stored_releases(*storage));
  json all = json::array();
  for (const ReleaseStatus& release : stored) all.push_back(release_json(release));
  return json{{"releases", std::move(all)}};
}

json releases_json(const Assembly& assembly) {
  json all = json::array();
  for (const ReleaseStatus& release : assembly.runtime->releases()) all.push_back(release_json(release));
  return {{"releases", std::move(all)},
          {"switching", !assembly.runtime->shows_live()},
          {"feed_problem", assembly.runtime->status().feed_problem}};
}

std::string release_note(const Assembly& assembly) {
  if (assembly.runtime == nullptr) return {};
  std::string views = views_text(assembly.pipeline.views);
  std::vector<ReleaseStatus> all = assembly.runtime->releases();
  if (all.empty() || all.front().views == views) return {};
  for (const ReleaseStatus& release : all) {
    if (release.views != views) continue;
    return fmt::format(
        "the views of the file are release {}, and release {} is live: `tributary release FILE switch {}` "
        "brings readers to it",
        release.number, all.front().number, release.number);
  }
  return {};
}

std::optional<Result<json>> answer_release_request(const Assembly& assembly, const json& request) {
  std::string command = request.value("command", "");
  if (command != "releases" && command != "release_order" && command != "release_diff") return std::nullopt;
  if (assembly.runtime == nullptr)
    return Result<json>(Error{ErrorCode::kUnsupported, "the running pipeline does not process"});
  if (command == "releases") return Result<json>(releases_json(assembly));
  if (command == "release_diff") return diff(assembly, request);
  auto order = order_of(request);
  if (!order.ok()) return Result<json>(order.error());
  auto number = assembly.runtime->order(*std::move(order), order_limit);
  if (!number.ok()) return Result<json>(number.error());
  return Result<json>(json{{"number", *number}});
}

}  // namespace tributary
