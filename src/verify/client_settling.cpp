// Reading again what differed, until it agrees or is confirmed: with writers at work, a difference may be one of time.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "verify/client_verifier.h"

namespace tributary {
namespace {

// Before the n-th round it waits n pauses, so that the source's rows come to rest.
constexpr std::chrono::milliseconds round_pause{20};
constexpr int round_pauses_max = 8;

VerifyKey parse_key(const std::string& json) {
  VerifyKey key;
  nlohmann::json values = nlohmann::json::parse(json, nullptr, false);
  if (!values.is_array()) return key;
  for (const auto& value : values) {
    if (!value.is_string()) return {};
    key.push_back(value.get<std::string>());
  }
  return key;
}

}  // namespace

std::string ClientVerifier::identity(const OpenView& view, const RowDifference& difference) {
  // A multiset has no keys: the same row on the same side is the same finding.
  if (view.key.empty()) return fmt::format("{}{}", static_cast<int>(difference.kind), difference.key);
  return difference.key;
}

std::vector<VerifyKey> ClientVerifier::open_keys(const OpenView& view) {
  std::vector<VerifyKey> keys;
  for (const auto& [id, difference] : view.open) keys.push_back(parse_key(difference.key));
  return keys;
}

// Reads again what differs, both sides, each time at a newer mark, until it agrees or is confirmed.
Status ClientVerifier::settle_by_key(OpenView& view) {
  for (int round = 1; round <= request_.rounds_max && !view.open.empty(); ++round) {
    std::this_thread::sleep_for(round_pause * std::min(round, round_pauses_max));
    std::vector<VerifyKey> keys = open_keys(view);
    uint64_t mark = 0;
    RETURN_IF_ERROR(read_snapshot(view.domains, &keys, mark));
    RETURN_IF_ERROR(reach(mark));
    std::vector<RowDifference> again;
    RETURN_IF_ERROR(compare_once(view, &keys, again));
    judge(view, std::move(again));
  }
  finish(view);
  return {};
}

// The same for views whose rows no key of a domain gives: all of them are computed again over one new snapshot, and what
// differed is looked at. An error is the client's.
Status ClientVerifier::settle_whole() {
  std::vector<OpenView*> pending;
  for (OpenView& view : views_) {
    if (!view.open.empty() && !view.by_domain_key()) pending.push_back(&view);
  }
  std::vector<OpenView*> all = pending;
  for (int round = 1; round <= request_.rounds_max && !pending.empty(); ++round) {
    std::this_thread::sleep_for(round_pause * std::min(round, round_pauses_max));
    RETURN_IF_ERROR(settle_round(pending));
    std::erase_if(pending, [&](const OpenView* view) {
      return view->open.empty() || (round >= request_.attempts && only_changing(*view));
    });
  }
  for (OpenView* view : all) finish(*view);
  return {};
}

// Whether nothing of what differs in a multiset is what differed the time before: more rounds would say no more.
bool ClientVerifier::only_changing(const OpenView& view) {
  return view.key.empty() && std::all_of(view.open.begin(), view.open.end(),
                                         [&](const auto& entry) { return view.readings.at(entry.first) == 1; });
}

Status ClientVerifier::settle_round(const std::vector<OpenView*>& pending) {
  // A pending view's answer needs the answers of the views below it.
  std::set<const BatchRelation*> needed;
  std::set<std::string> domains;
  for (auto view = views_.rbegin(); view != views_.rend(); ++view) {
    view->evaluated = false;
    view->failure.clear();
    auto own = relations_.find(lower_case(view->view->name));
    bool below = own != relations_.end() && own->second.is_view && needed.contains(&own->second);
    if (!below && std::find(pending.begin(), pending.end(), &*view) == pending.end()) continue;
    needed.insert(view->reads.begin(), view->reads.end());
    domains.insert(view->domains.begin(), view->domains.end());
  }
  uint64_t mark = 0;
  RETURN_IF_ERROR(read_snapshot({domains.begin(), domains.end()}, nullptr, mark));
  for (OpenView& view : views_) {
    auto own = relations_.find(lower_case(view.view->name));
    bool below = own != relations_.end() && own->second.is_view && needed.contains(&own->second);
    bool open = std::find(pending.begin(), pending.end(), &view) != pending.end();
    // Before the wait, so that the analytics are read as soon after the mark as can be.
    if (below || (open && !view.prepared.by_row)) RETURN_IF_ERROR(evaluate_view(view));
  }
  RETURN_IF_ERROR(reach(mark));
  for (OpenView* view : pending) {
    std::vector<VerifyKey> keys = open_keys(*view);
    std::vector<RowDifference> again;
    Status compared = compare_once(*view, view->key.empty() ? nullptr : &keys, again);
    if (compared.ok()) {
      judge(*view, std::move(again));
    } else {
      report_.views[*view->report].error = compared.error().message;
      view->open.clear();
    }
  }
  return {};
}

void ClientVerifier::finish(OpenView& view) {
  ViewReport& report = report_.views[*view.report];
  report.unsettled = view.open.size();
  if (!view.more.empty() && report.error.empty()) {
    report.error =
        fmt::format("more than {} rows differed at first: only these were read again; verify with the writers stopped",
                    request_.keys_again_max);
    view.more.clear();
  }
  conclude(view, std::move(view.confirmed));
}

void ClientVerifier::judge(OpenView& view, std::vector<RowDifference> again) {
  ++report_.views[*view.report].rounds;
  std::map<std::string, RowDifference> still;
  std::set<std::string> seen;
  for (RowDifference& difference : again) {
    std::string id = identity(view, difference);
    if (!seen.insert(id).second) continue;  // doubled and different: one reading
    auto before = view.open.find(id);
    // Keys that were not asked for (an analytics that ignores the condition), or that agreed before. Rows of a multiset have
    // no identity: one that is wrong and changes looks like another one each time.
    if (before == view.open.end() && !view.key.empty()) continue;
    bool unchanged = before != view.open.end() && before->second.source_version == difference.source_version;
    int readings = unchanged ? view.readings[id] + 1 : 1;
    view.readings[id] = readings;
    if (readings >= request_.attempts) {
      view.confirmed.push_back(std::move(difference));
    } else {
      still.insert_or_assign(std::move(id), std::move(difference));
    }
  }
  view.open = std::move(still);
}

}  // namespace tributary
