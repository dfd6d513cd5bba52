// What the pipeline file and the clients' schemas mean together: made by app/, driven by the runtime.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/strong.h"
#include "contracts/view_plan.h"
#include "model/schema.h"

namespace tributary {

// The newest known schema of one client's table that feeds a domain.
struct ClientTable {
  ClientId client;
  std::string domain;
  SchemaPtr schema;
};

struct PlanProblem {
  ClientId client;     // empty: all clients
  std::string domain;  // or a view's name where client is empty
  std::string reason;
  // Of a client: its table as it fit last. What was told of it until then stays as it is; nullopt: it never fit.
  std::optional<TableSchema> as_it_fit;
};

struct PlannedPipeline {
  std::map<std::string, Relation> relations;  // by domain; a domain without any schema yet is missing
  std::vector<ViewPlan> views;
  std::vector<PlanProblem> set_aside;            // clients whose table does not fit, views that do not compile now
  std::vector<PlanProblem> lacking;              // clients whose table fits and has not all columns that views use
  std::set<std::string> named;                   // views that the pipeline file has, whether they compile now or not
};

// Called with all known tables at the start and whenever one gets a new schema, for each release (releases.h) with its views.
// Must not fail for one client's or one view's sake: those are set aside.
using Planner =
    std::function<Result<PlannedPipeline>(const std::vector<ClientTable>& tables, const std::string& views)>;

}  // namespace tributary
