#include "process/aggregate.h"

#include <algorithm>
#include <set>

#include "model/cells.h"
#include "model/row_key.h"
#include "process/state_operators.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;

std::string group_key(const Rows& rows, size_t row, uint32_t columns) {
  std::string key;
  for (uint32_t i = 0; i < columns; ++i) append_key_part(key, rows.columns[i], row);
  return key;
}

// Of rows that were there before reasons were kept none is counted.
void put_reason(KeyedState& state, const std::string& key, int64_t rows) {
  if (rows <= 0) return state.erase(key);
  std::string value;
  put_varint_signed(value, rows);
  state.put(key, value);
}

}  // namespace

AggregateOperator::AggregateOperator(AggregatePlan plan, std::span<const OutputColumn> input,
                                     std::span<const OutputColumn> output, std::string name)
    : plan_(std::move(plan)),
      output_(output.begin(), output.end()),
      groups_{static_cast<uint16_t>(StateOperator::kGroup), name},
      values_{static_cast<uint16_t>(StateOperator::kGroupValue), name} {
  for (const AggregateCall& call : plan_.calls) rules_.emplace_back(call, input);
}

uint64_t AggregateOperator::exchange_hash(size_t /*input*/, const Rows& rows, size_t row) const {
  return exchange_hash_of(rows.client_at(row).value, group_key(rows, row, plan_.group_columns));
}

bool AggregateOperator::decode(std::string_view bytes, Group& group) const {
  ByteReader reader(bytes);
  if (reader.u8() != format_version) return false;
  group.cells = reader.string();
  group.rows = reader.varint_signed();
  group.unusable = reader.varint_signed();
  group.reason = reader.string();
  group.calls.clear();
  for (const CallRules& rules : rules_) group.calls.push_back(rules.decode(reader));
  return reader.ok() && reader.at_end();
}

std::string AggregateOperator::encode(const Group& group) const {
  std::string out;
  put_u8(out, format_version);
  put_string(out, group.cells);
  put_varint_signed(out, group.rows);
  put_varint_signed(out, group.unusable);
  put_string(out, group.unusable > 0 ? group.reason : "");
  for (size_t i = 0; i < rules_.size(); ++i) rules_[i].encode(group.calls[i], out);
  return out;
}

Result<std::vector<AggregateOperator::Group>> AggregateOperator::load(KeyedState& state, const Rows& rows,
                                                                      std::vector<uint32_t>& group_of_row) const {
  std::vector<Group> groups;
  std::vector<std::string> keys;
  std::unordered_map<std::string, uint32_t> index;
  for (size_t row = 0; row < rows.rows(); ++row) {
    std::string key = group_key(rows, row, plan_.group_columns);
    std::string id = groups_.key(rows.client_at(row).value, key);
    auto [at, added] = index.try_emplace(id, static_cast<uint32_t>(groups.size()));
    if (added) {
      Group& group = groups.emplace_back();
      group.client = rows.client_at(row);
      group.key = std::move(key);
      append_cells(group.cells, std::span(rows.columns).first(plan_.group_columns), row);
      group.calls.resize(rules_.size());
      keys.push_back(std::move(id));
    }
    group_of_row.push_back(at->second);
  }
  ASSIGN_OR_RETURN(auto stored, state.get(keys));
  for (size_t i = 0; i < groups.size(); ++i) {
    if (!stored[i]) continue;
    if (!decode(*stored[i], groups[i])) {
      return Error{ErrorCode::kCorrupt, fmt::format("a stored group of {} does not decode", groups_.name)};
    }
    groups[i].stored = std::move(*stored[i]);
  }
  return groups;
}

void AggregateOperator::take(Group& group, size_t number, const Rows& rows, size_t row, Values& values) const {
  int64_t weight = rows.weights[row];
  group.again = group.again || weight == 0;
  if (weight == 0) return;
  group.rows += weight;
  bool usable = true;
  for (const CallRules& rules : rules_) {
    if (!usable || !rules.counts(rows, row)) continue;
    if (auto reason = rules.unusable(rows, row)) {
      usable = false;
      group.unusable += weight;
      ValueChange& change = values[values_.key(group.client.value, value_prefix(group, reasons) + *reason)];
      change.group = number;
      change.call = reasons;
      change.weight += weight;
    }
  }
  if (!usable) return;
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (!rules_[i].counts(rows, row)) continue;
    rules_[i].add(group.calls[i], rows, row, weight);
    if (!keeps_values(rules_[i].call().kind)) continue;
    std::string order = rules_[i].value_order(rows, row);
    ValueChange& change = values[values_.key(group.client.value, value_prefix(group, i) + order)];
    change.group = number;
    change.call = i;
    change.order = std::move(order);
    if (weight > 0 || change.cell.empty()) change.cell = rules_[i].value_cell(rows, row);
    change.weight += weight;
  }
}

std::string AggregateOperator::value_prefix(const Group& group, size_t call) const {
  std::string prefix = group.key;
  put_u16_big(prefix, static_cast<uint16_t>(call));
  return prefix;
}

Status AggregateOperator::change_values(KeyedState& state, std::vector<Group>& groups, Values values) const {
  std::erase_if(values, [](const auto& entry) { return entry.second.weight == 0; });
  if (values.empty()) return {};
  std::vector<std::string> keys;
  for (const auto& [key, change] : values) keys.push_back(key);
  ASSIGN_OR_RETURN(auto stored, state.get(keys));
  std::vector<std::pair<size_t, size_t>> lost_first;
  std::set<size_t> reasons_of;  // groups whose reasons changed
  for (size_t i = 0; i < keys.size(); ++i) {
    const ValueChange& change = values.at(keys[i]);
    int64_t count = 0;
    if (stored[i]) {
      ByteReader reader(*stored[i]);
      count = reader.varint_signed();
      if (!reader.ok()) return Error{ErrorCode::kCorrupt, "a stored value of a group does not decode"};
    }
    int64_t now = count + change.weight;
    if (change.call == reasons) {
      put_reason(state, keys[i], now);
      reasons_of.insert(change.group);
      continue;
    }
    CallState& call = groups[change.group].calls[change.call];
    call.others += (now != 0 ? 1 : 0) - (count != 0 ? 1 : 0);
    if (now == 0) {
      state.erase(keys[i]);
      if (call.first == change.order) lost_first.emplace_back(change.group, change.call);
      continue;
    }
    std::string value;
    put_varint_signed(value, now);
    value += change.cell;
    state.put(keys[i], value);
    if (rules_[change.call].call().kind == AggregateKind::kCountDistinct) continue;
    if (call.first.empty() || change.order < call.first) {
      call.first = change.order;
      call.cell = change.cell;
    }
  }
  // What became first while the old first one was still taken for it may have been passed over: look.
  for (auto [group, call] : lost_first) RETURN_IF_ERROR(find_first(state, groups[group], call));
  for (size_t group : reasons_of) RETURN_IF_ERROR(find_reason(state, groups[group]));
  return {};
}

Status AggregateOperator::find_first(KeyedState& state, Group& group, size_t call) const {
  if (rules_[call].call().kind == AggregateKind::kCountDistinct) return {};
  CallState& of_call = group.calls[call];
  of_call.first.clear();
  of_call.cell.clear();
  std::string prefix = values_.key(group.client.value, value_prefix(group, call));
  return state.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    ByteReader reader(value);
    reader.varint_signed();
    of_call.first = key.substr(prefix.size());
    of_call.cell = reader.rest();
    return false;
  });
}

// Rows that were there before reasons were kept have none: then the group's stays as it was.
Status AggregateOperator::find_reason(KeyedState& state, Group& group) const {
  std::string prefix = values_.key(group.client.value, value_prefix(group, reasons));
  return state.scan(prefix, prefix, [&](std::string_view key, std::string_view) {
    group.reason = key.substr(prefix.size());
    return false;
  });
}

Status AggregateOperator::append_result(const Group& group, int8_t weight, Rows& out) const {
  if (group.unusable > 0) return Error{ErrorCode::kInvalidInput, group.reason};
  std::vector<Column> results;
  for (size_t i = 0; i < rules_.size(); ++i) {
    Column& column = results.emplace_back(output_[plan_.group_columns + i].type);
    RETURN_IF_ERROR(rules_[i].append_result(group.calls[i], group.rows, column));
  }
  ByteReader reader(group.cells);
  if (!read_cells(reader, std::span(out.columns).first(plan_.group_columns))) {
    return Error{ErrorCode::kCorrupt, fmt::format("the columns of a stored group of {} do not decode", groups_.name)};
  }
  for (size_t i = 0; i < results.size(); ++i) out.columns[plan_.group_columns + i].append_from(results[i], 0);
  out.begin(out.client(group.client), group.key, weight);
  return {};
}

Result<OperatorOutput> AggregateOperator::run(KeyedState& state, std::span<const Rows> inputs) {
  const Rows& rows = inputs[0];
  OperatorOutput out;
  out.rows = Rows(output_);
  if (rows.empty()) return out;
  std::vector<uint32_t> group_of_row;
  ASSIGN_OR_RETURN(std::vector<Group> groups, load(state, rows, group_of_row));
  for (const Group& group : groups) {
    if (group.stored.empty()) continue;
    Status done = append_result(group, -1, out.rows);
    if (!done.ok() && done.error().code == ErrorCode::kCorrupt) return std::move(done).error();
  }
  Values values;
  for (size_t row = 0; row < rows.rows(); ++row) take(groups[group_of_row[row]], group_of_row[row], rows, row, values);
  RETURN_IF_ERROR(change_values(state, groups, std::move(values)));
  for (const Group& group : groups) {
    CHECK(group.rows >= 0, "a group of {} has {} rows", groups_.name, group.rows);
    std::string key = groups_.key(group.client.value, group.key);
    if (!exists(group)) {
      state.erase(key);
      if (!group.stored.empty()) out.settled.push_back({group.client, group.key});
      continue;
    }
    if (std::string entry = encode(group); entry != group.stored) state.put(key, entry);
    Status done = append_result(group, +1, out.rows);
    if (done.ok() && group.again) done = append_result(group, 0, out.rows);
    if (done.ok()) continue;
    if (done.error().code == ErrorCode::kCorrupt) return std::move(done).error();
    out.failed.push_back({group.client, group.key, done.error().message});
  }
  consolidate(out.rows);
  return out;
}

Result<OperatorOutput> AggregateOperator::show_again(KeyedState& state, const ClientId& client,
                                                     const std::string& key) {
  OperatorOutput out;
  out.rows = Rows(output_);
  std::vector<std::string> keys{groups_.key(client.value, key)};
  ASSIGN_OR_RETURN(auto stored, state.get(keys));
  if (!stored[0]) return out;
  Group group;
  group.client = client;
  group.key = key;
  if (!decode(*stored[0], group)) {
    return Error{ErrorCode::kCorrupt, fmt::format("a stored group of {} does not decode", groups_.name)};
  }
  Status done = append_result(group, 0, out.rows);
  if (!done.ok() && done.error().code == ErrorCode::kCorrupt) return std::move(done).error();
  if (!done.ok()) out.failed.push_back({client, key, done.error().message});
  return out;
}

Result<OperatorOutput> AggregateOperator::seed(KeyedState& state, const ClientId& client) const {
  OperatorOutput out;
  out.rows = Rows(output_);
  if (!plan_.global) return out;
  std::vector<std::string> keys{groups_.key(client.value)};
  ASSIGN_OR_RETURN(auto stored, state.get(keys));
  if (stored[0]) return out;
  Group group;
  group.client = client;
  group.calls.resize(rules_.size());
  state.put(keys[0], encode(group));
  RETURN_IF_ERROR(append_result(group, +1, out.rows));
  return out;
}

}  // namespace tributary
