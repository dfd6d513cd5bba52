// The relations of one FROM, their columns and the client's attributes: what names in a SELECT stand for. Only src/sql
// includes this.
//
// Each column that can be named gets a name that no other column of the view has: its source's in a view over one relation,
// "o.id" for the column id of `orders o` among several; an attribute is "client.plan". resolve() puts those names into
// expressions, so that from there on a name is a column.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sql/planning_context.h"

namespace tributary {

struct ScopeRelation {
  const Relation* relation = nullptr;  // null after an error
  std::string alias;
  std::vector<std::string> sql_names;
  std::vector<uint32_t> columns;  // indexes into Scope::columns(), as the relation's
  std::vector<bool> merged;  // by USING into the column of a relation before: not in *, found by alias only
  bool null_extended = false;  // right side of a LEFT JOIN

  bool known() const { return relation != nullptr && !relation->columns.empty(); }
};

struct ScopeColumn {
  std::string name;  // unique
  std::string source;  // the leaf's name of it
  std::string display;  // as SQL names it
  LogicalType type;
  bool nullable = true;
  size_t relation = 0;  // attributes are the first one's above the leaves
  bool attribute = false;
};

// Names of expressions in the SELECT list.
struct Alias {
  std::string name;
  Expression expression;  // resolved
};

class Scope {
 public:
  // Errors are the context's.
  Scope(PlanningContext& context, const SelectStatement& select);

  bool complete() const { return complete_; }  // every relation was found
  bool known() const;  // … and its columns are
  const std::vector<ScopeRelation>& relations() const { return relations_; }
  const std::vector<ScopeColumn>& columns() const { return columns_; }
  const ScopeColumn& column(const std::string& unique_name) const;
  const ScopeColumn* find_column(const std::string& unique_name) const;  // null: there is none
  const ColumnTypes& types() const { return types_; }

  // The columns that * or alias.* stands for.
  std::vector<const ScopeColumn*> expand(const Expression& star);

  // `expression` with unique names. A name that is no column's is an alias, but inside an aggregate. Errors are the context's; what has some stays
  // as it was. `alias_first` says of a column's unique name that an alias of that name goes before it.
  Expression resolve(const Expression& expression, const std::vector<Alias>& aliases,
                     const std::function<bool(const std::string& unique_name)>& alias_first = {});

  // Bit n: the expression uses the n-th relation. Attributes count for none, since every leaf can have them.
  uint64_t relations_in(const Expression& expression) const;

  // What USING of the n-th join compares: the column of a relation before it, its own.
  using Pair = std::pair<const ScopeColumn*, const ScopeColumn*>;
  const std::vector<Pair>& using_pairs(size_t join) const { return using_pairs_[join]; }

 private:
  struct Found {
    const ScopeColumn* column = nullptr;  // null: see `problem`, or a relation's columns are not known
    std::string problem;
    bool missing = false;  // the problem: no relation has it
  };

  void add(const TableReference& table);
  void check_names(const TableReference& table, const ScopeRelation& added);
  void name_columns();
  void merge_using(const SelectStatement& select);
  Found find(const std::vector<std::string>& parts) const;
  Found find_in(const std::string& name, size_t begin, size_t end, bool qualified) const;
  Found find_attribute(const std::string& name) const;
  std::string explain_missing(const std::string& name) const;
  const InputColumn* attribute(const std::string& name) const;
  std::string relation_names() const;

  PlanningContext& context_;
  std::vector<ScopeRelation> relations_;
  std::vector<ScopeColumn> columns_;
  std::vector<ScopeColumn> attributes_;
  std::map<std::string, const ScopeColumn*, std::less<>> by_name_;
  ColumnTypes types_;
  std::vector<std::vector<Pair>> using_pairs_;
  bool complete_ = true;
};

}  // namespace tributary
