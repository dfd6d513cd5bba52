// Nodes of a plan while they are put together. Only src/sql includes this.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sql/scope.h"

namespace tributary {

// Rows on their way through the plan: what the next operator reads.
struct Pipe {
  // The node that gives them; a leaf is made together with its map, which knows what it needs.
  uint32_t node = 0;
  const Relation* leaf = nullptr;

  struct Column {
    OutputColumn column;    // by its unique name
    std::string node_name;  // the node's name of it
  };
  std::vector<Column> columns;
  std::vector<TypedExpression> filters;        // that the next map applies
  struct Key {
    std::vector<std::string> columns;  // unique names
    bool always = true;                // as ViewPlan::key_always
  };
  std::vector<Key> keys;  // columns that are unique together

  std::optional<uint32_t> find(const std::string& unique_name) const;
  ColumnTypes types() const;
};

// The leaf of a scope's relation.
Pipe leaf_pipe(const Scope& scope, size_t relation);
// What a node gives, by the names that it has there.
Pipe node_pipe(const PlanningContext& context, uint32_t node);

// Makes the map that reads a pipe and applies its filters.
class MapBuilder {
 public:
  MapBuilder(PlanningContext& context, const Pipe& input);

  void pass_through(std::string name, const std::string& column);
  // An output. Expressions that may fail are computed only for rows that pass the filters, and all `conditions`.
  void add(std::string name, const TypedExpression& value, const std::vector<TypedExpression>& conditions = {});
  // The same, but NULL wherever the conditions are not all true.
  void add_where(std::string name, const TypedExpression& value, const std::vector<TypedExpression>& conditions);
  size_t size() const { return outputs_.size(); }
  // Whether the map would change nothing.
  bool is_identity() const;
  // Whether it would change names only; then rename() gives the input's node those names instead.
  bool only_renames() const;
  uint32_t rename();
  // Adds the map, and the leaf below it. What it gives, with the input's keys.
  Pipe finish();

 private:
  uint32_t input(const std::string& unique_name);
  std::string sql(const TypedExpression& value);
  std::string all_of(const std::vector<TypedExpression>& conditions);
  void add_computed(std::string name, const TypedExpression& value, const std::string& condition);
  uint32_t add_leaf(const MapPlan& map);

  PlanningContext& context_;
  const Pipe& pipe_;
  MapPlan map_;
  std::vector<MapOutput> outputs_;
  std::string filter_;
};

}  // namespace tributary
