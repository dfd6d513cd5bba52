#include "app/view_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/nearest_name.h"

namespace tributary {
namespace {

bool knows(const Pipeline& pipeline, const char* kind, const std::vector<std::string>& names, const std::string& name) {
  if (std::find(names.begin(), names.end(), name) != names.end()) return true;
  auto meant = nearest_name(name, names);
  std::fprintf(stderr, "tributary: %s has no %s %s%s\n", pipeline.file.c_str(), kind, name.c_str(),
               meant ? fmt::format("; did you mean {}?", *meant).c_str() : "");
  return false;
}

}  // namespace

std::vector<std::string> view_names(const Pipeline& pipeline) {
  std::vector<std::string> names;
  names.reserve(std::max(pipeline.views.size(), pipeline.domains.size()));
  for (const ViewConfig& view : pipeline.views) names.push_back(view.name);
  if (!names.empty()) return names;
  for (const auto& [name, domain] : pipeline.domains) names.push_back(name);
  return names;
}

bool knows_view(const Pipeline& pipeline, const std::string& view) {
  return knows(pipeline, "view", view_names(pipeline), view);
}

bool knows_client(const Pipeline& pipeline, const std::string& client) {
  std::vector<std::string> names;
  names.reserve(pipeline.clients.size());
  for (const auto& [id, config] : pipeline.clients) names.push_back(id);
  return knows(pipeline, "client", names, client);
}

}  // namespace tributary
