// The part of RoundRunner that carries out what a person wants of releases, and tells how far they are.
#include <algorithm>

#include "runtime/round_runner.h"

namespace tributary {
namespace {

Error unknown_release(uint32_t number) {
  return {ErrorCode::kNotFound,
          fmt::format("there is no release {}; `release FILE list` shows those there are", number)};
}

// Whether the order asks again for a release that there is.
bool asks_for(const RoundRunner::ReleaseOrder& order, const Release& release) {
  return release.views == order.views && release.again == order.again && release.scope == order.scope;
}

}  // namespace

bool RoundRunner::ReleaseStatus::whole() const {
  return problems.empty() && std::all_of(builds.begin(), builds.end(), [](const View& view) { return view.whole; });
}

std::future<Result<uint32_t>> RoundRunner::order(ReleaseOrder order) {
  std::lock_guard lock(mutex_);
  PendingRelease& pending = release_orders_.emplace_back();
  pending.order = std::move(order);
  return pending.done.get_future();
}

std::vector<RoundRunner::ReleaseStatus> RoundRunner::releases() const {
  std::lock_guard lock(mutex_);
  return release_status_;
}

// Before the round's events, so that they are computed for the releases that there are then.
Status RoundRunner::release_round() {
  ++rounds_not_fed_;
  while (true) {
    PendingRelease* pending = nullptr;
    {
      std::lock_guard lock(mutex_);
      if (release_orders_.empty()) return {};
      pending = &release_orders_.front();  // others are only added behind it
    }
    Releases before = releases_;
    Result<uint32_t> done = carry_out(pending->order);
    if (done.ok()) {
      Status planned = replan();
      if (!planned.ok()) {
        releases_ = std::move(before);
        if (retryable(planned.error().code)) return planned;
        done = std::move(planned).error();
      }
    }
    pending->done.set_value(std::move(done));
    std::lock_guard lock(mutex_);
    release_orders_.pop_front();
  }
}

Result<uint32_t> RoundRunner::carry_out(const ReleaseOrder& order) {
  uint32_t number = order.number;
  switch (order.kind) {
    case ReleaseOrder::Kind::kMake: return make_release(order);
    case ReleaseOrder::Kind::kSwitch: RETURN_IF_ERROR(switch_to(number)); break;
    case ReleaseOrder::Kind::kRollBack:
      number = releases_.live().replaced;
      if (number == 0) {
        return Error{ErrorCode::kNotFound,
                     fmt::format("release {} did not replace one that is kept", releases_.live().number)};
      }
      RETURN_IF_ERROR(switch_to(number));
      break;
    case ReleaseOrder::Kind::kDrop: RETURN_IF_ERROR(drop_release(number)); break;
  }
  return number;
}

Result<uint32_t> RoundRunner::make_release(const ReleaseOrder& of) {
  ReleaseOrder order = of;
  // What is live already is computed anew as a whole.
  if (order.again.empty() && order.views == releases_.live().views) order.again = plan_.named;
  for (const Release* release : std::as_const(releases_).all()) {
    if (releases_.is_live(release->number) || !asks_for(order, *release)) continue;
    if (release->events_per_second_max != order.events_per_second_max) {
      releases_.find(release->number)->events_per_second_max = order.events_per_second_max;
      next_feed_.clear();  // moments by the rate before
    }
    return release->number;
  }
  std::vector<ClientTable> known;
  for (const auto& [of, schema] : newest_) known.push_back({of.first, of.second, schema});
  ASSIGN_OR_RETURN(PlannedPipeline plan, ports_.plan(known, order.views));
  std::string problems;
  for (const PlanProblem& problem : plan.set_aside) {
    if (problem.client.value.empty()) problems += (problems.empty() ? "" : "\n") + problem.reason;
  }
  if (!problems.empty()) return Error{ErrorCode::kInvalidInput, problems};
  for (const std::string& view : order.again) {
    if (!plan.named.contains(view)) return Error{ErrorCode::kInvalidInput, fmt::format("there is no view {}", view)};
  }
  Release& release = releases_.add(order.views, order.now_micros);
  release.again = order.again;
  release.first_generation = builds_.fresh_generation();
  release.scope = order.scope;
  release.events_per_second_max = order.events_per_second_max;
  return release.number;
}

Status RoundRunner::switch_to(uint32_t number) {
  const Release* release = releases_.find(number);
  if (release == nullptr) return unknown_release(number);
  if (releases_.is_live(number)) return Error{ErrorCode::kAlreadyExists, fmt::format("release {} is live", number)};
  if (!release->scope.whole()) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("release {} was fed with a part of raw only, so it is to look at: replay without --client, "
                    "--from and --to makes one to switch to",
                    number)};
  }
  ReleaseStatus status = status_of(*release);
  for (const std::string& problem : status.problems) {
    return Error{ErrorCode::kUnavailable, fmt::format("release {} cannot be computed now: {}", number, problem)};
  }
  for (const ReleaseStatus::View& view : status.builds) {
    if (view.whole) continue;
    return Error{ErrorCode::kUnavailable, fmt::format("release {} is not whole yet: {} is still being built; `release "
                                                      "FILE list` shows how far it is",
                                                      number, view.name)};
  }
  releases_.make_live(number);
  return {};
}

Status RoundRunner::drop_release(uint32_t number) {
  if (releases_.find(number) == nullptr) return unknown_release(number);
  if (releases_.is_live(number)) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("release {} is live: switch to another one or roll back before dropping it", number)};
  }
  releases_.remove(number);
  return {};
}

// Under the lock.
void RoundRunner::note_releases() {
  counted_tables_.clear();
  for (const auto& [view, generation] : releases_.live().builds)
    counted_tables_[view] = view + generation_suffix(generation);
  for (const Build& build : builds_.all()) {
    if (build.shown) counted_tables_[build.view] = build.table();
  }
  release_status_.clear();
  std::map<uint32_t, Checkpoint> whole_at;
  for (const Release* release : std::as_const(releases_).all()) {
    ReleaseStatus& status = release_status_.emplace_back(status_of(*release));
    if (!status.whole()) continue;
    auto known = whole_at_.find(status.number);
    status.whole_at = known == whole_at_.end() ? checkpoint() : known->second;
    whole_at[status.number] = status.whole_at;
  }
  whole_at_ = std::move(whole_at);
}

namespace {

// But for how far it is fed and what is wrong with it.
RoundRunner::ReleaseStatus stored_status(const Release& release, const Releases& releases, const Builds& builds) {
  RoundRunner::ReleaseStatus status{.number = release.number,
                                    .views = release.views,
                                    .made_micros = release.made_micros,
                                    .live = releases.is_live(release.number),
                                    .replaced = release.replaced,
                                    .scope = release.scope};
  for (const auto& [view, generation] : release.builds) {
    bool shared = false;
    for (const Release* other : releases.all()) {
      auto of = other->builds.find(view);
      shared = shared || (other->number != release.number && of != other->builds.end() && of->second == generation);
    }
    Build build{.view = view, .generation = generation};
    for (const Build& known : builds.all()) {
      if (known.view == view && known.generation == generation) build = known;
    }
    status.builds.push_back({view, build.table(), build.whole, shared});
  }
  return status;
}

}  // namespace

RoundRunner::ReleaseStatus RoundRunner::status_of(const Release& release) const {
  ReleaseStatus status = stored_status(release, releases_, builds_);
  std::set<uint32_t> fed;
  for (const ReleaseStatus::View& view : status.builds) {
    uint32_t generation = release.builds.at(view.name);
    if (view.whole || !fed.insert(generation).second) continue;
    auto to_feed = events_to_feed_.find(generation);
    if (to_feed == events_to_feed_.end()) continue;
    status.events += to_feed->second;
    status.events_fed += std::min(builds_.fed_events(generation), to_feed->second);
  }
  if (auto at = release_problems_.find(release.number); at != release_problems_.end()) status.problems = at->second;
  return status;
}

Result<std::vector<RoundRunner::ReleaseStatus>> stored_releases(const Storage& storage) {
  ASSIGN_OR_RETURN(Builds builds, Builds::load(storage));
  ASSIGN_OR_RETURN(Releases releases, Releases::load(storage));
  StorageIterator outbox = storage.iterate(Family::kOutbox, {});
  bool all_sent = !outbox.valid();
  RETURN_IF_ERROR(outbox.status());
  std::vector<RoundRunner::ReleaseStatus> out;
  for (const Release* release : std::as_const(releases).all()) {
    out.push_back(stored_status(*release, releases, builds));
    out.back().stored = all_sent && out.back().whole();
  }
  return out;
}

}  // namespace tributary
