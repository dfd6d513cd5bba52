#include "config/views_text.h"

#include <nlohmann/json.hpp>

namespace tributary {

using nlohmann::json;

std::string views_text(const std::vector<ViewConfig>& views) {
  json all = json::array();
  for (const ViewConfig& view : views) {
    json one{{"name", view.name}, {"sql", view.sql}};
    if (!view.order_by.empty()) one["order_by"] = view.order_by;
    if (!view.partition_by.empty()) one["partition_by"] = view.partition_by;
    if (view.ttl) one["ttl_milliseconds"] = view.ttl->count();
    if (!view.ttl_column.empty()) one["ttl_column"] = view.ttl_column;
    if (view.history) one["history"] = true;
    if (!view.settings.empty()) one["settings"] = view.settings;
    all.push_back(std::move(one));
  }
  return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::vector<ViewConfig>> parse_views_text(std::string_view text) {
  json all = json::parse(text, nullptr, false);
  if (!all.is_array()) return Error{ErrorCode::kCorrupt, "the stored views of a release do not parse"};
  std::vector<ViewConfig> views;
  for (const json& one : all) {
    if (!one.is_object()) return Error{ErrorCode::kCorrupt, "the stored views of a release do not parse"};
    ViewConfig& view = views.emplace_back();
    view.name = one.value("name", "");
    view.sql = one.value("sql", "");
    view.order_by = one.value("order_by", std::vector<std::string>());
    view.partition_by = one.value("partition_by", "");
    if (auto ttl = one.find("ttl_milliseconds"); ttl != one.end())
      view.ttl = std::chrono::milliseconds(ttl->get<int64_t>());
    view.ttl_column = one.value("ttl_column", "");
    view.history = one.value("history", false);
    view.settings = one.value("settings", std::map<std::string, std::string>());
  }
  return views;
}

}  // namespace tributary
