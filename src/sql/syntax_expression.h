// Expressions out of DuckDB's description of a statement. Only syntax_tree.cpp includes this.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "sql/syntax_tree.h"

namespace tributary {

inline constexpr size_t no_offset = SIZE_MAX;

std::string json_text(const nlohmann::json& object, const char* name);   // "" where there is none
bool json_has_items(const nlohmann::json& object, const char* name);
bool json_is_set(const nlohmann::json& object, const char* name);        // there, and not null
size_t json_offset(const nlohmann::json& object);                        // its place in the SQL, or no_offset

class ExpressionBuilder {
 public:
  // `parent_offset` stands for places that DuckDB does not give.
  Expression build(const nlohmann::json& node, size_t parent_offset) { return expression(node, parent_offset, 0); }

  // Where an expression is nested deeper than expression_depth_max; the tree ends there.
  std::optional<size_t> too_deep;
  // The greatest place seen: what is built later stands behind it.
  size_t last_offset = 0;

 private:
  Expression expression(const nlohmann::json& node, size_t parent_offset, size_t depth);
  void take_children(nlohmann::json& node, Expression& parent, size_t depth);
  void take(nlohmann::json& member, Expression& parent, size_t depth);
};

}  // namespace tributary
