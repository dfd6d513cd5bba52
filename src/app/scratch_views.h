// Views computed once over raw into tables that nobody reads, and dropped again: for previews, traces and judging what is live.
// One at a time, since the tables' names are the same each time: what a killed one left is found and removed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "app/assembly.h"
#include "runtime/recompute.h"

namespace tributary {

class ScratchViews {
 public:
  // `views`: as config/views_text.h has them. `wanted` false ends the work with kCancelled. kUnavailable: another one is at work.
  // kInvalidInput: the views do not compile.
  static Result<std::unique_ptr<ScratchViews>> make(const Assembly& assembly, const std::string& views,
                                                    std::function<bool()> wanted);
  ~ScratchViews();

  PlannedPipeline& plan() { return plan_; }
  std::set<std::string> view_names() const;
  const ViewPlan* view(const std::string& name) const;

  // Of one client. Earlier tables are dropped.
  Result<Recompute*> begin(const ClientId& client, std::set<std::string> views);
  // All of raw, at once; how many events there were.
  Result<uint64_t> compute(const ClientId& client, std::set<std::string> views);

  static std::string table_of(const std::string& view);
  // {"columns": […], "rows": [[…]]} of a view's current rows that meet a condition in the store's SQL.
  Result<nlohmann::json> rows_of(const ClientId& client, const std::string& view, const std::string& condition,
                                 size_t limit);

 private:
  ScratchViews(const Assembly& assembly, std::function<bool()> wanted, std::unique_lock<std::mutex> only)
      : assembly_(assembly), wanted_(std::move(wanted)), only_(std::move(only)) {}
  Status make_plan(const std::string& views);
  Status drop_tables();
  void remove_folder();

  const Assembly& assembly_;
  std::function<bool()> wanted_;
  std::unique_lock<std::mutex> only_;
  std::unique_ptr<DuckDbEngine> duckdb_;
  PlannedPipeline plan_;
  std::unique_ptr<RecomputeRequest> request_;
  std::unique_ptr<Recompute> recompute_;
};

// The table that readers see of a view of the live release; empty: none.
std::string live_table(const Assembly& assembly, const std::string& view);
// The text of the live release's views.
std::string live_views(const Assembly& assembly);

}  // namespace tributary
