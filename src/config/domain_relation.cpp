// How clients' tables become one relation.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/lock_file.h"

namespace tributary {
namespace {

using Tables = std::vector<std::pair<std::string, const TableSchema*>>;  // by client id

// The value that most entries have; among as many, that of the first entry.
template <typename T>
T most_common(const std::vector<T>& values) {
  size_t best = 0;
  size_t best_count = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    auto count = static_cast<size_t>(std::count(values.begin(), values.end(), values[i]));
    if (count <= best_count) continue;
    best_count = count;
    best = i;
  }
  return values[best];
}

// Why the client's table does not fit, or empty; then `columns` holds what both have.
std::string merge_table(std::vector<OutputColumn>& columns, const TableSchema& schema,
                        const std::vector<std::string>& key) {
  if (key_names(schema) != key) {
    return fmt::format("its key is ({}), that of the other clients ({}); give the table the same key",
                       fmt::join(key_names(schema), ", "), fmt::join(key, ", "));
  }
  std::vector<OutputColumn> merged = columns;
  for (const ColumnSchema& column : schema.columns) {
    auto known =
        std::find_if(merged.begin(), merged.end(), [&](const auto& other) { return other.name == column.name; });
    if (known == merged.end()) {
      bool is_key = std::find(key.begin(), key.end(), column.name) != key.end();
      merged.push_back({column.name, column.type, !is_key});
      continue;
    }
    auto wide = widen(known->type, column.type);
    if (!wide) {
      return fmt::format(
          "column \"{}\" is {} ({}), which does not fit {} of the other clients; change its type, or give "
          "the table a domain of its own",
          column.name, column.type.to_string(), column.source_type, known->type.to_string());
    }
    known->type = *wide;
  }
  columns = std::move(merged);
  return {};
}

// The clients whose tables changed least recently first: among as many that differ, the newcomer gives way.
Tables eldest_first(Tables tables, const LockFile& lock, const std::string& domain) {
  auto known = lock.changed.find(domain);
  if (known == lock.changed.end()) return tables;
  auto changed = [&](const std::string& client) {
    auto at = known->second.find(client);
    return at == known->second.end() ? 0 : at->second;
  };
  std::stable_sort(tables.begin(), tables.end(),
                   [&](const auto& a, const auto& b) { return changed(a.first) < changed(b.first); });
  return tables;
}

// The columns with the type that most clients have, in the order of their first appearance in `tables`. `eldest`: the same
// tables in the order in which they count among as many.
std::vector<OutputColumn> common_columns(const Tables& tables, const Tables& eldest,
                                         const std::vector<std::string>& key) {
  std::vector<OutputColumn> columns;
  for (const auto& [client, schema] : tables) {
    for (const ColumnSchema& column : schema->columns) {
      bool known =
          std::any_of(columns.begin(), columns.end(), [&](const auto& other) { return other.name == column.name; });
      if (known) continue;
      std::vector<LogicalType> types;
      for (const auto& [other_client, other] : eldest) {
        if (auto index = other->find(column.name)) types.push_back(other->columns[*index].type);
      }
      bool is_key = std::find(key.begin(), key.end(), column.name) != key.end();
      columns.push_back({column.name, most_common(types), !is_key});
    }
  }
  return columns;
}

}  // namespace

std::optional<DomainRelation> domain_relation(const Pipeline& pipeline, const LockFile& lock,
                                              const std::string& domain) {
  auto locked = lock.domains.find(domain);
  auto configured = pipeline.domains.find(domain);
  if (locked == lock.domains.end() || configured == pipeline.domains.end()) return std::nullopt;
  Tables tables;
  for (const auto& [client, schema] : locked->second) {
    // What is left of a client or table that the pipeline file no longer names does not count.
    if (pipeline.clients.contains(client) && schema.table == configured->second.table)
      tables.emplace_back(client, &schema);
  }
  if (tables.empty()) return std::nullopt;

  DomainRelation result;
  result.relation.name = domain;
  Tables eldest = eldest_first(tables, lock, domain);
  std::vector<std::vector<std::string>> keys;
  for (const auto& [client, schema] : eldest) keys.push_back(key_names(*schema));
  result.relation.key = most_common(keys);

  auto with_key = [&](Tables some) {
    std::erase_if(some, [&](const auto& entry) { return key_names(*entry.second) != result.relation.key; });
    return some;
  };
  // Columns of clients that turn out not to fit stay out: seed with all, then gather those of the fitting ones.
  std::vector<OutputColumn> seed = common_columns(with_key(tables), with_key(eldest), result.relation.key);
  std::vector<std::string> used;
  for (const auto& [client, schema] : eldest) {
    std::string reason = merge_table(seed, *schema, result.relation.key);
    if (!reason.empty()) {
      result.set_aside.push_back({client, std::move(reason)});
      continue;
    }
    result.clients.push_back(client);
    for (const ColumnSchema& column : schema->columns) used.push_back(column.name);
  }
  std::sort(result.clients.begin(), result.clients.end());
  std::sort(result.set_aside.begin(), result.set_aside.end(),
            [](const SetAside& a, const SetAside& b) { return a.client < b.client; });
  for (OutputColumn& column : seed) {
    if (std::find(used.begin(), used.end(), column.name) != used.end()) {
      result.relation.columns.push_back(std::move(column));
    }
  }
  return result;
}

}  // namespace tributary
