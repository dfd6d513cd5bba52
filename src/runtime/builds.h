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

  // The build that computes `view` by this plan: the newest one whose rows stay right, or a new one of generation `fresh`.
  // Of a new one everything has to be fed, unless `nothing_before`.
  Build& use(const std::string& view, const PlanFingerprint& fingerprint, uint32_t fresh, bool nothing_before);
  uint32_t fresh_generation() const { return newest_generation_ + 1; }
  // Views that are not computed now have missed something from now on.
  void interrupt_others(const std::vector<std::string>& used_tables);

  const std::vector<Build>& all() const { return builds_; }
  Build* find(const std::string& view, uint32_t generation);
  const Build* shown(const std::string& view) const;
  void remove(const std::string& view, uint32_t generation);

  std::vector<Refeed>& refeeds() { return refeeds_; }
  const std::vector<Refeed>& refeeds() const { return refeeds_; }
  void add_refeed(uint32_t generation, const ClientId& client, const std::string& domain);
  bool being_fed(uint32_t generation) const;

  // Puts what changed since load() or the last save().
  void save(StorageBatch& write);

 private:
  std::map<std::string, std::string> entries() const;

  std::vector<Build> builds_;
  std::vector<Refeed> refeeds_;
  uint32_t newest_generation_ = 0;
  std::map<std::string, std::string> saved_;
};

}  // namespace tributary
