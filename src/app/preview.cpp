#include "app/preview.h"

#include "app/scratch_views.h"
#include "app/table_diff.h"

namespace tributary {
namespace {

using nlohmann::json;

constexpr int attempts_max = 3;

Result<json> preview(const Assembly& assembly, const json& request, const std::function<bool()>& wanted) {
  ClientId client{request.value("client", "")};
  std::string view = request.value("view", "");
  auto samples = request.value("samples", size_t{10});
  ASSIGN_OR_RETURN(auto of, ScratchViews::make(assembly, request.value("views", ""), wanted));
  if (!of->view_names().contains(view))
    return Error{ErrorCode::kInvalidInput, fmt::format("there is no view {}", view)};
  ASSIGN_OR_RETURN(uint64_t events, of->compute(client, {view}));
  ASSIGN_OR_RETURN(TableDiff diff, diff_tables(*assembly.store, live_table(assembly, view),
                                               ScratchViews::table_of(view), client, samples));
  json answer = diff.to_json();
  answer["view"] = view;
  answer["client"] = client.value;
  answer["events"] = events;
  ASSIGN_OR_RETURN(answer["preview"], of->rows_of(client, view, "1", samples));
  return answer;
}

// While the pipeline runs, what is live goes on: a difference counts where nothing has changed meanwhile.
Result<json> compare_with_raw(const Assembly& assembly, const json& request, const std::function<bool()>& wanted) {
  ASSIGN_OR_RETURN(auto of, ScratchViews::make(assembly, live_views(assembly), wanted));
  std::set<std::string> views = of->view_names();
  if (std::string only = request.value("view", ""); !only.empty()) {
    if (!views.contains(only)) return Error{ErrorCode::kInvalidInput, fmt::format("view {} is not live", only)};
    views = {only};
  }
  std::string only_client = request.value("client", "");
  json answer{{"views", json::array()}};
  for (const auto& [id, config] : assembly.pipeline.clients) {
    if (!only_client.empty() && id != only_client) continue;
    json entries;
    bool settled = false;
    for (int attempt = 0; attempt < attempts_max && !settled; ++attempt) {
      entries = json::array();
      auto ends = assembly.log->ends();
      ASSIGN_OR_RETURN(uint64_t events, of->compute(ClientId{id}, views));
      bool equal = true;
      for (const std::string& view : views) {
        ASSIGN_OR_RETURN(TableDiff diff,
                         diff_tables(*assembly.store, live_table(assembly, view), ScratchViews::table_of(view),
                                     ClientId{id}, request.value("samples", size_t{5})));
        json entry = diff.to_json();
        entry["view"] = view;
        entry["client"] = id;
        entry["events"] = events;
        equal = equal && diff.none();
        entries.push_back(std::move(entry));
      }
      settled = equal || (ends == assembly.log->ends() && assembly.runtime->queryable(ends));
    }
    if (!settled) {
      return Error{
          ErrorCode::kUnavailable,
          fmt::format("client {} changed all the time, so that its tables and raw were never the same moment: stop "
                      "its writers for a while, or the pipeline",
                      id)};
    }
    for (json& entry : entries) answer["views"].push_back(std::move(entry));
  }
  return answer;
}

}  // namespace

std::optional<Result<json>> answer_preview_request(const Assembly& assembly, const json& request,
                                                   const std::function<bool()>& wanted) {
  std::string command = request.value("command", "");
  if (command != "preview" && command != "compare_with_raw") return std::nullopt;
  return command == "preview" ? preview(assembly, request, wanted) : compare_with_raw(assembly, request, wanted);
}

}  // namespace tributary
