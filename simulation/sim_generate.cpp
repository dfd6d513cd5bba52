// Random cases: shapes, views in the supported SQL, steps.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "sim_case.h"

namespace tributary::simulation {
namespace {

constexpr int64_t keys_max = 7;
const LogicalType int64_type{TypeId::kInt64};
const LogicalType int32_type{TypeId::kInt32};
const LogicalType text_type{TypeId::kText};
const LogicalType decimal_type{TypeId::kDecimal, 12, 2};
const LogicalType double_type{TypeId::kFloat64};
const LogicalType date_type{TypeId::kDate};
const LogicalType timestamp_type{TypeId::kTimestamp};
const LogicalType bool_type{TypeId::kBool};

// A relation that a view may read: a domain, or an earlier view.
struct Readable {
  std::string name;
  std::vector<std::pair<std::string, LogicalType>> columns;
};

struct Typed {
  std::string sql;
  LogicalType type;
};

DomainShape make_domain(Random& random, uint32_t number) {
  DomainShape shape{.name = fmt::format("d{}", number), .columns = {}, .key = {0}};
  auto add = [&](const char* name, LogicalType type, bool key, bool may_be_absent) {
    shape.columns.push_back({name, type, type.to_string(), key, may_be_absent});
  };
  add("id", int64_type, true, false);
  if (random.one_in(4)) {
    add("part", text_type, true, false);
    shape.key = {0, 1};
  }
  bool toast = random.one_in(2);
  add("ref", random.one_in(2) ? int64_type : int32_type, false, false);
  add("n", int32_type, false, false);
  add("s", text_type, false, toast);
  add("m", decimal_type, false, toast && random.one_in(2));
  add("x", double_type, false, false);
  add("day", date_type, false, false);
  add("ts", timestamp_type, false, false);
  add("ok", bool_type, false, false);
  add("u", int64_type, false, false);  // different in every row version
  return shape;
}

Value random_value(Random& random, const ColumnSchema& column, int64_t unique) {
  if (column.name == "u") return std::to_string(unique);
  if (random.one_in(7)) return std::nullopt;
  switch (column.type.id) {
    case TypeId::kInt64:
    case TypeId::kInt32:
      return std::to_string(static_cast<int64_t>(random.below(keys_max + 1)) - (column.name == "n" ? 2 : 0));
    case TypeId::kText: return std::string(1, "abcA "[random.below(5)]) + (random.one_in(3) ? "" : "z");
    case TypeId::kDecimal:
      return fmt::format("{}.{:02}", static_cast<int64_t>(random.below(40)) - 20, random.below(100));
    case TypeId::kFloat64: return fmt::format("{}", (static_cast<double>(random.below(2000)) - 1000) / 7);
    case TypeId::kDate: return fmt::format("2024-01-{:02}", 1 + random.below(4));
    case TypeId::kTimestamp: return fmt::format("2024-01-{:02} {:02}:00:00", 1 + random.below(3), random.below(24));
    case TypeId::kBool: return random.one_in(2) ? "true" : "false";
    default: return std::nullopt;
  }
}

class ViewMaker {
 public:
  ViewMaker(Random& random, std::vector<Readable>& relations) : random_(random), relations_(relations) {}

  ViewText make(uint32_t number) {
    ViewText view{.name = fmt::format("v{}", number), .sql = {}, .batch = {}, .operators = {}};
    operators_ = &view.operators;
    Readable result{view.name, {}};
    uint64_t kind = random_.below(10);
    std::string sql;
    std::string batch;
    if (kind == 0) {
      std::tie(sql, batch) = make_union(result);
    } else if (kind <= 3) {
      sql = batch = make_aggregate(result);
    } else if (kind == 4) {
      sql = batch = make_distinct(result);
    } else if (kind <= 6) {
      std::tie(sql, batch) = make_first_row(result);
    } else {
      sql = batch = make_plain(result);
    }
    view.sql = sql;
    view.batch = batch;
    relations_.push_back(std::move(result));
    return view;
  }

 private:
  struct Scope {
    std::string from;
    std::vector<Typed> columns;
  };

  // FROM one or several relations, with their columns qualified.
  Scope make_from() {
    Scope scope;
    size_t count = random_.one_in(2) ? 1 : 2 + random_.below(2);
    std::vector<std::vector<Typed>> parts;
    for (size_t i = 0; i < count; ++i) {
      const Readable& relation = random_.pick(relations_);
      if (relation.name[0] == 'v') operators_->insert("view over view");
      std::string alias(1, static_cast<char>('a' + i));
      std::vector<Typed> columns;
      for (const auto& [name, type] : relation.columns) columns.push_back({alias + "." + name, type});
      if (i == 0) {
        scope.from = fmt::format("{} {}", relation.name, alias);
        parts.push_back(columns);
        continue;
      }
      const auto& other = random_.pick(parts);
      std::vector<std::pair<std::string, std::string>> pairs;
      for (const Typed& l : other) {
        for (const Typed& r : columns) {
          bool integers = is_integer(l.type) && is_integer(r.type);
          if (integers || (l.type == r.type && l.type.id != TypeId::kFloat64)) pairs.emplace_back(l.sql, r.sql);
        }
      }
      if (pairs.empty()) break;
      bool left = random_.one_in(2);
      auto [l, r] = random_.pick(pairs);
      std::string on = fmt::format("{} = {}", l, r);
      if (random_.one_in(4)) {
        auto [l2, r2] = random_.pick(pairs);
        on += fmt::format(" AND {} = {}", l2, r2);
      }
      if (random_.one_in(5)) on += " AND " + condition_over(columns);
      if (!left && random_.one_in(5)) on += " AND " + condition_over(other);
      scope.from += fmt::format(" {} JOIN {} {} ON {}", left ? "LEFT" : "INNER", relation.name, alias, on);
      operators_->insert(left ? "left join" : "inner join");
      if (left_names_.contains(relation.name)) operators_->insert("self join");
      parts.push_back(columns);
    }
    for (const auto& part : parts) scope.columns.insert(scope.columns.end(), part.begin(), part.end());
    return scope;
  }

  static bool is_integer(const LogicalType& type) { return type.id == TypeId::kInt64 || type.id == TypeId::kInt32; }

  std::vector<Typed> of_type(const std::vector<Typed>& columns, TypeId id) {
    std::vector<Typed> out;
    for (const Typed& column : columns) {
      if (column.type.id == id) out.push_back(column);
    }
    return out;
  }

  std::string condition_over(const std::vector<Typed>& columns) {
    const Typed& column = random_.pick(columns);
    switch (column.type.id) {
      case TypeId::kInt64:
      case TypeId::kInt32: return fmt::format("{} {} {}", column.sql, random_.one_in(2) ? "<>" : ">", random_.below(4));
      case TypeId::kText: return fmt::format("{} <> '{}'", column.sql, "ab"[random_.below(2)]);
      case TypeId::kBool: return random_.one_in(2) ? column.sql : fmt::format("{} IS NOT TRUE", column.sql);
      case TypeId::kDate: return fmt::format("{} >= DATE '2024-01-02'", column.sql);
      default: return fmt::format("{} IS {}NULL", column.sql, random_.one_in(2) ? "NOT " : "");
    }
  }

  std::string where(const Scope& scope) {
    if (random_.one_in(2)) return "";
    operators_->insert("filter");
    std::string out = " WHERE " + condition_over(scope.columns);
    if (random_.one_in(3))
      out += fmt::format(" {} {}", random_.one_in(2) ? "AND" : "OR", condition_over(scope.columns));
    if (random_.one_in(6)) out += " AND client.plan <> 'free'", operators_->insert("attribute");
    return out;
  }

  Typed expression(const std::vector<Typed>& columns) {
    if (random_.one_in(8)) {
      operators_->insert("attribute");
      return {"client.plan", text_type};
    }
    const Typed& column = random_.pick(columns);
    if (random_.one_in(2)) return column;
    operators_->insert("compute");
    switch (column.type.id) {
      case TypeId::kInt32: return {fmt::format("coalesce({}, 0) + 1", column.sql), int32_type};
      case TypeId::kInt64: return {fmt::format("coalesce({}, 0) + 1", column.sql), int64_type};
      case TypeId::kText: return {fmt::format("upper({})", column.sql), text_type};
      case TypeId::kDate: return {fmt::format("{} IS NULL", column.sql), bool_type};
      case TypeId::kTimestamp: return {fmt::format("CAST({} AS DATE)", column.sql), date_type};
      case TypeId::kBool: return {fmt::format("NOT {}", column.sql), bool_type};
      default: return column;
    }
  }

  std::string items(const std::vector<Typed>& list, Readable& result) {
    std::string out;
    for (size_t i = 0; i < list.size(); ++i) {
      std::string name = fmt::format("c{}", i);
      out += fmt::format("{}{} AS {}", i == 0 ? "" : ", ", list[i].sql, name);
      result.columns.emplace_back(name, list[i].type);
    }
    return out;
  }

  std::vector<Typed> some_expressions(const Scope& scope, size_t most) {
    std::vector<Typed> list;
    size_t count = 1 + random_.below(most);
    for (size_t i = 0; i < count; ++i) list.push_back(expression(scope.columns));
    return list;
  }

  std::string make_plain(Readable& result) {
    Scope scope = make_from();
    std::string select = items(some_expressions(scope, 4), result);
    operators_->insert("map");
    return fmt::format("SELECT {} FROM {}{}", select, scope.from, where(scope));
  }

  std::string make_distinct(Readable& result) {
    Scope scope = make_from();
    std::string select = items(some_expressions(scope, 3), result);
    operators_->insert("distinct");
    return fmt::format("SELECT DISTINCT {} FROM {}{}", select, scope.from, where(scope));
  }

  Typed aggregate(const Scope& scope) {
    const Typed& column = random_.pick(scope.columns);
    TypeId id = column.type.id;
    bool number = is_integer(column.type) || id == TypeId::kDecimal || id == TypeId::kFloat64;
    auto unique = of_type(scope.columns, TypeId::kInt64);
    std::erase_if(unique, [](const Typed& typed) { return !typed.sql.ends_with(".u"); });
    switch (random_.below(9)) {
      case 0: return {"count(*)", int64_type};
      case 1: return {fmt::format("count({})", column.sql), int64_type};
      case 2: return {fmt::format("count(DISTINCT {})", column.sql), int64_type};
      case 3:
        if (number) {
          LogicalType type = id == TypeId::kFloat64    ? double_type
                             : is_integer(column.type) ? LogicalType{TypeId::kDecimal, 38, 0}
                                                       : LogicalType{TypeId::kDecimal, 38, 2};
          return {fmt::format("sum({})", column.sql), type};
        }
        break;
      case 4:
        if (number) return {fmt::format("avg({})", column.sql), double_type};
        break;
      case 5: return {fmt::format("min({})", column.sql), column.type};
      case 6: return {fmt::format("max({})", column.sql), column.type};
      case 7:
        if (id == TypeId::kBool)
          return {fmt::format("{}({})", random_.one_in(2) ? "bool_and" : "bool_or", column.sql), bool_type};
        break;
      default:
        if (!unique.empty()) {
          // Of one relation: then a row decides both, and ties have one outcome.
          const Typed& order = random_.pick(unique);
          std::vector<Typed> same;
          for (const Typed& typed : scope.columns) {
            if (typed.sql[0] == order.sql[0] && typed.sql != order.sql) same.push_back(typed);
          }
          if (!same.empty()) {
            const Typed& argument = random_.pick(same);
            operators_->insert("arg_min/arg_max");
            return {fmt::format("{}({}, {})", random_.one_in(2) ? "arg_min" : "arg_max", argument.sql, order.sql),
                    argument.type};
          }
        }
    }
    return {"count(*)", int64_type};
  }

  std::string make_aggregate(Readable& result) {
    Scope scope = make_from();
    std::vector<Typed> groups;
    size_t count = random_.below(3);
    for (size_t i = 0; i < count; ++i) {
      Typed group = expression(scope.columns);
      if (group.type.id == TypeId::kFloat64) continue;
      if (std::none_of(groups.begin(), groups.end(), [&](const Typed& other) { return other.sql == group.sql; })) {
        groups.push_back(group);
      }
    }
    std::vector<Typed> list = groups;
    size_t calls = 1 + random_.below(3);
    for (size_t i = 0; i < calls; ++i) {
      Typed call = aggregate(scope);
      if (random_.one_in(5) && call.sql.find("arg_") == std::string::npos) {
        call.sql += fmt::format(" FILTER (WHERE {})", condition_over(scope.columns));
        operators_->insert("aggregate filter");
      }
      list.push_back(call);
    }
    std::string having;
    if (random_.one_in(4)) {
      having = fmt::format(" HAVING count(*) > {}", random_.below(3));
      operators_->insert("having");
    }
    std::string select = items(list, result);
    std::string sql = fmt::format("SELECT {} FROM {}{}", select, scope.from, where(scope));
    if (!groups.empty()) {
      sql += " GROUP BY ";
      for (size_t i = 0; i < groups.size(); ++i) sql += (i == 0 ? "" : ", ") + groups[i].sql;
      operators_->insert("aggregate");
    } else {
      operators_->insert("global aggregate");
    }
    return sql + having;
  }

  std::pair<std::string, std::string> make_first_row(Readable& result) {
    Scope scope = make_from();
    std::vector<Typed> list = some_expressions(scope, 4);
    std::string select = items(list, result);
    std::string partition = random_.pick(scope.columns).sql;
    const Typed& order = random_.pick(scope.columns);
    std::string by =
        fmt::format("{}{}{}", order.sql, random_.one_in(2) ? " DESC" : "", random_.one_in(3) ? " NULLS FIRST" : "");
    std::string ties;
    for (const Typed& item : list) ties += ", " + item.sql + " ASC NULLS LAST";
    operators_->insert("first row");
    auto text = [&, filter = where(scope)](const std::string& order_by) {
      return fmt::format("SELECT {} FROM {}{} QUALIFY row_number() OVER (PARTITION BY {} ORDER BY {}) = 1", select,
                         scope.from, filter, partition, order_by);
    };
    return {text(by), text(by + ties)};
  }

  std::pair<std::string, std::string> make_union(Readable& result) {
    Scope first = make_from();
    std::vector<Typed> list = some_expressions(first, 3);
    Readable ignored;
    std::string sql = fmt::format("SELECT {} FROM {}{}", items(list, result), first.from, where(first));
    size_t branches = 1 + random_.below(2);
    for (size_t i = 0; i < branches; ++i) {
      Scope other = make_from();
      std::vector<Typed> same;
      for (const Typed& wanted : list) {
        auto fitting = of_type(other.columns, wanted.type.id);
        std::erase_if(fitting, [&](const Typed& typed) { return !(typed.type == wanted.type); });
        same.push_back(fitting.empty() ? Typed{fmt::format("CAST(NULL AS {})", sql_type(wanted.type)), wanted.type}
                                       : random_.pick(fitting));
      }
      sql += fmt::format(" UNION ALL SELECT {} FROM {}{}", items(same, ignored), other.from, where(other));
    }
    operators_->insert("union");
    return {sql, sql};
  }

  static std::string sql_type(const LogicalType& type) {
    switch (type.id) {
      case TypeId::kInt32: return "INTEGER";
      case TypeId::kInt64: return "BIGINT";
      case TypeId::kDecimal: return fmt::format("DECIMAL({},{})", type.precision, type.scale);
      case TypeId::kFloat64: return "DOUBLE";
      case TypeId::kDate: return "DATE";
      case TypeId::kTimestamp: return "TIMESTAMP";
      case TypeId::kBool: return "BOOLEAN";
      default: return "VARCHAR";
    }
  }

  Random& random_;
  std::vector<Readable>& relations_;
  std::set<std::string> left_names_;
  std::set<std::string>* operators_ = nullptr;
};

Step random_step(Random& random, const SimCase& sim, int64_t& unique) {
  Step step;
  step.client = static_cast<uint32_t>(random.below(sim.clients.size()));
  step.domain = static_cast<uint32_t>(random.below(sim.domains.size()));
  step.key = static_cast<int64_t>(random.below(keys_max));
  step.other_key = static_cast<int64_t>(random.below(keys_max));
  step.delay = random.one_in(4) ? static_cast<uint32_t>(random.below(12)) : 0;
  step.twice = random.one_in(10);
  step.workers = 1 + static_cast<uint32_t>(random.below(3));
  const DomainShape& shape = sim.domains[step.domain];
  for (uint32_t i = 0; i < shape.columns.size(); ++i) {
    if (shape.columns[i].key) continue;
    step.values.push_back(random_value(random, shape.columns[i], unique));
    if (shape.columns[i].may_be_absent && random.one_in(2)) step.left_out.insert(i);
  }
  ++unique;
  switch (random.below(30)) {
    case 0: step.kind = StepKind::kTruncate; break;
    case 1:
      step.kind = StepKind::kAttribute;
      step.attribute = "plan";
      step.value = random.one_in(2) ? "free" : "gold";
      break;
    case 2: step.kind = StepKind::kRestart; break;
    case 3: step.kind = StepKind::kFailRound; break;
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9: step.kind = StepKind::kRound; break;
    case 10:
    case 11:
    case 12:
    case 13: step.kind = StepKind::kDelete; break;
    case 14:
    case 15: step.kind = StepKind::kMove; break;
    case 16: step.kind = random.one_in(3) ? StepKind::kQuiet : StepKind::kRound; break;
    default: step.kind = StepKind::kPut;
  }
  return step;
}

}  // namespace

SimCase make_case(uint64_t seed) {
  Random random(seed);
  SimCase sim{.seed = seed, .domains = {}, .views = {}, .clients = {}, .attributes = {}, .steps = {}};
  std::vector<Readable> relations;
  uint32_t domains = 1 + static_cast<uint32_t>(random.below(3));
  for (uint32_t i = 0; i < domains; ++i) {
    sim.domains.push_back(make_domain(random, i));
    Readable readable{sim.domains.back().name, {}};
    for (const ColumnSchema& column : sim.domains.back().columns)
      readable.columns.emplace_back(column.name, column.type);
    relations.push_back(std::move(readable));
  }
  ViewMaker maker(random, relations);
  uint32_t views = 1 + static_cast<uint32_t>(random.below(4));
  for (uint32_t i = 0; i < views; ++i) sim.views.push_back(maker.make(i));
  uint32_t clients = 1 + static_cast<uint32_t>(random.below(2));
  for (uint32_t i = 0; i < clients; ++i) {
    sim.clients.push_back(fmt::format("c{}", i));
    sim.attributes.push_back({{"plan", random.one_in(2) ? "free" : "gold"}});
  }
  int64_t unique = 1;
  uint64_t steps = 5 + random.below(90);
  for (uint64_t i = 0; i < steps; ++i) sim.steps.push_back(random_step(random, sim, unique));
  return sim;
}

std::string to_text(const SimCase& sim) {
  std::string out = fmt::format("seed {}\n", sim.seed);
  for (const DomainShape& shape : sim.domains) {
    out += "domain " + shape.name + ":";
    for (const ColumnSchema& column : shape.columns) {
      out += fmt::format(" {} {}{}{}", column.name, column.type.to_string(), column.key ? " key" : "",
                         column.may_be_absent ? " may be absent" : "");
    }
    out += "\n";
  }
  for (size_t i = 0; i < sim.clients.size(); ++i)
    out += fmt::format("client {} {}\n", sim.clients[i], sim.attributes[i]);
  for (const ViewText& view : sim.views) out += fmt::format("view {}: {}\n", view.name, view.sql);
  const char* names[] = {"put", "delete", "move", "truncate", "attribute", "round", "restart", "fail round", "quiet"};
  for (const Step& step : sim.steps) {
    out += fmt::format("{}", names[static_cast<int>(step.kind)]);
    if (step.kind <= StepKind::kTruncate)
      out += fmt::format(" {} {} key={}", sim.clients[step.client], sim.domains[step.domain].name, step.key);
    if (step.kind == StepKind::kMove) out += fmt::format(" to={}", step.other_key);
    if (step.kind == StepKind::kPut || step.kind == StepKind::kMove) {
      for (const Value& value : step.values) out += " " + value.value_or("NULL");
      if (!step.left_out.empty()) out += fmt::format(" left out {}", fmt::join(step.left_out, ","));
    }
    if (step.kind <= StepKind::kTruncate && step.delay > 0) out += fmt::format(" delay={}", step.delay);
    if (step.kind <= StepKind::kTruncate && step.twice) out += " twice";
    if (step.kind == StepKind::kAttribute)
      out += fmt::format(" {} plan={}", sim.clients[step.client], step.value.value_or("NULL"));
    if (step.kind == StepKind::kRestart) out += fmt::format(" workers={}", step.workers);
    out += "\n";
  }
  return out;
}

}  // namespace tributary::simulation
