// Releases: versions of the pipeline's views. One is live, which is what clients read; others are computed beside it, to be
// compared with it and switched to, or were live before, and are kept computed so that going back is exact.
//
// A release is what the pipeline file said of its views, as text (the rest of the file holds for all of them), and which build
// (builds.h) computes each view. Views whose plan is the same in two releases share a build.
//
// Kept under "runtime/release/" in the data directory's small facts (docs/formats/state.md). Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/strong.h"
#include "storage/storage.h"

namespace tributary {

// What of raw a release is fed with. Anything but the whole is good to look at and never to be switched to.
struct FeedScope {
  std::set<ClientId> clients;  // empty: all
  std::optional<int64_t> from_micros;  // commit time, inclusive
  std::optional<int64_t> to_micros;  // exclusive

  bool whole() const { return clients.empty() && !has_times(); }
  bool has_times() const { return from_micros.has_value() || to_micros.has_value(); }
  bool takes(const ClientId& client) const { return clients.empty() || clients.contains(client); }
  friend bool operator==(const FeedScope&, const FeedScope&) = default;
};

struct Release {
  uint32_t number = 1;
  std::string views;  // what the planner plans from
  int64_t made_micros = 0;  // when, since 1970
  uint32_t replaced = 0;  // the release that was live before this one; 0: none that is kept
  std::set<std::string> again;  // views that are computed anew though their plan did not change …
  uint32_t first_generation = 1;  // … in a build of this generation or a later one
  FeedScope scope;
  uint32_t events_per_second_max = 0;  // fed from raw; 0: unlimited
  std::map<std::string, uint32_t> builds;  // view → generation of the build that computes it
};

class Releases {
 public:
  static Result<Releases> load(const Storage& storage);

  // A start with these views in the pipeline file. Those of a kept release change nothing, since switching is a person's;
  // others are live from now on, in the place of the live release.
  void start_with(const std::string& views, int64_t now_micros);

  bool none() const { return releases_.empty(); }
  Release& live() { return *find(live_); }
  const Release& live() const { return *find(live_); }
  bool is_live(uint32_t number) const { return number == live_; }
  // The live one first, then by number.
  std::vector<Release*> all();
  std::vector<const Release*> all() const;
  Release* find(uint32_t number);
  const Release* find(uint32_t number) const;
  // The newest one with these views that is fed with the whole of raw.
  const Release* find_views(const std::string& views) const;

  Release& add(std::string views, int64_t now_micros);
  void make_live(uint32_t number);
  void remove(uint32_t number);  // not the live one

  // What of raw feeds builds of a generation.
  const FeedScope& scope_of(uint32_t generation) const;
  // The release that a generation is computed for alone, or nullptr: the live one has a part in it, or several others.
  const Release* only_for(uint32_t generation) const;
  bool used_by_live(uint32_t generation) const;

  // Puts what changed since load() or the last save().
  void save(StorageBatch& write);

 private:
  std::map<std::string, std::string> entries() const;

  std::map<uint32_t, Release> releases_;
  uint32_t live_ = 0;
  uint32_t newest_ = 0;  // numbers are not used twice
  std::map<std::string, std::string> saved_;
};

}  // namespace tributary
