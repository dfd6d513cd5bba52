// FROM and WHERE: leaves, joins, and which condition is checked where. Only src/sql includes this.
//
// A chain of joins is planned from left to right:
//
//   orders o JOIN users u ON u.id = o.user_id WHERE o.total > 5
//     domain orders → map [o.total > 5]: o.id, o.user_id ┐
//     domain users  → map: u.id, u.name                  ┴ join o.user_id = u.id
//
// A condition of WHERE, or of an inner join's ON, is checked in the leaf where it uses one relation only, unless a LEFT
// JOIN may put NULLs in that one's place; else right behind the last join that it needs. Every map carries what is used
// above it, and nothing else.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "sql/map_builder.h"

namespace tributary {

class FromPlanner {
 public:
  FromPlanner(PlanningContext& context, const Scope& scope, const SelectStatement& select)
      : context_(context), scope_(scope), select_(select), joins_(select.joins.size()) {}

  // Refuses joins of other kinds than INNER and LEFT. Needs no columns.
  void check_forms();
  // The conditions, resolved. Errors are the context's.
  void read_where(const Expression& where);
  void read_join(size_t join, const Expression* condition);

  // The rows, once all of this has been read without errors: the columns in `used`, and filters that their reader applies.
  Pipe build(const std::set<std::string>& used);

 private:
  struct KeyPair {
    TypedExpression left;
    TypedExpression right;
    size_t offset;
  };
  struct JoinConditions {
    std::vector<KeyPair> pairs;
    std::vector<TypedExpression> left_only;  // of a LEFT JOIN: no match where one is not true
    size_t conditional = 0;  // the pair whose left is NULL then
    std::vector<TypedExpression> right_only;  // rows of the right side that cannot match otherwise
  };
  struct Filter {
    TypedExpression condition;
    std::optional<size_t> leaf;  // the relation in whose leaf it is checked
    size_t level;  // else behind this join: n joins have the levels 0 (before any) to n
  };

  void add_filter(const Expression& condition, std::string_view clause);
  void read_on(size_t join, const Expression& condition);
  void choose_conditional(size_t join);
  bool read_pair(size_t join, const Expression& equality);
  void add_pair(size_t join, TypedExpression left, TypedExpression right, size_t offset);
  void add_uses(const Expression& expression, std::set<std::string>& uses) const;
  std::vector<std::set<std::string>> needs(const std::set<std::string>& used) const;
  std::vector<TypedExpression> filters_at(size_t level) const;
  std::vector<TypedExpression> filters_of_leaf(size_t relation) const;
  Pipe left_side(const Pipe& pipe, size_t join, const std::set<std::string>& above, std::vector<uint32_t>& key);
  Pipe right_side(size_t join, const std::set<std::string>& above, std::vector<uint32_t>& key);
  Pipe join(const Pipe& left, const Pipe& right, size_t join, std::vector<uint32_t> left_key,
            std::vector<uint32_t> right_key);
  bool right_is_unique(size_t join) const;

  PlanningContext& context_;
  const Scope& scope_;
  const SelectStatement& select_;
  std::vector<JoinConditions> joins_;
  std::vector<Filter> filters_;
};

}  // namespace tributary
