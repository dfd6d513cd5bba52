// The part of RoundRunner that minds rows which could not be computed: what a person wants of them, and which of them are
// outdated by newer facts.
#include <algorithm>
#include <unordered_map>

#include "runtime/round_feeding.h"
#include "runtime/round_runner.h"
#include "runtime/stored_facts.h"

namespace tributary {
namespace {

constexpr std::chrono::seconds check_interval{30};  // of letters, where raw had what was processed and did not answer
constexpr std::chrono::milliseconds ask_interval{200};  // whether it answers

// The newest fact about each of some rows, of what was read.
class NewestFacts {
 public:
  void add(const EventBatch& batch) {
    std::string key;
    for (uint32_t row = 0; row < batch.rows(); ++row) {
      key.clear();
      batch.append_row_key(key, row);
      Position& newest = rows_[key];
      newest = std::max(newest, batch.positions[row]);
    }
    ranges_.insert(ranges_.end(), batch.ranges.begin(), batch.ranges.end());
  }
  bool has_newer(const std::string& row_key, const Position& position) const {
    auto row = rows_.find(row_key);
    if (row != rows_.end() && row->second > position) return true;
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [&](const RangeFact& range) { return range.position > position && range.covers(row_key); });
  }

 private:
  std::unordered_map<std::string, Position> rows_;
  std::vector<RangeFact> ranges_;
};

}  // namespace

// One whose rows are read from raw waits until raw answers, and nothing else does.
bool RoundRunner::may_order() {
  DeadLetterOrder order;
  {
    std::lock_guard lock(mutex_);
    if (orders_.empty()) return false;
    order = orders_.front();
  }
  if (order.drop || !ports_.raw_apart || client_tables_.empty()) return true;
  std::optional<Status> answer = feed_.answers({order.client, client_tables_.front().domain});
  if (!answer || answer->ok()) return answer.has_value();
  std::lock_guard lock(mutex_);
  order_problem_ = fmt::format("dead-letters retry of client {} in view {} waits: {}", order.client, order.view,
                               answer->error().to_string());
  return false;
}

Result<RoundOutcome> RoundRunner::order_round() {
  DeadLetterOrder order;
  {
    std::lock_guard lock(mutex_);
    order = orders_.front();
  }
  Builds before = builds_;
  auto outcome = carry_out(order);
  if (!outcome.ok()) {
    // Whatever part of it failed, nothing of it is left.
    builds_ = std::move(before);
    for (Generation& generation : generations_) generation.graph->forget_pending();
    dead_.roll_back();
    if (retryable(outcome.error().code)) return std::move(outcome).error();
  }
  std::lock_guard lock(mutex_);
  orders_.pop_front();
  order_problem_ = outcome.ok()
                       ? ""
                       : fmt::format(
                             "dead-letters {} of client {} in view {} failed: {}; order it again when "
                             "that is mended",
                             order.drop ? "drop" : "retry", order.client, order.view, outcome.error().to_string());
  return outcome.ok() ? std::move(outcome) : Result<RoundOutcome>(RoundOutcome{.more = true, .parked = {}});
}

Result<RoundOutcome> RoundRunner::carry_out(const DeadLetterOrder& order) {
  Pass pass(ports_.storage, limits_.workers, checkpoint_ + 1);
  for (Generation& generation : generations_) {
    if (!generation.graph->options().stored.contains(order.view)) continue;
    if (!releases_.scope_of(generation.number).takes(order.client)) continue;
    if (order.drop) {
      RETURN_IF_ERROR(dead_.drop(pass.write, ports_.storage, order.client,
                                 order.view + generation_suffix(generation.number), order.keys));
    } else {
      RETURN_IF_ERROR(retry(order, generation, pass));
    }
  }
  builds_.save(pass.write);
  RETURN_IF_ERROR(commit(pass));
  pass.outcome.more = true;
  return std::move(pass.outcome);
}

// Rows that could not be computed, once more: those that are kept are given out again, others come from raw.
Status RoundRunner::retry(const DeadLetterOrder& order, Generation& generation, Pass& pass) {
  std::string table = order.view + generation_suffix(generation.number);
  if (order.keys.empty()) return retry_all(order, generation, pass);
  GraphInput input = input_of(generation);
  input.views_with_dead.insert(order.view);
  std::deque<EventBatch> batches;
  std::map<std::string, std::set<std::string>> rows;  // keys by domain
  for (const std::string& key : order.keys) {
    std::optional<RowOfLetter> of = generation.graph->row_of_letter(order.view, key);
    if (!of) continue;
    if (of->domain.empty()) {
      input.results_again.push_back({of->node, order.client, of->key});
    } else {
      rows[of->domain].insert(of->key);
    }
  }
  for (const Table& of : client_tables_) {
    if (of.client != order.client || !rows.contains(of.domain)) continue;
    const std::set<std::string>& keys = rows.at(of.domain);
    if (generation.graph->keeps_rows(of.domain)) {
      for (const std::string& key : keys) input.touched.push_back({of.domain, of.client, of.table, key});
      continue;
    }
    RawQuery query;
    query.client = order.client;
    query.domain = of.domain;
    query.keys.insert(keys.begin(), keys.end());
    RETURN_IF_ERROR(ports_.raw.read(query, [&](const EventBatch& batch) {
      batches.push_back(batch);
      return true;
    }));
  }
  const FeedScope& scope = releases_.scope_of(generation.number);
  std::deque<EventBatch> parts;
  for (const EventBatch& batch : batches) {
    if (const EventBatch* taken = within(batch, scope, parts)) input.batches.push_back(taken);
  }
  input.facts_again = true;  // what raw tells was merged long ago
  return run_graph(generation, std::move(input), pass);
}

// All rows of what the view reads, in the rounds to come. The graph does not run in this one: it would not see the sweeps.
Status RoundRunner::retry_all(const DeadLetterOrder& order, Generation& generation, Pass& pass) {
  dead_.forget(pass.write, ports_.storage, order.client, order.view + generation_suffix(generation.number));
  feeds_need_.clear();
  for (const Table& of : client_tables_) {
    if (of.client != order.client || !generation.graph->reads(of.domain)) continue;
    if (generation.graph->keeps_rows(of.domain)) {
      RETURN_IF_ERROR(DomainMerge::sweep_again(*pass.states[0], generation.graph->state_name(of.domain), order.client));
    } else {
      builds_.add_refeed(generation.number, order.client, of.domain);
    }
  }
  generation.graph->forget_pending();
  return {};
}

void RoundRunner::order(DeadLetterOrder order) {
  std::lock_guard lock(mutex_);
  orders_.push_back(std::move(order));
}

// A fact that failed and about whose row a newer one has come before: only raw knows, where the domain keeps no rows.
// It is asked once for all that failed of a domain: in a flood that is the whole round. Nobody waits for one that is behind or away:
// the rows are letters, and are looked at again when it has what was processed before.
Status RoundRunner::remove_outdated(Pass& pass, const std::string& table, std::vector<DeadRow>& dead) {
  using Owner = std::pair<ClientId, std::string>;  // and domain
  auto may_be_outdated = [&](const DeadRow& row) { return !row.domain.empty() && dead_.would_keep(row.client, table); };
  std::map<Owner, RawQuery> queries;
  for (const DeadRow& row : dead) {
    if (!may_be_outdated(row)) continue;
    RawQuery& query = queries[{row.client, row.domain}];
    query.keys.insert(row.row_key);
    query.after = std::min(query.after.value_or(row.position), row.position);
  }
  std::map<Owner, NewestFacts> newest;
  std::set<Owner> unasked;
  for (auto& [owner, query] : queries) {
    query.client = owner.first;
    query.domain = owner.second;
    NewestFacts& facts = newest[owner];
    Status read = Error{ErrorCode::kUnavailable, "raw is behind"};
    if (!ports_.raw_has || ports_.raw_has(read_)) {
      read = ports_.raw.read(query, [&](const EventBatch& batch) {
        facts.add(batch);
        return true;
      });
    }
    if (read.ok()) continue;
    if (!ports_.raw_has || !retryable(read.error().code)) return read;
    facts = {};
    unasked.insert(owner);
  }
  for (const DeadRow& row : dead) {
    if (!may_be_outdated(row) || !unasked.contains({row.client, row.domain})) continue;
    UncheckedLetters of{row.client, row.domain, table};
    put_unchecked(pass.write, of, row.key, row.row_key);
    unchecked_[of][row.key] = row.row_key;  // of a round that fails there will be no letter, or it is put again
    check_needs_ = read_;
  }
  std::erase_if(dead, [&](const DeadRow& row) {
    return may_be_outdated(row) && newest.at({row.client, row.domain}).has_newer(row.row_key, row.position);
  });
  return {};
}

// Those of the letters about whose rows raw has newer facts.
Result<std::set<std::string>> RoundRunner::outdated(const UncheckedLetters& of, const RowKeys& keys) {
  ASSIGN_OR_RETURN(std::vector<DeadLetter> letters, DeadLetters::stored(ports_.storage, of.client, of.table));
  std::erase_if(letters, [&](const DeadLetter& letter) { return !keys.contains(letter.key); });
  std::set<std::string> found;
  if (letters.empty()) return found;
  RawQuery query;
  query.client = of.client;
  query.domain = of.domain;
  for (const DeadLetter& letter : letters) {
    query.keys.insert(keys.at(letter.key));
    query.after = std::min(query.after.value_or(letter.position), letter.position);
  }
  NewestFacts newest;
  RETURN_IF_ERROR(ports_.raw.read(query, [&](const EventBatch& batch) {
    newest.add(batch);
    return true;
  }));
  for (const DeadLetter& letter : letters) {
    if (newest.has_newer(keys.at(letter.key), letter.position)) found.insert(letter.key);
  }
  return found;
}

bool RoundRunner::letters_to_check() const {
  return !unchecked_.empty() && std::chrono::steady_clock::now() >= next_check_ &&
         (!ports_.raw_has || ports_.raw_has(check_needs_));
}

// What raw could not be asked before, of one client's view.
Status RoundRunner::check_letters() {
  if (!letters_to_check()) return {};
  const auto [of, keys] = *unchecked_.begin();
  if (ports_.raw_apart) {
    std::optional<Status> answer = feed_.answers({of.client, of.domain});
    if (!answer || !answer->ok()) {
      next_check_ = std::chrono::steady_clock::now() + (answer ? check_interval : ask_interval);
      return {};
    }
  }
  auto gone = outdated(of, keys);
  if (!gone.ok()) {
    next_check_ = std::chrono::steady_clock::now() + check_interval;
    return retryable(gone.error().code) ? Status() : Status(std::move(gone).error());
  }
  StorageBatch write;
  for (const auto& [key, row_key] : keys) remove_unchecked(write, of, key);
  dead_.remove(write, of.client, of.table, *gone);
  if (Status written = ports_.storage.write(write); !written.ok()) {
    dead_.roll_back();
    return written;
  }
  dead_.commit();
  unchecked_.erase(of);
  return {};
}

std::string RoundRunner::order_problem() const {
  std::lock_guard lock(mutex_);
  return order_problem_;
}

// Of several builds of a view those count that readers see.
std::map<std::pair<ClientId, std::string>, DeadLetterCount> RoundRunner::dead_letters() const {
  std::map<std::string, std::string> tables;
  {
    std::lock_guard lock(mutex_);
    tables = counted_tables_;
  }
  std::map<std::pair<ClientId, std::string>, DeadLetterCount> counts;
  for (const auto& [owner, count] : dead_.counts()) {
    std::string view = owner.second.substr(0, owner.second.find('@'));
    auto counted = tables.find(view);
    if (counted == tables.end() || counted->second == owner.second) counts[{owner.first, view}] = count;
  }
  return counts;
}

Result<std::vector<std::string>> stored_dead_letter_keys(const Storage& storage, const ClientId& client,
                                                         const std::string& view) {
  ASSIGN_OR_RETURN(Builds builds, Builds::load(storage));
  const Build* shown = builds.shown(view);
  ASSIGN_OR_RETURN(auto letters, DeadLetters::stored(storage, client, shown == nullptr ? view : shown->table()));
  std::vector<std::string> keys;
  for (DeadLetter& letter : letters) keys.push_back(std::move(letter.key));
  return keys;
}

}  // namespace tributary
