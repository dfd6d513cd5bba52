// Random cases: shapes, views in the supported SQL, steps.
#include <fmt/format.h>

#include "sim_case.h"
#include "sim_views.h"

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
  bool toast = !random.one_in(3);
  add("ref", random.one_in(2) ? int64_type : int32_type, false, false);
  shape.grows = random.one_in(3);
  add("n", shape.grows ? int64_type : int32_type, false, shape.grows && toast);
  add("s", text_type, false, toast);
  add("m", decimal_type, false, toast && random.one_in(2));
  add("x", double_type, false, false);
  add("day", date_type, false, false);
  add("ts", timestamp_type, false, false);
  add("ok", bool_type, false, false);
  add("u", int64_type, false, false);  // different in every row version
  if (shape.grows) add("late", int32_type, false, false);
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
    case TypeId::kFloat64:
      if (random.one_in(12)) return random.pick(std::vector<std::string>{"-0.0", "0.0", "NaN", "Infinity"});
      return fmt::format("{}", (static_cast<double>(random.below(2000)) - 1000) / 7);
    case TypeId::kDate: return fmt::format("2024-01-{:02}", 1 + random.below(4));
    case TypeId::kTimestamp: return fmt::format("2024-01-{:02} {:02}:00:00", 1 + random.below(3), random.below(24));
    case TypeId::kBool: return random.one_in(2) ? "true" : "false";
    default: return std::nullopt;
  }
}

bool can_be_held_as_text(const LogicalType& type) {
  return type.id == TypeId::kDecimal || type.id == TypeId::kDate || type.id == TypeId::kTimestamp;
}

Value odd_value(Oddities& odd, const ColumnSchema& column, Value value) {
  Random& random = odd.random;
  if (odd.held && can_be_held_as_text(column.type) && random.one_in(6)) {
    if (column.type.id == TypeId::kDecimal) return "NaN";
    return random.one_in(2) ? "infinity" : "-infinity";
  }
  if (odd.big && column.type.id == TypeId::kDecimal && random.one_in(3))
    return fmt::format("{}6{:035}.{:02}", random.one_in(2) ? "-" : "", 0, random.below(3));
  if (odd.zeros && column.type.id == TypeId::kFloat64 && random.one_in(2)) return random.one_in(2) ? "0.0" : "-0.0";
  if (odd.casts && column.type.id == TypeId::kText && random.one_in(3))
    return random.pick(std::vector<std::string>{"5", "-1", "12"});
  return value;
}

Value random_plan(Random& random) {
  if (random.one_in(5)) return std::nullopt;
  return random.one_in(2) ? "free" : "gold";
}

Step random_step(Random& random, const SimCase& sim, Oddities& odd, int64_t& unique) {
  Step step;
  step.client = static_cast<uint32_t>(random.below(sim.clients.size()));
  step.domain = static_cast<uint32_t>(random.below(sim.domains.size()));
  step.key = static_cast<int64_t>(random.below(keys_max));
  step.other_key = static_cast<int64_t>(random.below(keys_max));
  step.delay = random.one_in(3) ? static_cast<uint32_t>(random.below(12)) : 0;
  step.twice = random.one_in(10);
  step.unseen = random.one_in(15);
  step.workers = 1 + static_cast<uint32_t>(random.below(3));
  const DomainShape& shape = sim.domains[step.domain];
  for (uint32_t i = 0; i < shape.columns.size(); ++i) {
    if (shape.columns[i].key) continue;
    step.values.push_back(odd_value(odd, shape.columns[i], random_value(random, shape.columns[i], unique)));
    if (shape.columns[i].may_be_absent && random.one_in(2)) step.left_out.insert(i);
  }
  ++unique;
  switch (random.below(33)) {
    case 0: step.kind = StepKind::kTruncate; break;
    case 1:
      step.kind = StepKind::kAttribute;
      step.attribute = "plan";
      step.value = random_plan(random);
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
    case 17: step.kind = random.one_in(2) ? StepKind::kSnapshot : StepKind::kPut; break;
    case 18: step.kind = random.one_in(2) ? StepKind::kGrow : StepKind::kPut; break;
    default: step.kind = StepKind::kPut;
  }
  return step;
}

// Now and then a row is written again as it was but for one column, and for "u".
void change_one_column(SimCase& sim, Oddities& odd) {
  std::map<std::tuple<uint32_t, uint32_t, int64_t>, std::vector<Value>> last;
  for (Step& step : sim.steps) {
    if (step.kind != StepKind::kPut) continue;
    auto& values = last[{step.client, step.domain, step.key}];
    if (!values.empty() && odd.random.one_in(2)) {
      size_t changed = odd.random.below(values.size());
      size_t next = 0;
      for (const ColumnSchema& column : sim.domains[step.domain].columns) {
        if (column.key) continue;
        if (next != changed && column.name != "u") step.values[next] = values[next];
        ++next;
      }
    }
    values = step.values;
  }
}

}  // namespace

SimCase make_case(uint64_t seed) {
  Random random(seed);
  SimCase sim{.seed = seed, .domains = {}, .views = {}, .clients = {}, .attributes = {}, .steps = {}};
  Oddities odd{Random(seed ^ 0x0DD5), Random(seed ^ 0x4A3E5)};
  bool is_odd = odd.random.one_in(2);
  odd.casts = is_odd && odd.random.one_in(2);
  odd.held = is_odd && odd.random.one_in(2);
  odd.big = is_odd && odd.random.one_in(3);
  odd.zeros = is_odd && odd.random.one_in(3);
  std::vector<Readable> relations;
  uint32_t domains = 1 + static_cast<uint32_t>(random.below(3));
  for (uint32_t i = 0; i < domains; ++i) {
    sim.domains.push_back(make_domain(random, i));
    Readable readable{sim.domains.back().name, {}};
    for (ColumnSchema& column : sim.domains.back().columns) {
      bool big = odd.big && column.type.id == TypeId::kDecimal;
      if (big) column.type = {TypeId::kDecimal, 38, 2};
      column.source_type = column.type.to_string();
      bool held = odd.held && can_be_held_as_text(column.type);
      readable.columns.push_back({column.name, column.type, true, held, big});
    }
    relations.push_back(std::move(readable));
  }
  uint32_t views = 1 + static_cast<uint32_t>(random.below(4));
  bool may_fail = random.one_in(3);
  for (uint32_t i = 0; i < views; ++i) {
    Readable result;
    sim.views.push_back(make_view(random, relations, i, may_fail, odd, result));
    relations.push_back(std::move(result));
  }
  uint32_t clients = 1 + static_cast<uint32_t>(random.below(3));
  for (uint32_t i = 0; i < clients; ++i) {
    sim.clients.push_back(fmt::format("c{}", i));
    sim.attributes.push_back({{"plan", random_plan(random)}});
  }
  int64_t unique = 1;
  uint64_t steps = 5 + random.below(90);
  for (uint64_t i = 0; i < steps; ++i) sim.steps.push_back(random_step(random, sim, odd, unique));
  if (is_odd) change_one_column(sim, odd);
  return sim;
}

}  // namespace tributary::simulation
