// Builds: which plan computed what is in the store. A view's build has a number (its generation), a fingerprint of its
// plan, a table and keyed state of its own. When the plan of a view changes so that its rows have to be computed again, the
// view gets a new build, which is fed from raw beside the live stream (facts converge, so their order has no meaning), and
// readers see it once it is whole. All views that change together share a generation, and what is merged for it.
//
// Kept under "runtime/" in the data directory's small facts (docs/formats/state.md). Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "process/plan_text.h"
#include "storage/storage.h"

namespace tributary {

struct Build {
  std::string view;
  uint32_t generation = 1;
  PlanFingerprint fingerprint;
  bool shown = false;  // readers see its table
  bool whole = false;  // everything in raw has been fed to it
  bool interrupted = false;  // rounds were made without it: never used again
  bool partial = false;  // fed with a part of raw: for nobody but the release that it was made for

  std::string table() const;  // "sales", "sales@2"
};

// A client's domain that is read from raw for a generation.
struct Refeed {
  uint32_t generation = 0;
  ClientId client;
  std::string domain;
  std::string cursor;  // of RawStore::scan
  friend auto operator<=>(const Refeed&, const Refeed&) = default;
};

// The tail of a generation's names: "" for the first one, else "@3".
std::string generation_suffix(uint32_t generation);

class Builds {
 public:
  static Result<Builds> load(const Storage& storage);

  // What a release wants of the build of a view.
  struct Wish {
    std::string view;
    const PlanFingerprint& fingerprint;
    uint32_t before = 0;  // the generation that computed it until now; 0: none
    uint32_t least = 1;  // of no older generation
    bool leads = true;  // the live release: rows that stay right are good enough; for others the plan must be the same
    bool nothing_before = false;  // a new build is whole at once, and the live release's shown
    bool partial = false;
  };
  // The build that computes the view by this plan: that of before, else the newest one that fits, or a new one of generation
  // `fresh`.
  Build& use(const Wish& wish, uint32_t fresh);
  uint32_t fresh_generation() const { return newest_generation_ + 1; }
  // Views that are not computed now have missed something from now on.
  void interrupt_others(const std::vector<std::string>& used_tables);
  // A table that lost rows.
  void interrupt(const std::string& table);

  const std::vector<Build>& all() const { return builds_; }
  Build* find(const std::string& view, uint32_t generation);
  const Build* shown(const std::string& view) const;
  void remove(const std::string& view, uint32_t generation);

  std::vector<Refeed>& refeeds() { return refeeds_; }
  const std::vector<Refeed>& refeeds() const { return refeeds_; }
  void add_refeed(uint32_t generation, const ClientId& client, const std::string& domain);
  bool being_fed(uint32_t generation) const;
  // Events of raw that were fed to a generation so far.
  uint64_t fed_events(uint32_t generation) const;
  void add_fed_events(uint32_t generation, uint64_t events) { fed_events_[generation] += events; }
  // Of generations without a build.
  void forget_unused();

  // Puts what changed since load() or the last save().
  void save(StorageBatch& write);

 private:
  std::map<std::string, std::string> entries() const;

  std::vector<Build> builds_;
  std::vector<Refeed> refeeds_;
  std::map<uint32_t, uint64_t> fed_events_;
  uint32_t newest_generation_ = 0;
  std::map<std::string, std::string> saved_;
};

}  // namespace tributary
