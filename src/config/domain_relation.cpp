// How clients' tables become one relation.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

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

// What tables are together.
struct Together {
  std::vector<OutputColumn> columns;  // those that a table in it has
  std::vector<std::string> key;
  std::vector<SetAside> misfits;
  std::vector<std::string> clients;  // the others
};

// Of each column that none of `columns` is: the type that most tables have. Those that come first count among as many.
void add_common_columns(std::vector<OutputColumn>& columns, const Tables& tables, const std::vector<std::string>& key) {
  for (const auto& [client, schema] : tables) {
    for (const ColumnSchema& column : schema->columns) {
      bool known =
          std::any_of(columns.begin(), columns.end(), [&](const auto& other) { return other.name == column.name; });
      if (known) continue;
      std::vector<LogicalType> types;
      for (const auto& [other_client, other] : tables) {
        if (auto index = other->find(column.name)) types.push_back(other->columns[*index].type);
      }
      bool is_key = std::find(key.begin(), key.end(), column.name) != key.end();
      columns.push_back({column.name, most_common(types), !is_key});
    }
  }
}

// `tables` must fit `with`, and then what most of them have.
Together join_tables(Together with, const Tables& tables) {
  if (tables.empty()) return with;
  if (with.key.empty()) {
    std::vector<std::vector<std::string>> keys;
    for (const auto& [client, schema] : tables) keys.push_back(key_names(*schema));
    with.key = most_common(keys);
  }
  std::set<std::string> used;
  for (const OutputColumn& column : with.columns) used.insert(column.name);
  // Columns of tables that turn out not to fit stay out: seed with all, then gather those of the fitting ones.
  Tables of_key = tables;
  std::erase_if(of_key, [&](const auto& entry) { return key_names(*entry.second) != with.key; });
  add_common_columns(with.columns, of_key, with.key);
  for (const auto& [client, schema] : tables) {
    std::string reason = merge_table(with.columns, *schema, with.key);
    if (!reason.empty()) {
      with.misfits.push_back({client, std::move(reason), {}});
      continue;
    }
    with.clients.push_back(client);
    for (const ColumnSchema& column : schema->columns) used.insert(column.name);
  }
  std::erase_if(with.columns, [&](const OutputColumn& column) { return !used.contains(column.name); });
  return with;
}

// Decides whose table fits.
class Judge {
 public:
  Judge(const LockFile& lock, std::string domain, const Tables& tables) : lock_(lock), domain_(std::move(domain)) {
    auto marks = lock.as_it_fit.find(domain_);
    for (const auto& [client, schema] : tables) {
      if (marks == lock.as_it_fit.end() || !marks->second.contains(client)) {
        fitting_.emplace_back(client, schema);
        continue;
      }
      const auto& before = marks->second.at(client);
      if (before && before->table == schema->table) as_it_fit_[client] = &*before;
      changed_.emplace_back(client, schema);
    }
    // What was never served gives way to what is.
    changed_ = eldest_first(std::move(changed_), lock_, domain_);
    std::stable_partition(changed_.begin(), changed_.end(),
                          [&](const auto& entry) { return as_it_fit_.contains(entry.first); });
    take_what_fits_all();
  }

  // Each that is set aside leaves what it was for the others to fit, so they are judged once more.
  Together judge() {
    while (true) {
      Together held = join_tables({}, held_tables());
      if (set_one_aside(held)) continue;
      Together all = join_tables(held, changed_);
      if (all.misfits.size() == held.misfits.size()) {
        for (const auto& [client, reason] : aside_) {
          auto at = std::find_if(all.misfits.begin(), all.misfits.end(),
                                 [&, of = &client](const SetAside& misfit) { return misfit.client == *of; });
          const TableSchema* before = as_it_fit_.contains(client) ? as_it_fit_.at(client) : nullptr;
          if (at != all.misfits.end()) {
            at->reason = reason;
          } else {
            all.misfits.push_back({client, reason, before == nullptr ? std::nullopt : std::optional(*before)});
          }
          std::erase(all.clients, client);
        }
        return all;
      }
      put_aside(all.misfits[held.misfits.size()].client, all.misfits[held.misfits.size()].reason);
    }
  }

  // Those whose columns make the relation: of one that is set aside, as it was.
  const TableSchema* served(const std::string& client, const TableSchema* now) const {
    if (!aside_.contains(client)) return now;
    auto before = as_it_fit_.find(client);
    return before == as_it_fit_.end() ? nullptr : before->second;
  }

 private:
  // Who changed something and goes on with all that is served is not judged beside those who do not.
  void take_what_fits_all() {
    Tables served = fitting_;
    for (const auto& [client, before] : as_it_fit_) served.emplace_back(client, before);
    Together all = join_tables({}, in_order(std::move(served)));
    if (all.key.empty()) return;
    Tables rest;
    for (const auto& entry : changed_) {
      bool fits = merge_table(all.columns, *entry.second, all.key).empty();
      (fits ? fitting_ : rest).push_back(entry);
    }
    changed_ = std::move(rest);
  }

  Tables in_order(Tables held) const {
    std::sort(held.begin(), held.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return eldest_first(std::move(held), lock_, domain_);
  }

  Tables held_tables() const {
    Tables held = fitting_;
    for (const auto& [client, reason] : aside_) {
      if (auto before = as_it_fit_.find(client); before != as_it_fit_.end()) held.emplace_back(client, before->second);
    }
    return in_order(std::move(held));
  }

  bool set_one_aside(const Together& held) {
    if (held.key.empty()) return false;
    for (const auto& [client, schema] : changed_) {
      std::vector<OutputColumn> columns = held.columns;
      std::string reason = merge_table(columns, *schema, held.key);
      if (reason.empty()) continue;
      put_aside(client, std::move(reason));
      return true;
    }
    return false;
  }

  void put_aside(std::string client, std::string reason) {
    std::erase_if(changed_, [&](const auto& entry) { return entry.first == client; });
    aside_.emplace(std::move(client), std::move(reason));
  }

  const LockFile& lock_;
  std::string domain_;
  Tables fitting_;
  Tables changed_;                                       // in a way that does not fit all others; not set aside yet
  std::map<std::string, const TableSchema*> as_it_fit_;  // of those that changed
  std::map<std::string, std::string> aside_;             // client → why
};

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

  Judge judge(lock, domain, tables);
  Together all = judge.judge();
  DomainRelation result;
  result.relation.name = domain;
  result.relation.key = std::move(all.key);
  result.clients = std::move(all.clients);
  result.set_aside = std::move(all.misfits);
  std::sort(result.clients.begin(), result.clients.end());
  std::sort(result.set_aside.begin(), result.set_aside.end(),
            [](const SetAside& a, const SetAside& b) { return a.client < b.client; });
  // In the order of the first client that has them, whoever changed when.
  for (const auto& [client, schema] : tables) {
    const TableSchema* served = judge.served(client, schema);
    for (size_t i = 0; served != nullptr && i < served->columns.size(); ++i) {
      auto at = std::find_if(all.columns.begin(), all.columns.end(),
                             [&](const OutputColumn& column) { return column.name == served->columns[i].name; });
      if (at == all.columns.end()) continue;
      result.relation.columns.push_back(std::move(*at));
      all.columns.erase(at);
    }
  }
  return result;
}

void note_who_fits(const Pipeline& pipeline, LockFile& lock) {
  for (const auto& [name, config] : pipeline.domains) {
    auto relation = domain_relation(pipeline, lock, name);
    if (!relation) continue;
    auto& marks = lock.as_it_fit[name];
    for (const std::string& client : relation->clients) marks.erase(client);
    for (SetAside& aside : relation->set_aside) marks[aside.client] = std::move(aside.as_it_fit);
    if (marks.empty()) lock.as_it_fit.erase(name);
  }
}

}  // namespace tributary
