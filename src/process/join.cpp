#include "process/join.h"

#include <algorithm>
#include <unordered_map>

#include "base/arena.h"
#include "base/bytes.h"
#include "model/cells.h"
#include "model/row_key.h"
#include "process/state_operators.h"

namespace tributary {
namespace {

constexpr int left_side = 0;
constexpr int right_side = 1;
constexpr size_t pass_rows_at_once = 512;

int64_t net(const std::vector<JoinChange>& changes) {
  int64_t rows = 0;
  for (const JoinChange& change : changes) rows += (change.after ? 1 : 0) - (change.before ? 1 : 0);
  return rows;
}

// The rows as they were before `changes`.
std::vector<JoinRow> reverted(std::vector<JoinRow> rows, const std::vector<JoinChange>& changes) {
  for (const JoinChange& change : changes) {
    std::erase_if(rows, [&](const JoinRow& row) { return row.key == change.key; });
    if (change.before) rows.push_back({change.key, *change.before});
  }
  return rows;
}

}  // namespace

JoinOperator::JoinOperator(JoinPlan plan, std::span<const OutputColumn> left, std::span<const OutputColumn> right,
                           std::string name, JoinLimits limits)
    : plan_(std::move(plan)),
      left_columns_(left.size()),
      output_(left.begin(), left.end()),
      rows_{static_cast<uint16_t>(StateOperator::kJoinRow), name},
      keys_{static_cast<uint16_t>(StateOperator::kJoinKey), name},
      pending_{static_cast<uint16_t>(StateOperator::kJoinPending), name},
      queue_{static_cast<uint16_t>(StateOperator::kJoinQueue), name},
      limits_(limits) {
  output_.insert(output_.end(), right.begin(), right.end());
}

std::optional<std::string> JoinOperator::join_key(size_t side, const Rows& rows, size_t row) const {
  std::string key;
  for (uint32_t column : side == left_side ? plan_.left_key : plan_.right_key) {
    if (rows.columns[column].state(row) == CellState::kNull) return std::nullopt;
    append_key_part(key, rows.columns[column], row);
  }
  return key;
}

uint64_t JoinOperator::exchange_hash(size_t input, const Rows& rows, size_t row) const {
  auto key = join_key(input, rows, row);
  return exchange_hash_of(rows.client_at(row).value, key ? *key : rows.keys[row]);
}

std::vector<JoinOperator::Group> JoinOperator::gather_groups(std::span<const Rows> inputs, Rows& out) const {
  std::vector<Group> groups;
  Arena arena;
  std::pmr::unordered_map<std::string_view, size_t> index(&arena);         // by client and join key
  std::pmr::unordered_map<std::string_view, size_t> change_index(&arena);  // by group, side and row key
  std::string id;
  for (int side : {left_side, right_side}) {
    const Rows& rows = inputs[static_cast<size_t>(side)];
    for (size_t row = 0; row < rows.rows(); ++row) {
      std::string cells;
      append_cells(cells, rows.columns, row);
      auto key = join_key(static_cast<size_t>(side), rows, row);
      if (!key) {
        if (side == right_side || !left_join()) continue;
        Group alone;
        alone.client = rows.client_at(row);
        CHECK(append_pair(alone, {rows.keys[row], std::move(cells)}, nullptr, rows.weights[row], out).ok());
        continue;
      }
      id = rows.client_at(row).value;
      id += '\0';
      id += *key;
      auto at = index.find(id);
      if (at == index.end()) {
        at = index.emplace(arena.keep(id), groups.size()).first;
        Group& group = groups.emplace_back();
        group.client = rows.client_at(row);
        group.key = std::move(*key);
      }
      // A unique right row is the join key's, whichever its own key is: one that takes another's place changes it.
      std::string_view row_key = unique_side(side) ? std::string_view() : rows.keys[row];
      auto& changes = groups[at->second].changes[side];
      id.clear();
      put_varint(id, at->second * 2 + static_cast<size_t>(side));
      id += row_key;
      auto of = change_index.find(id);
      if (of == change_index.end()) {
        of = change_index.emplace(arena.keep(id), changes.size()).first;
        changes.push_back({std::string(row_key), std::nullopt, std::nullopt});
      }
      JoinChange& change = changes[of->second];
      if (rows.weights[row] == 0) {
        if (!change.before && !change.after) change.before = change.after = std::move(cells);
      } else {
        (rows.weights[row] < 0 ? change.before : change.after) = std::move(cells);
      }
    }
  }
  return groups;
}

Status JoinOperator::load(KeyedState& state, std::vector<Group>& groups) const {
  std::vector<std::string> keys;
  for (const Group& group : groups) keys.push_back(keys_.key(group.client.value, group.key));
  if (plan_.right_unique) {
    for (const Group& group : groups) keys.push_back(row_key(group, right_side, {}));
  }
  ASSIGN_OR_RETURN(auto values, state.get(keys));
  for (size_t i = 0; i < groups.size(); ++i) {
    if (values[i]) {
      ASSIGN_OR_RETURN(groups[i].known, JoinKeyState::decode(*values[i]));
      groups[i].stored = std::move(*values[i]);
    }
    if (!plan_.right_unique || !values[groups.size() + i]) continue;
    ByteReader reader(*values[groups.size() + i]);
    reader.string();
    groups[i].only_right = JoinRow{{}, std::string(reader.rest())};
    if (!reader.ok()) return Error{ErrorCode::kCorrupt, "a stored row of a join does not decode"};
  }
  return {};
}

std::string JoinOperator::row_key(const Group& group, int side, std::string_view key) const {
  std::string rest(1, static_cast<char>(side));
  rest += group.key;
  if (!unique_side(side)) rest += key;
  return rows_.key(group.client.value, rest);
}

Result<std::vector<JoinRow>> JoinOperator::rows_of(KeyedState& state, const Group& group, int side,
                                                   std::string_view from, size_t limit) const {
  std::vector<JoinRow> rows;
  if (group.known.rows[side] == 0) return rows;
  if (unique_side(side)) {
    if (group.only_right && from.empty()) rows.push_back(*group.only_right);
    return rows;
  }
  std::string prefix = row_key(group, side, {});
  RETURN_IF_ERROR(state.scan(prefix, prefix + std::string(from), [&](std::string_view key, std::string_view value) {
    rows.push_back({std::string(key.substr(prefix.size())), std::string(value)});
    return limit == 0 || rows.size() < limit;
  }));
  return rows;
}

void JoinOperator::store_changes(KeyedState& state, Group& group, int side) const {
  bool unique = unique_side(side);
  for (const JoinChange& change : group.changes[side]) {
    std::string key = row_key(group, side, change.key);
    group.known.rows[side] += (change.after ? 1 : 0) - (change.before ? 1 : 0);
    if (!change.after) {
      state.erase(key);
      if (unique) group.only_right.reset();
    } else if (unique) {
      std::string value;
      put_string(value, {});
      value += *change.after;
      state.put(key, value);
      group.only_right = JoinRow{{}, *change.after};
    } else {
      state.put(key, *change.after);
    }
  }
  group.changes[side].clear();
}

Status JoinOperator::store_key(KeyedState& state, const Group& group) const {
  CHECK(group.known.rows[0] >= 0 && group.known.rows[1] >= 0, "a join key of {} has a negative number of rows",
        keys_.name);
  std::string key = keys_.key(group.client.value, group.key);
  std::string pending = pending_.key(group.client.value, group.key);
  if (group.known.empty()) {
    if (!group.stored.empty()) state.erase(key);
  } else if (std::string value = group.known.encode(); value != group.stored) {
    state.put(key, value);
  }
  if (group.known.pending()) {
    state.put(pending, {});
  } else if (!group.stored.empty()) {
    ASSIGN_OR_RETURN(JoinKeyState before, JoinKeyState::decode(group.stored));
    if (before.pending()) state.erase(pending);
  }
  return {};
}

Status JoinOperator::append_pair(const Group& group, const JoinRow& left, const JoinRow* right, int8_t weight,
                                 Rows& out) const {
  ByteReader left_reader(left.cells);
  bool ok = read_cells(left_reader, std::span(out.columns).first(left_columns_)) && left_reader.at_end();
  std::string key = left.key;
  if (!plan_.right_unique) {
    key.clear();
    put_string(key, left.key);
    put_string(key, group.key);
  }
  std::span<Column> right_columns = std::span(out.columns).subspan(left_columns_);
  if (right == nullptr) {
    for (Column& column : right_columns) column.append_null();
  } else {
    ByteReader reader(right->cells);
    ok = ok && read_cells(reader, right_columns) && reader.at_end();
    if (!plan_.right_unique) key += right->key;
  }
  if (!ok) return Error{ErrorCode::kCorrupt, fmt::format("a stored row of {} does not decode", rows_.name)};
  out.begin(out.client(group.client), std::move(key), weight);
  return {};
}

Status JoinOperator::append_with(const Group& group, int side, const JoinRow& row, const std::vector<JoinRow>& others,
                                 int8_t weight, Rows& out) const {
  if (side == left_side && others.empty()) {
    return left_join() ? append_pair(group, row, nullptr, weight, out) : Status();
  }
  for (const JoinRow& other : others) {
    RETURN_IF_ERROR(side == left_side ? append_pair(group, row, &other, weight, out)
                                      : append_pair(group, other, &row, weight, out));
  }
  return {};
}

Status JoinOperator::append_change(const Group& group, int side, const JoinChange& change,
                                   const std::vector<JoinRow>& others, Rows& out) const {
  // One that is shown again shows again what was made of it.
  if (change.before == change.after && change.after)
    return append_with(group, side, {change.key, *change.after}, others, 0, out);
  if (change.before) RETURN_IF_ERROR(append_with(group, side, {change.key, *change.before}, others, -1, out));
  if (change.after) RETURN_IF_ERROR(append_with(group, side, {change.key, *change.after}, others, +1, out));
  return {};
}

bool JoinOperator::has_many(const Group& group, int side) const {
  if (unique_side(side)) return false;
  return group.known.rows[side] > static_cast<int64_t>(limits_.fan_out_rows_max);
}

// Left changes meet the right rows as they were; then right changes meet the left rows as they are.
Status JoinOperator::run_at_once(KeyedState& state, Group& group, Rows& out) const {
  if (!group.changes[left_side].empty()) {
    if (has_many(group, right_side)) {
      RETURN_IF_ERROR(queue(state, group, right_side));
      return begin_pass(state, group, left_side);
    }
    ASSIGN_OR_RETURN(auto rights, rows_of(state, group, right_side));
    for (const JoinChange& change : group.changes[left_side]) {
      RETURN_IF_ERROR(append_change(group, left_side, change, rights, out));
    }
    store_changes(state, group, left_side);
  }
  if (group.changes[right_side].empty()) return {};
  if (has_many(group, left_side)) return begin_pass(state, group, right_side);
  ASSIGN_OR_RETURN(auto lefts, rows_of(state, group, left_side));
  JoinPass pass{right_side, {}, group.changes[right_side]};
  store_changes(state, group, right_side);
  group.known.pass = std::move(pass);
  for (const JoinRow& left : lefts) RETURN_IF_ERROR(pass_row(group, left, out));
  group.known.pass.reset();
  return {};
}

// What the changes of the pass mean for one row of the other side.
Status JoinOperator::pass_row(const Group& group, const JoinRow& other, Rows& out) const {
  const JoinPass& pass = *group.known.pass;
  std::vector<JoinRow> others{other};
  for (const JoinChange& change : pass.changes) RETURN_IF_ERROR(append_change(group, pass.side, change, others, out));
  if (pass.side == left_side || !left_join()) return {};
  bool is_alone = group.known.rows[right_side] == 0;
  bool was_alone = group.known.rows[right_side] - net(pass.changes) == 0;
  if (was_alone == is_alone) return {};
  return append_pair(group, other, nullptr, is_alone ? +1 : -1, out);
}

Status JoinOperator::begin_pass(KeyedState& state, Group& group, int side) const {
  std::vector<JoinChange> rest;
  auto& changes = group.changes[side];
  if (changes.size() > limits_.pass_changes_max) {
    rest.assign(std::make_move_iterator(changes.begin() + static_cast<ptrdiff_t>(limits_.pass_changes_max)),
                std::make_move_iterator(changes.end()));
    changes.resize(limits_.pass_changes_max);
  }
  JoinPass pass{side, {}, changes};
  store_changes(state, group, side);
  group.known.pass = std::move(pass);
  changes = std::move(rest);
  return queue(state, group, side);
}

bool JoinOperator::must_wait(const Group& group, int side) const {
  if (group.known.queued[side] > 0) return true;
  return group.known.pass && (group.known.pass->side == side || has_many(group, group.known.pass->side));
}

Status JoinOperator::run_beside_pass(KeyedState& state, Group& group, Rows& out) const {
  for (int side : {left_side, right_side}) {
    if (must_wait(group, side)) RETURN_IF_ERROR(queue(state, group, side));
  }
  return group.known.pass ? run_other_side(state, group, out) : run_at_once(state, group, out);
}

// Changes of the side through which a pass goes.
Status JoinOperator::run_other_side(KeyedState& state, Group& group, Rows& out) const {
  int side = group.known.pass->side;
  int other = 1 - side;
  if (group.changes[other].empty()) return {};
  ASSIGN_OR_RETURN(auto now, rows_of(state, group, side));
  std::vector<JoinRow> before = reverted(now, group.known.pass->changes);
  for (const JoinChange& change : group.changes[other]) {
    bool passed = change.key < group.known.pass->cursor;
    RETURN_IF_ERROR(append_change(group, other, change, passed ? now : before, out));
  }
  store_changes(state, group, other);
  if (side == right_side || group.known.rows[right_side] > 0) return {};
  // Nothing is left that the changed left rows could pass through.
  if (left_join()) {
    for (const JoinRow& left : now) RETURN_IF_ERROR(append_pair(group, left, nullptr, +1, out));
  }
  group.known.pass.reset();
  return {};
}

Status JoinOperator::queue(KeyedState& state, Group& group, int side) const {
  if (group.changes[side].empty()) return {};
  std::vector<std::string> keys;
  for (const JoinChange& change : group.changes[side]) {
    keys.push_back(queue_.key(group.client.value, group.key + static_cast<char>(side) + change.key));
  }
  ASSIGN_OR_RETURN(auto known, state.get(keys));
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!known[i]) ++group.known.queued[side];
    state.put(keys[i], encode_queued(group.changes[side][i].after));
  }
  group.changes[side].clear();
  return {};
}

// The next changes of the queue become changes of the group, and are run.
Status JoinOperator::take_queue(KeyedState& state, Group& group, Rows& out) const {
  std::string prefix = queue_.key(group.client.value, group.key);
  int side = -1;
  std::vector<JoinChange> changes;
  RETURN_IF_ERROR(state.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
    int of = key[prefix.size()];
    if (side >= 0 && of != side) return false;
    side = of;
    changes.push_back({std::string(key.substr(prefix.size() + 1)), std::nullopt, decode_queued(value)});
    return changes.size() < limits_.pass_changes_max;
  }));
  CHECK(side >= 0, "the queue of a join key of {} is not as long as it says", queue_.name);
  std::vector<std::string> keys;
  for (const JoinChange& change : changes) {
    state.erase(queue_.key(group.client.value, group.key + static_cast<char>(side) + change.key));
    keys.push_back(row_key(group, side, change.key));
  }
  group.known.queued[side] -= static_cast<int64_t>(changes.size());
  ASSIGN_OR_RETURN(auto stored, state.get(keys));
  bool unique = unique_side(side);
  for (size_t i = 0; i < changes.size(); ++i) {
    if (stored[i] && unique) {
      ByteReader reader(*stored[i]);
      reader.string();
      changes[i].before = std::string(reader.rest());
    } else {
      changes[i].before = std::move(stored[i]);
    }
  }
  std::erase_if(changes, [](const JoinChange& change) { return !change.before && !change.after; });
  group.changes[side] = std::move(changes);
  return run_at_once(state, group, out);
}

Status JoinOperator::advance(KeyedState& state, Group& group, size_t rows_max, Rows& out) const {
  while (group.known.pending() && out.rows() < rows_max) {
    if (!group.known.pass) {
      RETURN_IF_ERROR(take_queue(state, group, out));
      continue;
    }
    JoinPass& pass = *group.known.pass;
    size_t wanted = std::clamp<size_t>((rows_max - out.rows()) / (2 * pass.changes.size() + 1), 1, pass_rows_at_once);
    ASSIGN_OR_RETURN(auto others, rows_of(state, group, 1 - pass.side, pass.cursor, wanted));
    for (const JoinRow& other : others) RETURN_IF_ERROR(pass_row(group, other, out));
    if (others.size() < wanted) {
      group.known.pass.reset();
    } else {
      pass.cursor = others.back().key + '\0';
    }
  }
  return {};
}

Result<OperatorOutput> JoinOperator::run(KeyedState& state, std::span<const Rows> inputs) {
  OperatorOutput out;
  out.rows = Rows(output_);
  std::vector<Group> groups = gather_groups(inputs, out.rows);
  RETURN_IF_ERROR(load(state, groups));
  for (Group& group : groups) {
    RETURN_IF_ERROR(group.known.pending() ? run_beside_pass(state, group, out.rows)
                                          : run_at_once(state, group, out.rows));
    RETURN_IF_ERROR(store_key(state, group));
    if (group.known.pending()) out.pending.insert(group.client);
  }
  consolidate(out.rows);
  return out;
}

Result<OperatorOutput> JoinOperator::resume(KeyedState& state, std::span<const PendingKey> keys, size_t rows_max) {
  OperatorOutput out;
  out.rows = Rows(output_);
  std::vector<Group> groups;
  for (const PendingKey& key : keys) {
    Group& group = groups.emplace_back();
    group.client = key.client;
    group.key = key.key;
  }
  RETURN_IF_ERROR(load(state, groups));
  // First each key its share, so that none waits behind another one; then who wants the rest.
  for (size_t keys_left = groups.size(); Group & group : groups) {
    size_t left = rows_max - std::min(out.rows.rows(), rows_max);
    RETURN_IF_ERROR(advance(state, group, out.rows.rows() + left / keys_left--, out.rows));
  }
  for (Group& group : groups) {
    if (out.rows.rows() < rows_max) RETURN_IF_ERROR(advance(state, group, rows_max, out.rows));
    RETURN_IF_ERROR(store_key(state, group));
    if (group.known.pending()) out.pending.insert(group.client);
  }
  consolidate(out.rows);
  return out;
}

Result<std::vector<Operator::PendingKey>> JoinOperator::pending_keys(KeyedState& state, const ClientId& client,
                                                                     size_t limit) {
  std::vector<PendingKey> keys;
  std::string prefix = pending_.key(client.value);
  RETURN_IF_ERROR(state.scan(prefix, prefix, [&](std::string_view key, std::string_view) {
    keys.push_back({client, std::string(key.substr(prefix.size()))});
    return keys.size() < limit;
  }));
  return keys;
}

}  // namespace tributary
