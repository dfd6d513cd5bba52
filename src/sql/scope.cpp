#include "sql/scope.h"
#include "sql/functions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sql/functions.h"
#include "sql/view_names.h"

namespace tributary {
namespace {

// struct_pack(id) takes the field's name from the column's, which resolve() changes: it is written out.
Expression with_field_names(Expression expression) {
  for (Expression& child : expression.children) {
    if (expression.name == "struct_pack" && child.kind == ExpressionKind::kColumn && child.alias.empty()) {
      child.alias = child.name_parts.back();
    }
    child = with_field_names(std::move(child));
  }
  return expression;
}

}  // namespace

Scope::Scope(PlanningContext& context, const SelectStatement& select) : context_(context) {
  add(select.from);
  for (const Join& join : select.joins) {
    add(join.right);
    relations_.back().null_extended = join.form == JoinForm::kLeft;
  }
  name_columns();
  merge_using(select);
}

bool Scope::known() const {
  return complete_ && std::all_of(relations_.begin(), relations_.end(), [](const auto& one) { return one.known(); });
}

const ScopeColumn* Scope::find_column(const std::string& unique_name) const {
  auto found = by_name_.find(unique_name);
  return found == by_name_.end() ? nullptr : found->second;
}

const ScopeColumn& Scope::column(const std::string& unique_name) const {
  const ScopeColumn* found = find_column(unique_name);
  CHECK(found != nullptr, "column {}", unique_name);
  return *found;
}

void Scope::add(const TableReference& table) {
  ScopeRelation added;
  std::vector<std::string> names;
  for (const Relation& relation : context_.request.relations) {
    names.push_back(relation.name);
    if (table.schema.empty() && same_name(relation.name, table.name)) added.relation = &relation;
  }
  added.alias = table.alias.empty() ? table.name : table.alias;
  if (table.name.empty()) {
    complete_ = false;  // a clause that is refused stands in its place
  } else if (!table.schema.empty()) {
    context_.fail(table.offset, fmt::format("\"{}.{}\": a view names a domain or a view, not a table; {}", table.schema,
                                            table.name, did_you_mean(table.name, names)));
  } else if (added.relation == nullptr) {
    context_.fail(table.offset,
                  fmt::format("there is no domain or view \"{}\"; {}", table.name, did_you_mean(table.name, names)));
  }
  complete_ = complete_ && added.relation != nullptr;
  check_names(table, added);
  if (added.relation != nullptr) added.sql_names = sql_column_names(*added.relation);
  added.merged.assign(added.sql_names.size(), false);
  relations_.push_back(std::move(added));
}

void Scope::check_names(const TableReference& table, const ScopeRelation& added) {
  if (same_name(added.alias, "client")) {
    context_.fail(table.offset, "\"client\" names the client's attributes; give the relation another alias");
  }
  for (const ScopeRelation& other : relations_) {
    if (table.name.empty() || !same_name(other.alias, added.alias)) continue;
    context_.fail(table.offset, fmt::format("\"{}\" is in FROM twice; give one of them an alias: {} AS other",
                                            added.alias, table.name));
  }
  if (added.relation == nullptr) return;
  for (const OutputColumn& column : added.relation->columns) {
    if (!column.name.starts_with(attribute_prefix)) continue;
    context_.fail(table.offset, fmt::format("the column \"{}\" of {} looks like a client's attribute; rename it there",
                                            column.name, added.relation->name));
  }
}

void Scope::name_columns() {
  std::vector<std::string> prefixes;
  for (const ScopeRelation& relation : relations_) {
    std::string prefix = relation.alias;
    std::replace(prefix.begin(), prefix.end(), '.', '_');
    while (std::any_of(prefixes.begin(), prefixes.end(), [&](const auto& other) { return same_name(other, prefix); })) {
      prefix += "_";
    }
    prefixes.push_back(prefix);
  }
  for (size_t i = 0; i < relations_.size(); ++i) {
    ScopeRelation& relation = relations_[i];
    if (relation.relation == nullptr) continue;
    const std::vector<std::string>& key = relation.relation->key;
    for (size_t k = 0; k < relation.sql_names.size(); ++k) {
      const OutputColumn& column = relation.relation->columns[k];
      bool is_key = std::find(key.begin(), key.end(), column.name) != key.end();
      relation.columns.push_back(static_cast<uint32_t>(columns_.size()));
      columns_.push_back({.name = relations_.size() == 1 ? column.name : fmt::format("{}.{}", prefixes[i], column.name),
                          .source = column.name,
                          .display = relation.sql_names[k],
                          .type = column.type,
                          .nullable = !is_key || column.nullable,
                          .relation = i,
                          .attribute = false});
    }
  }
  for (const InputColumn& attribute : context_.request.attributes) {
    std::string name = std::string(attribute_prefix) + attribute.name;
    columns_.push_back({name, name, attribute.name, attribute.type, true, 0, true});
  }
  for (const ScopeColumn& column : columns_) {
    by_name_.emplace(column.name, &column);
    types_.emplace(column.name, column.type);
    context_.names_taken.insert(lower_name(column.name));
  }
}

void Scope::merge_using(const SelectStatement& select) {
  using_pairs_.resize(select.joins.size());
  for (size_t join = 0; join < select.joins.size(); ++join) {
    ScopeRelation& right = relations_[join + 1];
    for (const std::string& name : select.joins[join].using_columns) {
      Found left = find_in(name, 0, join + 1, false);
      Found own = find_in(name, join + 1, join + 2, false);
      for (const Found& found : {left, own}) {
        if (!found.problem.empty()) context_.fail(select.joins[join].offset, "USING: " + found.problem);
      }
      if (left.column == nullptr || own.column == nullptr) continue;
      using_pairs_[join].emplace_back(left.column, own.column);
      for (size_t i = 0; i < right.columns.size(); ++i) {
        if (&columns_[right.columns[i]] == own.column) right.merged[i] = true;
      }
    }
  }
}

const InputColumn* Scope::attribute(const std::string& name) const {
  for (const InputColumn& attribute : context_.request.attributes) {
    if (same_name(attribute.name, name)) return &attribute;
  }
  return nullptr;
}

Scope::Found Scope::find_attribute(const std::string& name) const {
  if (const InputColumn* found = attribute(name))
    return {&column(std::string(attribute_prefix) + found->name), "", false};
  std::vector<std::string> names;
  for (const InputColumn& attribute : context_.request.attributes) names.push_back(attribute.name);
  return {nullptr,
          fmt::format("no client has an attribute \"{}\"; {}", name,
                      names.empty() ? "add it under `attributes:`" : did_you_mean(name, names)),
          false};
}

// Among the relations [begin, end).
Scope::Found Scope::find_in(const std::string& name, size_t begin, size_t end, bool qualified) const {
  Found found;
  bool known = complete_;
  for (size_t i = begin; i < end; ++i) {
    const ScopeRelation& relation = relations_[i];
    known = known && relation.known();
    for (size_t k = 0; k < relation.columns.size(); ++k) {
      if (!same_name(relation.sql_names[k], name) || (relation.merged[k] && !qualified)) continue;
      const ScopeColumn& column = columns_[relation.columns[k]];
      if (found.column == nullptr) {
        found.column = &column;
      } else if (found.column->relation == i) {
        found.problem = fmt::format(
            "columns of {} differ from \"{}\" in upper and lower case only, which SQL does not tell apart; rename one "
            "in the source, or pass both through with *",
            relation.relation->name, name);
      } else {
        const std::string& first = relations_[found.column->relation].alias;
        found.problem = fmt::format("\"{}\" is a column of {} and of {}; write {}.{} or {}.{}", name, first,
                                    relation.alias, first, name, relation.alias, name);
      }
    }
  }
  if (found.column == nullptr && known) {
    found.missing = true;
    found.problem = explain_missing(name);
    if (!found.problem.empty()) return found;
    std::vector<std::string> names;
    for (size_t i = begin; i < end; ++i) {
      names.insert(names.end(), relations_[i].sql_names.begin(), relations_[i].sql_names.end());
    }
    found.problem = end - begin == 1 ? fmt::format("{} has no column", relations_[begin].relation->name)
                                     : fmt::format("none of {} has a column", relation_names());
    found.problem += fmt::format(" \"{}\"; {}", name, did_you_mean(name, names));
  }
  if (!found.problem.empty()) found.column = nullptr;
  return found;
}

std::string Scope::relation_names() const {
  std::vector<std::string> names;
  for (const ScopeRelation& relation : relations_) names.push_back(relation.alias);
  return fmt::format("{}", fmt::join(names, ", "));
}

// Names that mean something else than a column that is not there; empty for others.
std::string Scope::explain_missing(const std::string& name) const {
  if (is_reserved_name(name)) {
    for (const ScopeRelation& relation : relations_) {
      for (size_t i = 0; i < relation.sql_names.size(); ++i) {
        if (!same_name(relation.relation->columns[i].name, name)) continue;
        return fmt::format("the source's column \"{}\" is called \"{}\" here, since the name is the pipeline's own",
                           name, relation.sql_names[i]);
      }
    }
    if (same_name(name, "client_id")) {
      return "client_id is a column of every view without being written; leave it out";
    }
  }
  // SQL lets current_date and its kin be written like columns.
  return name.starts_with("current_") ? refuse_function(name, 0) : "";
}

Scope::Found Scope::find(const std::vector<std::string>& parts) const {
  if (parts.size() == 2 && same_name(parts[0], "client")) return find_attribute(parts[1]);
  if (parts.size() > 2 || parts.empty()) {
    return {
        nullptr,
        fmt::format("\"{}\" has too many parts; write column or {}.column", fmt::join(parts, "."), relations_[0].alias),
        false};
  }
  if (parts.size() == 1) return find_in(parts[0], 0, relations_.size(), false);
  for (size_t i = 0; i < relations_.size(); ++i) {
    if (same_name(relations_[i].alias, parts[0])) return find_in(parts[1], i, i + 1, true);
  }
  if (!complete_) return {};
  return {nullptr,
          relations_.size() == 1 ? fmt::format("\"{}\" is not in FROM; write {}.{}, or client.NAME for an attribute",
                                               parts[0], relations_[0].alias, parts[1])
                                 : fmt::format("\"{}\" is not in FROM, which has {}; client.NAME is an attribute",
                                               parts[0], relation_names()),
          false};
}

std::vector<const ScopeColumn*> Scope::expand(const Expression& star) {
  std::vector<const ScopeColumn*> columns;
  std::vector<std::string> names;
  bool any = false;
  std::vector<bool> known(star.star_exclude.size(), false);
  for (const ScopeRelation& relation : relations_) {
    if (!star.star_relation.empty() && !same_name(star.star_relation, relation.alias)) continue;
    any = true;
    for (size_t i = 0; i < relation.columns.size(); ++i) {
      if (relation.merged[i] && star.star_relation.empty()) continue;
      const ScopeColumn& column = columns_[relation.columns[i]];
      bool excluded = false;
      names.push_back(column.display);
      for (size_t k = 0; k < known.size(); ++k) {
        if (!same_name(star.star_exclude[k], column.display)) continue;
        known[k] = excluded = true;
      }
      if (!excluded) columns.push_back(&column);
    }
  }
  if (!any && complete_) {
    context_.fail(star.offset,
                  fmt::format("\"{}\" is not in FROM; write {}.*", star.star_relation, relations_[0].alias));
  }
  for (size_t k = 0; k < known.size(); ++k) {
    if (known[k] || !this->known() || !any) continue;
    context_.fail(star.offset, fmt::format("EXCLUDE: {} has no column \"{}\"; {}",
                                           star.star_relation.empty() ? relation_names() : star.star_relation,
                                           star.star_exclude[k], did_you_mean(star.star_exclude[k], names)));
  }
  return columns;
}

Expression Scope::resolve(const Expression& expression, const std::vector<Alias>& aliases,
                          const std::function<bool(const std::string&)>& alias_first) {
  auto alias_of = [&](const std::vector<std::string>& parts) -> const Alias* {
    if (parts.size() != 1) return nullptr;
    auto found = std::find_if(aliases.begin(), aliases.end(),
                              [&](const Alias& alias) { return same_name(alias.name, parts[0]); });
    return found == aliases.end() ? nullptr : &*found;
  };
  std::vector<size_t> aliased_arguments;
  auto replace = [&](const Expression& part) -> std::optional<Expression> {
    // Inside an aggregate's argument there are columns alone.
    if (part.kind == ExpressionKind::kFunction && is_aggregate_function(part.name) && !aliases.empty()) {
      for_each_column(part, [&](const Expression& column) {
        const Alias* alias = alias_of(column.name_parts);
        if (alias == nullptr || !find(column.name_parts).missing) return;
        aliased_arguments.push_back(column.offset);
        context_.fail(column.offset, fmt::format("\"{}\" is an alias, and {}() takes columns; write what it stands for",
                                                 alias->name, part.name));
      });
      return aliased_arguments.empty() ? resolve(part, {}) : part;
    }
    if (part.kind != ExpressionKind::kColumn) return std::nullopt;
    Found found = find(part.name_parts);
    const Alias* alias = alias_of(part.name_parts);
    if (alias != nullptr && found.column == nullptr && !found.problem.empty() && !found.missing) alias = nullptr;
    if (alias != nullptr && (found.column == nullptr || (alias_first && alias_first(found.column->name)))) {
      // To DuckDB it is the relation's row.
      bool is_relation = std::any_of(relations_.begin(), relations_.end(), [&](const ScopeRelation& relation) {
        return same_name(relation.alias, alias->name);
      });
      if (is_relation) {
        context_.fail(
            part.offset,
            fmt::format("\"{}\" names a relation of FROM and a column; give one of them another alias", alias->name));
      }
      return alias->expression;
    }
    if (!found.problem.empty()) context_.fail(part.offset, found.problem);
    if (found.column == nullptr) return std::nullopt;
    return column_expression(found.column->name, part.offset);
  };
  return rewrite(with_field_names(expression), replace);
}

uint64_t Scope::relations_in(const Expression& expression) const {
  uint64_t used = 0;
  for_each_column(expression, [&](const Expression& part) {
    const ScopeColumn& found = column(part.name_parts[0]);
    if (!found.attribute) used |= uint64_t{1} << found.relation;
  });
  return used;
}

}  // namespace tributary
