// Views computed once over what raw has of a client, beside everything else and without a trace in it: into tables of their
// own in the analytics store, with state in a folder of their own. For looking at what a changed file would give, and for
// judging what is live.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "contracts/analytics.h"
#include "contracts/expression.h"
#include "contracts/raw_store.h"
#include "process/view_graph.h"
#include "runtime/planned.h"

namespace tributary {

struct RecomputePorts {
  RawStore& raw;
  AnalyticsStore& store;
  ExpressionEngine& expressions;
  FindSchema find_schema;
};

struct RecomputeRequest {
  ClientId client;
  PlannedPipeline plan;
  std::set<std::string> views;  // wanted; what they read is computed with them
  std::map<ClientId, ClientAttributes> attributes;
  std::map<std::string, std::string> tables;  // by domain: the client's table
  std::string table_prefix;  // of the tables' names; they are made, and stay until they are dropped
  std::filesystem::path folder;  // for state; empty, and removed by whoever made it
  std::function<bool(uint64_t events)> progress;  // false: give up, with kCancelled
};

// How many events it read.
Result<uint64_t> recompute(const RecomputePorts& ports, const RecomputeRequest& request);

}  // namespace tributary
