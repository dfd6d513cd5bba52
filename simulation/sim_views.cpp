#include "sim_views.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "sim_text.h"
#include "sql/type_names.h"

namespace tributary::simulation {
namespace {

const LogicalType int16_type{TypeId::kInt16};
const LogicalType int32_type{TypeId::kInt32};
const LogicalType int64_type{TypeId::kInt64};
const LogicalType text_type{TypeId::kText};
const LogicalType double_type{TypeId::kFloat64};
const LogicalType date_type{TypeId::kDate};
const LogicalType timestamp_type{TypeId::kTimestamp};
const LogicalType bool_type{TypeId::kBool};

bool is_integer(const LogicalType& type) { return type.id >= TypeId::kInt16 && type.id <= TypeId::kInt64; }

struct Typed {
  std::string sql;
  LogicalType type;
  bool exact = true;
  bool held = false;  // as ReadableColumn's: of a column that is passed through
  bool big = false;
};

// An aggregate, before its FILTER.
struct Call {
  Typed value;
  std::string batch;  // where it is another
  std::string unusable;  // rows that it cannot take in; empty: none
};

// Of which rows the column's value cannot be held.
std::string is_held(const Typed& column) {
  switch (column.type.id) {
    case TypeId::kDate: return column.sql + " >= DATE '9999-12-30'";
    case TypeId::kTimestamp: return column.sql + " >= TIMESTAMP '9999-12-30 00:00:00'";
    default: return fmt::format("{} = {}", column.sql, *stand_in(column.type, "NaN"));
  }
}

// `sql` is computed with the column.
std::string computed_with(const Typed& column, const std::string& sql) {
  return column.held ? fails_where_held(sql, is_held(column)) : sql;
}

struct Scope {
  std::string from;
  std::vector<Typed> columns;
};

class ViewMaker {
 public:
  ViewMaker(Random& random, const std::vector<Readable>& relations, bool may_fail, Oddities& odd, ViewText& view,
            Readable& result)
      : random_(random),
        relations_(relations),
        may_fail_(may_fail),
        odd_(odd),
        operators_(view.operators),
        result_(result) {}

  // Marked text (sim_text.h).
  std::string make() {
    switch (random_.below(11)) {
      case 0: return make_union();
      case 1:
      case 2:
      case 3: return make_aggregate();
      case 4: return make_distinct();
      case 5:
      case 6: return make_first_row();
      case 7: return make_over_groups();
      default: return make_plain();
    }
  }

 private:
  const Readable& some_relation(const std::vector<std::string>& taken) {
    if (!taken.empty() && random_.one_in(4)) {
      for (const Readable& relation : relations_) {
        if (relation.name == taken.back()) return relation;
      }
    }
    return random_.pick(relations_);
  }

  // FROM one or several relations, with their columns qualified.
  Scope make_from() {
    Scope scope;
    size_t count = random_.one_in(2) ? 1 : 2 + random_.below(2);
    std::vector<std::vector<Typed>> parts;
    std::vector<std::string> taken;
    for (size_t i = 0; i < count; ++i) {
      const Readable& relation = some_relation(taken);
      std::string alias(1, static_cast<char>('a' + i));
      std::vector<Typed> columns;
      for (const ReadableColumn& column : relation.columns) {
        columns.push_back({alias + "." + column.name, column.type, column.exact, column.held, column.big});
      }
      if (i == 0) {
        scope.from = fmt::format("{} {}", relation.name, alias);
      } else if (!add_join(relation.name, alias, parts, columns, taken, scope)) {
        break;
      }
      if (relation.name[0] == 'v') operators_.insert("view over view");
      parts.push_back(columns);
      taken.push_back(relation.name);
    }
    for (const auto& part : parts) scope.columns.insert(scope.columns.end(), part.begin(), part.end());
    bare_.clear();
    for (const Typed& column : scope.columns) {
      auto [at, fresh] = bare_.emplace(column.sql.substr(column.sql.find('.') + 1), column);
      if (!fresh) at->second.reset();
    }
    return scope;
  }

  bool add_join(const std::string& name, const std::string& alias, const std::vector<std::vector<Typed>>& parts,
                const std::vector<Typed>& columns, const std::vector<std::string>& taken, Scope& scope) {
    const auto& other = random_.pick(parts);
    std::vector<std::pair<Typed, Typed>> pairs;
    for (const Typed& l : other) {
      for (const Typed& r : columns) {
        if (!l.exact || !r.exact) continue;
        if ((is_integer(l.type) && is_integer(r.type)) || l.type == r.type) pairs.emplace_back(l, r);
      }
    }
    if (pairs.empty()) return false;
    bool left = random_.one_in(2);
    auto [l, r] = random_.pick(pairs);
    std::vector<std::string> side;  // of which rows of the right side ON fails
    std::string more;
    std::string left_conditions;  // where they do not hold, a left row has no key
    if (random_.one_in(4)) {
      auto [l2, r2] = random_.pick(pairs);
      more += fmt::format(" AND {} = {}", l2.sql, r2.sql);
    }
    if (random_.one_in(5)) more += " AND " + condition_over(columns, &side);
    if (random_.one_in(5)) left_conditions += " AND " + condition_over(other);
    if (random_.one_in(10)) left_conditions += " AND " + attribute_condition();
    std::string on = odd_chance(8) ? key_that_fails(l, r, left_conditions, side) : fmt::format("{} = {}", l.sql, r.sql);
    on += more + left_conditions;
    scope.from += fmt::format(" {} JOIN {} ON {}", left ? "LEFT" : "INNER", side_of_join(name, alias, side), on);
    operators_.insert(left ? "left join" : "inner join");
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) operators_.insert("self join");
    return true;
  }

  bool odd_chance(uint64_t n) { return odd_.casts && odd_.random.one_in(n); }

  static Fails cast_fails(const std::string& sql, const std::string& type) {
    std::string tried = fmt::format("TRY_CAST({} AS {})", sql, type);
    // As a column, a UTINYINT is a SMALLINT.
    return {fmt::format("CAST({} AS {})", sql, type),
            type == "UTINYINT" ? fmt::format("CAST({} AS SMALLINT)", tried) : tried,
            fmt::format("({} IS NOT NULL AND {} IS NULL)", sql, tried)};
  }

  // One side of a join's equality fails for some rows.
  std::string key_that_fails(const Typed& l, const Typed& r, const std::string& left_conditions,
                             std::vector<std::string>& side) {
    if (!is_integer(l.type) || !is_integer(r.type)) return fmt::format("{} = {}", l.sql, r.sql);
    operators_.insert("a key that fails");
    if (odd_.random.one_in(2)) {
      Fails fails = cast_fails(fmt::format("({} - 2)", r.sql), "UTINYINT");
      side.push_back(fails.failing);
      return fmt::format("{} = {}", l.sql, may_fail(fails, FailsAt::kSide));
    }
    Fails fails = cast_fails(fmt::format("({} - 2)", l.sql), "UTINYINT");
    fails.failing = "(" + fails.failing + left_conditions + ")";
    return fmt::format("{} = {}", may_fail(fails, FailsAt::kReadRow), r.sql);
  }

  // An expression that fails for some values of the column; nullopt where there is none of its type.
  std::optional<Typed> odd_expression(const Typed& column) {
    switch (column.type.id) {
      case TypeId::kInt32:
        if (odd_.random.one_in(3)) {
          Fails too_great{fmt::format("(({} + 2147483644) - 2147483644)", column.sql), column.sql, column.sql + " > 3"};
          return Typed{may_fail(too_great, FailsAt::kPassedRow), int32_type};
        }
        [[fallthrough]];
      case TypeId::kInt64: {
        Fails fails = cast_fails(fmt::format("({} - 1)", column.sql), "UTINYINT");
        if (odd_.random.one_in(3)) {
          operators_.insert("attribute");
          constexpr auto when = "CASE WHEN client.plan = 'free' THEN {} END";
          fails = {fmt::format(when, fails.pipeline), fmt::format(when, fails.batch),
                   fmt::format("(client.plan = 'free' AND {})", fails.failing)};
        }
        return Typed{may_fail(fails, FailsAt::kPassedRow), int16_type};
      }
      case TypeId::kText:
        if (column.sql.starts_with("client.")) return std::nullopt;
        return Typed{may_fail(cast_fails(column.sql, "INTEGER"), FailsAt::kPassedRow), int32_type};
      case TypeId::kDecimal:
        return Typed{computed_with(column, may_fail(cast_fails(column.sql, "DECIMAL(3, 2)"), FailsAt::kPassedRow)),
                     {TypeId::kDecimal, 3, 2}};
      default: return std::nullopt;
    }
  }

  std::string attribute_condition() {
    operators_.insert("attribute");
    return random_.one_in(2) ? "client.plan <> 'free'" : "coalesce(client.plan, 'none') <> 'gold'";
  }

  // `side`: of the right side of a join; it gets of which rows the condition fails.
  std::string condition_over(const std::vector<Typed>& columns, std::vector<std::string>* side = nullptr) {
    const Typed& column = random_.pick(columns);
    std::string condition = plain_condition(column);
    if (!column.held) return condition;
    operators_.insert("a value that cannot be held");
    if (side == nullptr) return computed_with(column, condition);
    side->push_back(is_held(column));
    return may_fail({condition, condition, ""}, FailsAt::kSide);
  }

  std::string plain_condition(const Typed& column) {
    if (random_.one_in(6)) return fmt::format("{} IS {}NULL", column.sql, random_.one_in(2) ? "NOT " : "");
    switch (column.type.id) {
      case TypeId::kInt16:
      case TypeId::kInt32:
      case TypeId::kInt64: return fmt::format("{} {} {}", column.sql, random_.one_in(2) ? "<>" : ">", random_.below(4));
      case TypeId::kText: return fmt::format("{} <> '{}'", column.sql, "ab"[random_.below(2)]);
      case TypeId::kBool: return random_.one_in(2) ? column.sql : fmt::format("{} IS NOT TRUE", column.sql);
      case TypeId::kDate: return fmt::format("{} >= DATE '2024-01-02'", column.sql);
      case TypeId::kDecimal: return fmt::format("{} < 3", column.sql);
      default: return fmt::format("{} IS {}NULL", column.sql, random_.one_in(2) ? "NOT " : "");
    }
  }

  std::string where(const Scope& scope) {
    const Typed& first = scope.columns[0];
    std::string other = computed_with(first, first.sql + " IS NOT NULL");
    if (random_.one_in(2)) return where_clause("", other);
    operators_.insert("filter");
    std::string out = condition_over(scope.columns);
    if (random_.one_in(3))
      out += fmt::format(" {} {}", random_.one_in(2) ? "AND" : "OR", condition_over(scope.columns));
    if (random_.one_in(6)) out += " AND " + attribute_condition();
    const Typed& column = scope.columns[odd_.random.below(scope.columns.size())];
    if (odd_chance(4) && is_integer(column.type)) {
      operators_.insert("a condition that fails");
      out = may_fail(cast_fails(fmt::format("({} - 1)", column.sql), "UTINYINT"), FailsAt::kReadRow) + " > 1";
    }
    return where_clause(out, other);
  }

  // `exact_only`: what may be a key. `fails`: where a row that fails is the batch's as well.
  Typed expression(const std::vector<Typed>& columns, bool exact_only = false, bool fails = false) {
    Typed made = plain_expression(columns, exact_only, fails);
    if (made.held) operators_.insert("a value that cannot be held");
    if (!odd_chance(5)) return made;
    auto odd = odd_expression(odd_.random.pick(columns));
    if (!odd) return made;
    operators_.insert("a row that fails");
    return *odd;
  }

  Typed plain_expression(const std::vector<Typed>& columns, bool exact_only, bool fails) {
    if (random_.one_in(8)) {
      operators_.insert("attribute");
      return {"client.plan", text_type};
    }
    if (fails && may_fail_ && random_.one_in(3)) {
      for (const Typed& column : columns) {
        if (column.type == int32_type) return fails_where_negative(column);
      }
    }
    const Typed& column = random_.pick(columns);
    if (exact_only && !column.exact) return {fmt::format("{} IS NULL", column.sql), bool_type};
    if (fails && may_fail_ && column.type == int32_type && random_.one_in(2)) return fails_where_negative(column);
    if (random_.one_in(2)) return column;
    operators_.insert("compute");
    switch (column.type.id) {
      case TypeId::kInt32: return {fmt::format("coalesce({}, 0) + 1", column.sql), int32_type};
      case TypeId::kInt64: return {fmt::format("coalesce({}, 0) + 1", column.sql), int64_type};
      case TypeId::kText:
        return {random_.one_in(2)
                    ? fmt::format("upper({})", column.sql)
                    : fmt::format("CASE WHEN {} < 'b' THEN 'low' ELSE trim({}) END", column.sql, column.sql),
                text_type};
      case TypeId::kDate: return {computed_with(column, fmt::format("{} IS NULL", column.sql)), bool_type};
      case TypeId::kTimestamp:
        if (random_.one_in(2)) return {computed_with(column, fmt::format("CAST({} AS DATE)", column.sql)), date_type};
        operators_.insert("time bucket");
        return {computed_with(column, fmt::format("time_bucket(INTERVAL '6 hours', {})", column.sql)), timestamp_type};
      case TypeId::kBool: return {fmt::format("NOT {}", column.sql), bool_type};
      default: return column;
    }
  }

  Typed fails_where_negative(const Typed& column) {
    operators_.insert("a row that fails");
    return {may_fail(cast_fails(column.sql, "UTINYINT"), FailsAt::kPassedRow), int16_type};
  }

  // An alias is at times the name of a column of FROM.
  std::string alias(size_t number) {
    auto taken = [&](const std::string& name) {
      return std::any_of(result_.columns.begin(), result_.columns.end(),
                         [&](const ReadableColumn& column) { return column.name == name; });
    };
    std::string name = fmt::format("c{}", number);
    if (odd_.names.one_in(3)) name = std::next(bare_.begin(), static_cast<long>(odd_.names.below(bare_.size())))->first;
    while (taken(name)) name += "_";
    return name;
  }

  std::string items(const std::vector<Typed>& list) {
    std::string out;
    result_.columns.clear();
    for (size_t i = 0; i < list.size(); ++i) {
      std::string name = alias(i);
      out += fmt::format("{}{} AS {}", i == 0 ? "" : ", ", list[i].sql, name);
      result_.columns.push_back({name, list[i].type, list[i].exact, list[i].held, list[i].big});
    }
    return out;
  }

  // Whether a condition on the value's text is the same in the batch, and no row fails of it.
  static bool is_plain(const Typed& value) {
    return value.exact && !value.held && !value.big && value.type.id != TypeId::kFloat64;
  }

  // A column's name without its relation, to stand inside an aggregate; empty where there is none.
  std::string bare_column() {
    std::vector<std::string> names;
    for (const auto& [name, column] : bare_) {
      if (column && is_plain(*column)) names.push_back(name);
    }
    return names.empty() ? "" : odd_.names.pick(names);
  }

  // The name of an item of the SELECT list, which may be another column's. Where columns go before aliases, one that is a
  // column's name is left out, unless its column is among `columns`.
  std::string bare_alias(const std::vector<Typed>& list, const std::vector<Typed>* columns) {
    std::vector<std::string> names;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string& name = result_.columns[i].name;
      auto column = bare_.find(name);
      bool is_column = column != bare_.end();
      if (!is_plain(list[i]) || (is_column && (!column->second || !is_plain(*column->second)))) continue;
      if (is_column && columns != nullptr && std::none_of(columns->begin(), columns->end(), [&](const Typed& of) {
            return of.sql == column->second->sql;
          })) {
        continue;
      }
      names.push_back(name);
    }
    return names.empty() ? "" : odd_.names.pick(names);
  }

  // A condition on a group by bare names; empty where there are none.
  std::string having_by_names(const std::vector<Typed>& list) {
    std::string column = bare_column();
    std::string alias = bare_alias(list, nullptr);
    std::string aggregate = column.empty()         ? ""
                            : odd_.names.one_in(2) ? fmt::format("count(DISTINCT {}) > {}", column, odd_.names.below(3))
                                                   : fmt::format("CAST(max({}) AS VARCHAR) > '2'", column);
    std::string value = alias.empty() ? "" : fmt::format("coalesce(CAST({} AS VARCHAR), '1') <> '2'", alias);
    if (aggregate.empty() || value.empty()) return aggregate + value;
    switch (odd_.names.below(3)) {
      case 0: return aggregate;
      case 1: return value;
      default: return fmt::format("{} {} {}", aggregate, odd_.names.one_in(2) ? "AND" : "OR", value);
    }
  }

  std::vector<Typed> some_expressions(const Scope& scope, size_t most, bool exact_only = false, bool fails = false) {
    std::vector<Typed> list;
    size_t count = 1 + random_.below(most);
    for (size_t i = 0; i < count; ++i) list.push_back(expression(scope.columns, exact_only, fails));
    return list;
  }

  std::string make_plain() {
    Scope scope = make_from();
    std::string select = items(some_expressions(scope, 4, false, true));
    operators_.insert("map");
    return fmt::format("SELECT {} FROM {}{}", select, scope.from, where(scope));
  }

  std::string make_distinct() {
    Scope scope = make_from();
    std::string select = items(some_expressions(scope, 3, true));
    operators_.insert("distinct");
    return fmt::format("SELECT DISTINCT {} FROM {}{}", select, scope.from, where(scope));
  }

  // A column with values that an aggregate cannot take in, or of which it can be too much.
  std::optional<Typed> odd_argument(const Scope& scope) {
    if ((!odd_.held && !odd_.big) || !odd_.random.one_in(3)) return std::nullopt;
    auto fits = [&](const Typed& column) { return odd_.big ? column.big : column.held; };
    auto at = std::find_if(scope.columns.begin(), scope.columns.end(), fits);
    return at == scope.columns.end() ? std::nullopt : std::optional(*at);
  }

  Call aggregate(const Scope& scope, bool filtered) {
    Typed column = filtered || random_.one_in(3) ? random_.pick(scope.columns) : expression(scope.columns, false, true);
    uint64_t call = random_.below(9);
    if (auto odd = odd_argument(scope); odd) {
      column = *odd;
      call = column.big ? 3 : 5;
    }
    TypeId id = column.type.id;
    bool number = is_integer(column.type) || id == TypeId::kDecimal || id == TypeId::kFloat64;
    std::string unusable = column.held ? is_held(column) : "";
    auto least_or_greatest = [&](const char* name) {
      Typed value{fmt::format("{}({})", name, column.sql), column.type, column.exact, false, column.big};
      return Call{value, {}, unusable};
    };
    switch (call) {
      case 0: return {{"count(*)", int64_type}, {}, {}};
      case 1: return {{fmt::format("count({})", column.sql), int64_type}, {}, {}};
      case 2:
        if (column.exact) return {{fmt::format("count(DISTINCT {})", column.sql), int64_type}, {}, {}};
        break;
      case 3:
        if (number) {
          LogicalType type = id == TypeId::kFloat64    ? double_type
                             : is_integer(column.type) ? LogicalType{TypeId::kDecimal, 38, 0}
                                                       : LogicalType{TypeId::kDecimal, 38, 2};
          Typed value{fmt::format("sum({})", column.sql), type, id != TypeId::kFloat64, false, column.big};
          return {value, column.big ? fmt::format("wide_sum_2({})", column.sql) : "", unusable};
        }
        break;
      case 4:
        if (column.big) return least_or_greatest("max");  // the batch's is no exact one
        if (number) return {{fmt::format("avg({})", column.sql), double_type, false}, {}, unusable};
        break;
      case 5: return least_or_greatest("min");
      case 6: return least_or_greatest("max");
      case 7:
        if (id == TypeId::kBool)
          return {{fmt::format("{}({})", random_.one_in(2) ? "bool_and" : "bool_or", column.sql), bool_type}, {}, {}};
        break;
      default: {
        const Typed& order = random_.pick(scope.columns);
        if (filtered || !column.exact || !order.exact || column.sql.starts_with("client.")) break;
        operators_.insert("arg_min/arg_max");
        if (order.held) unusable += (unusable.empty() ? "" : " OR ") + is_held(order);
        if (!unusable.empty())
          unusable = fmt::format("({}) AND ({}) IS NOT NULL AND ({}) IS NOT NULL", unusable, column.sql, order.sql);
        Typed value{arg_min_or_max(random_.one_in(2), column.sql, order.sql), column.type, column.exact, false,
                    column.big};
        return {value, {}, unusable};
      }
    }
    return {{"count(*)", int64_type}, {}, {}};
  }

  // The aggregate with its FILTER, which may be empty, as something of which a group may fail.
  Typed filtered_call(const Call& call, const std::string& filter) {
    std::string behind = filter.empty() ? "" : fmt::format(" FILTER (WHERE {})", filter);
    std::vector<std::string> conditions;
    if (!call.unusable.empty()) {
      operators_.insert("a group that fails");
      conditions.push_back(fmt::format("count(*) FILTER (WHERE ({}){}) > 0", call.unusable,
                                       filter.empty() ? "" : " AND (" + filter + ")"));
    }
    if (!call.batch.empty()) {
      operators_.insert("a sum past its range");
      conditions.push_back(fmt::format("abs(CAST({}{} AS DOUBLE)) >= 1e36", call.batch, behind));
    }
    Typed typed = call.value;
    typed.sql += behind;
    if (conditions.empty()) return typed;
    std::string batch = call.batch.empty() ? typed.sql : call.batch + behind;
    std::string failing = fmt::format("coalesce({}, FALSE)", fmt::join(conditions, ", FALSE) OR coalesce("));
    typed.sql = may_fail({typed.sql, batch, failing}, FailsAt::kGroup);
    return typed;
  }

  // A condition on a group.
  std::string having(const std::vector<Typed>& calls) {
    operators_.insert("having");
    const Typed& call = random_.pick(calls);
    if (random_.one_in(2) || !call.exact) return fmt::format("count(*) > {}", random_.below(3));
    if (is_integer(call.type) || call.type.id == TypeId::kDecimal)
      return fmt::format("{} {} {}", call.sql, random_.one_in(2) ? "<>" : ">", random_.below(4));
    return fmt::format("{} IS NOT NULL", call.sql);
  }

  std::vector<Typed> groups_of(const Scope& scope, size_t most) {
    std::vector<Typed> groups;
    size_t count = random_.below(most);
    for (size_t i = 0; i < count; ++i) {
      Typed group = expression(scope.columns, true);
      if (std::none_of(groups.begin(), groups.end(), [&](const Typed& other) { return other.sql == group.sql; })) {
        groups.push_back(group);
      }
    }
    return groups;
  }

  std::vector<Typed> calls_of(const Scope& scope, size_t most) {
    std::vector<Typed> calls;
    size_t count = 1 + random_.below(most);
    for (size_t i = 0; i < count; ++i) {
      bool filtered = random_.one_in(5);
      Call call = aggregate(scope, filtered);
      std::string filter;
      if (filtered) {
        filter = random_.one_in(8) ? attribute_condition() : condition_over(scope.columns);
        operators_.insert("aggregate filter");
      }
      calls.push_back(filtered_call(call, filter));
    }
    return calls;
  }

  static std::string group_by(const std::vector<Typed>& groups) {
    std::string out;
    for (const Typed& group : groups) out += (out.empty() ? " GROUP BY " : ", ") + group.sql;
    return out;
  }

  std::string make_aggregate() {
    Scope scope = make_from();
    std::vector<Typed> groups = groups_of(scope, 3);
    std::vector<Typed> calls = calls_of(scope, 3);
    std::string condition = random_.one_in(4) ? having(calls) : "";
    std::vector<Typed> list = groups;
    list.insert(list.end(), calls.begin(), calls.end());
    operators_.insert(groups.empty() ? "global aggregate" : "aggregate");
    std::string select = items(list);
    if (odd_.names.one_in(3)) {
      if (std::string by_names = having_by_names(list); !by_names.empty()) {
        condition = by_names;
        operators_.insert("having by names");
      }
    }
    return fmt::format("SELECT {} FROM {}{}{}", select, scope.from, where(scope),
                       group_clause(group_by(groups), condition));
  }

  // DISTINCT, or the first row, of groups.
  std::string make_over_groups() {
    Scope scope = make_from();
    std::vector<Typed> groups = groups_of(scope, 3);
    std::vector<Typed> calls = calls_of(scope, 2);
    std::erase_if(calls, [](const Typed& call) { return !call.exact; });
    if (calls.empty()) calls.push_back({"count(*)", int64_type});
    if (groups.empty()) return make_plain();
    operators_.insert("aggregate");
    std::vector<Typed> list = random_.one_in(2) ? calls : groups;
    if (random_.one_in(2)) {
      operators_.insert("distinct");
      std::string select = items(list);
      return fmt::format("SELECT DISTINCT {} FROM {}{}{}", select, scope.from, where(scope),
                         group_clause(group_by(groups), ""));
    }
    operators_.insert("first row");
    list.insert(list.end(), groups.begin(), groups.end());
    std::string select = items(list);
    std::string partition = random_.one_in(2) ? "" : fmt::format("PARTITION BY {} ", random_.pick(groups).sql);
    std::string filter = where(scope);
    Typed order = random_.pick(calls);
    if (odd_.names.one_in(3)) {
      std::string column = bare_column();
      std::string alias = bare_alias(list, &groups);
      if (!column.empty() && odd_.names.one_in(2)) {
        order.sql = fmt::format("count(DISTINCT {})", column);
      } else if (!alias.empty()) {
        order.sql = alias;
      }
      if (!alias.empty() && odd_.names.one_in(3)) partition = fmt::format("PARTITION BY {} ", alias);
      operators_.insert("first row by names");
    }
    return fmt::format("SELECT {} FROM {}{}{} QUALIFY row_number() OVER ({}ORDER BY {}) = 1", select, scope.from,
                       filter, group_clause(group_by(groups), ""), partition, order_by(order, list));
  }

  std::string order_by(const Typed& order, const std::vector<Typed>& list) {
    std::vector<std::string> ties;
    for (const Typed& item : list) ties.push_back(item.sql);
    return order_with_ties(
        fmt::format("{}{}{}", order.sql, random_.one_in(2) ? " DESC" : "", random_.one_in(3) ? " NULLS FIRST" : ""),
        ties);
  }

  // What rows are ordered by: a value that cannot be held has no place.
  Typed place(Typed column, const std::vector<Typed>& places) {
    if (odd_.held && odd_.random.one_in(2)) {
      auto at = std::find_if(places.begin(), places.end(), [](const Typed& of) { return of.held; });
      if (at != places.end()) column = *at;
    }
    if (column.held) {
      operators_.insert("a place that fails");
      column.sql = may_fail({column.sql, column.sql, is_held(column)}, FailsAt::kPassedRow);
    } else if (odd_chance(4)) {
      if (auto odd = odd_expression(column)) return *odd;
    }
    return column;
  }

  std::string make_first_row() {
    Scope scope = make_from();
    std::vector<Typed> list = some_expressions(scope, 4, true);
    if (odd_.zeros && odd_.random.one_in(2)) {
      for (const Typed& column : scope.columns) {
        if (column.exact && column.type.id == TypeId::kFloat64) list = {column};
      }
    }
    std::string select = items(list);
    std::vector<Typed> places = scope.columns;
    std::erase_if(places, [](const Typed& column) { return !column.exact; });
    if (places.empty()) return make_plain();
    std::string partition = random_.one_in(6) ? "" : fmt::format("PARTITION BY {} ", expression(places, true).sql);
    operators_.insert("first row");
    std::string filter = where(scope);
    if (std::string alias = odd_.names.one_in(4) ? bare_alias(list, &scope.columns) : ""; !alias.empty()) {
      partition = fmt::format("PARTITION BY {} ", alias);
      operators_.insert("first row by names");
    }
    return fmt::format("SELECT {} FROM {}{} QUALIFY row_number() OVER ({}ORDER BY {}) = 1", select, scope.from, filter,
                       partition, order_by(place(random_.pick(places), places), list));
  }

  std::string make_union() {
    Scope first = make_from();
    bool distinct = random_.one_in(3);
    std::vector<Typed> list = some_expressions(first, 3, distinct);
    std::string sql = fmt::format("SELECT {} FROM {}{}", items(list), first.from, where(first));
    size_t branches = 1 + random_.below(2);
    for (size_t i = 0; i < branches; ++i) {
      Scope other = make_from();
      std::string select;
      for (size_t column = 0; column < list.size(); ++column) {
        std::vector<Typed> fitting;
        for (const Typed& typed : other.columns) {
          if (typed.type == list[column].type && (typed.exact || !distinct)) fitting.push_back(typed);
        }
        Typed chosen = fitting.empty() ? Typed{fmt::format("CAST(NULL AS {})", duckdb_type_text(list[column].type)),
                                               list[column].type}
                                       : random_.pick(fitting);
        ReadableColumn& result = result_.columns[column];
        result.exact = result.exact && chosen.exact;
        result.held = result.held || chosen.held;
        result.big = result.big || chosen.big;
        select += fmt::format("{}{} AS c{}", column == 0 ? "" : ", ", chosen.sql, column);
      }
      sql += fmt::format(" UNION {}SELECT {} FROM {}{}", distinct ? "" : "ALL ", select, other.from, where(other));
    }
    operators_.insert(distinct ? "union distinct" : "union");
    return sql;
  }

  Random& random_;
  const std::vector<Readable>& relations_;
  bool may_fail_;
  Oddities& odd_;
  std::map<std::string, std::optional<Typed>>
      bare_;  // what FROM's columns are without their relations; null: of several
  std::set<std::string>& operators_;
  Readable& result_;
};

}  // namespace

ViewText make_view(Random& random, const std::vector<Readable>& relations, uint32_t number, bool may_fail,
                   Oddities& odd, Readable& result) {
  ViewText view{.name = fmt::format("v{}", number), .sql = {}, .batch = {}, .failing = {}};
  result = {view.name, {}};
  std::string marked = ViewMaker(random, relations, may_fail, odd, view, result).make();
  view.sql = for_pipeline(marked);
  view.batch = for_batch(marked);
  view.failing = failing_rows(marked);
  std::string other = with_other_where(marked);
  view.other_sql = for_pipeline(other);
  view.other_batch = for_batch(other);
  view.other_failing = failing_rows(other);
  return view;
}

std::optional<std::string> stand_in(const LogicalType& type, const std::string& text) {
  switch (type.id) {
    case TypeId::kDecimal:
      if (text != "NaN") return std::nullopt;
      return std::string(type.precision - type.scale, '9') + "." + std::string(type.scale, '9');
    case TypeId::kDate:
    case TypeId::kTimestamp: {
      const char* time = type.id == TypeId::kDate ? "" : " 00:00:00";
      if (text == "infinity") return fmt::format("9999-12-31{}", time);
      if (text == "-infinity") return fmt::format("9999-12-30{}", time);
      return std::nullopt;
    }
    default: return std::nullopt;
  }
}

}  // namespace tributary::simulation
