// Views computed once over what raw has of a client, beside everything else and without a trace in it: into tables of their
// own in the analytics store, with state in a folder of their own. For looking at what a changed file would give, and for
// judging what is live.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
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

// Step by step: what a part of raw changes.
class Recompute {
 public:
  // Makes the tables. `request` and what `ports` name outlive it.
  static Result<std::unique_ptr<Recompute>> make(RecomputePorts ports, const RecomputeRequest& request);
  ~Recompute();

  // Everything of the client's domains that the views read, newer than `after` and not newer than `up_to`, where given.
  Status feed(std::optional<Position> after = {}, std::optional<Position> up_to = {});
  // Rows that the store has not yet go there.
  Status flush();
  uint64_t events() const;

  // Which rows of a view were written since the last call, by key bytes.
  using Written = std::map<std::string, std::set<std::string>>;
  struct Row {
    std::string domain;
    std::string key;
  };
  // The same as feed(), and what it wrote: not yet in the store, so that the rows before can still be looked at. `only`: what
  // this row's events wrote. All others of the positions are fed before, and are in the store.
  Result<Written> feed_and_tell(Position after, Position up_to, const std::optional<Row>& only = {});

 private:
  struct Impl;
  explicit Recompute(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tributary
