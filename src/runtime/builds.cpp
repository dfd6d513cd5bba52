#include "runtime/builds.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "runtime/stored_facts.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;
constexpr std::string_view build_prefix = "runtime/build/";
constexpr std::string_view refeed_prefix = "runtime/refeed/";
constexpr std::string_view fed_prefix = "runtime/fed/";
constexpr std::string_view newest_key = "runtime/generation";

Error corrupt(std::string_view what) { return {ErrorCode::kCorrupt, fmt::format("a stored {} does not decode", what)}; }

Result<Build> decode_build(std::string_view key, std::string_view value) {
  Build build;
  ByteReader of(key);
  build.view = of.string();
  build.generation = of.u32_big();
  ByteReader reader(value);
  uint8_t version = reader.u8();
  uint8_t flags = reader.u8();
  if (!of.ok() || !reader.ok() || version != format_version) return corrupt("build of a view");
  build.shown = (flags & 1) != 0;
  build.whole = (flags & 2) != 0;
  build.interrupted = (flags & 4) != 0;
  build.partial = (flags & 8) != 0;
  ASSIGN_OR_RETURN(build.fingerprint, PlanFingerprint::decode(reader.rest()));
  return build;
}

Result<Refeed> decode_refeed(std::string_view key, std::string_view value) {
  Refeed refeed;
  ByteReader of(key);
  refeed.generation = of.u32_big();
  refeed.client = ClientId{std::string(of.string())};
  refeed.domain = of.string();
  refeed.cursor = value;
  if (!of.ok()) return corrupt("refeed");
  return refeed;
}

}  // namespace

std::string generation_suffix(uint32_t generation) { return generation == 1 ? "" : fmt::format("@{}", generation); }

std::string Build::table() const { return view + generation_suffix(generation); }

Result<Builds> Builds::load(const Storage& storage) {
  Builds builds;
  StorageIterator it = storage.iterate(Family::kMeta, build_prefix);
  for (; it.valid(); it.next()) {
    ASSIGN_OR_RETURN(Build build, decode_build(it.key().substr(build_prefix.size()), it.value()));
    builds.builds_.push_back(std::move(build));
  }
  RETURN_IF_ERROR(it.status());
  StorageIterator feeds = storage.iterate(Family::kMeta, refeed_prefix);
  for (; feeds.valid(); feeds.next()) {
    ASSIGN_OR_RETURN(Refeed refeed, decode_refeed(feeds.key().substr(refeed_prefix.size()), feeds.value()));
    builds.refeeds_.push_back(std::move(refeed));
  }
  RETURN_IF_ERROR(feeds.status());
  StorageIterator fed = storage.iterate(Family::kMeta, fed_prefix);
  for (; fed.valid(); fed.next()) {
    ByteReader key(fed.key().substr(fed_prefix.size()));
    ByteReader value(fed.value());
    builds.fed_events_[key.u32_big()] = value.u64();
    if (!key.ok() || !value.ok()) return corrupt("number of fed events");
  }
  RETURN_IF_ERROR(fed.status());
  ASSIGN_OR_RETURN(auto newest, storage.get(Family::kMeta, newest_key));
  if (newest) {
    ByteReader reader(*newest);
    builds.newest_generation_ = reader.u32();
    if (!reader.ok()) return corrupt("generation");
  }
  builds.saved_ = builds.entries();
  return builds;
}

std::map<std::string, std::string> Builds::entries() const {
  std::map<std::string, std::string> out;
  for (const Build& build : builds_) {
    std::string key(build_prefix);
    put_string(key, build.view);
    put_u32_big(key, build.generation);
    std::string value;
    put_u8(value, format_version);
    put_u8(value, static_cast<uint8_t>((build.shown ? 1 : 0) | (build.whole ? 2 : 0) | (build.interrupted ? 4 : 0) |
                                       (build.partial ? 8 : 0)));
    out[key] = value + build.fingerprint.encode();
  }
  for (const Refeed& refeed : refeeds_) {
    std::string key(refeed_prefix);
    put_u32_big(key, refeed.generation);
    put_string(key, refeed.client.value);
    put_string(key, refeed.domain);
    out[key] = refeed.cursor;
  }
  for (const auto& [generation, events] : fed_events_) {
    std::string key(fed_prefix);
    put_u32_big(key, generation);
    put_u64(out[key], events);
  }
  std::string newest;
  put_u32(newest, newest_generation_);
  out[std::string(newest_key)] = newest;
  return out;
}

void Builds::save(StorageBatch& write) {
  auto now = entries();
  put_changed_facts(write, saved_, now);
  saved_ = std::move(now);
}

Build& Builds::use(const Wish& wish, uint32_t fresh) {
  auto fits = [&](const Build& build) {
    if (build.view != wish.view || build.interrupted || build.generation < wish.least) return false;
    if (build.generation == wish.before) return rows_stay_right(build.fingerprint, wish.fingerprint);
    if (build.partial || wish.partial) return false;
    return wish.leads ? rows_stay_right(build.fingerprint, wish.fingerprint)
                      : build.fingerprint.exact == wish.fingerprint.exact;
  };
  Build* best = nullptr;
  for (Build& build : builds_) {
    if (!fits(build)) continue;
    bool better = best == nullptr || build.generation > best->generation || build.generation == wish.before;
    if (better && (best == nullptr || best->generation != wish.before)) best = &build;
  }
  if (best != nullptr) {
    // What the view has no more its table has still, and what comes back under that name has to fit there.
    PlanFingerprint fingerprint = wish.fingerprint;
    if (!fingerprint.core.empty()) fingerprint.outputs.merge(best->fingerprint.outputs);
    best->fingerprint = std::move(fingerprint);
    return *best;
  }
  newest_generation_ = std::max(newest_generation_, fresh);
  return builds_.emplace_back(Build{.view = wish.view,
                                    .generation = fresh,
                                    .fingerprint = wish.fingerprint,
                                    .shown = wish.nothing_before && wish.leads,
                                    .whole = wish.nothing_before,
                                    .partial = wish.partial});
}

void Builds::interrupt_others(const std::vector<std::string>& used_tables) {
  for (Build& build : builds_) {
    if (std::find(used_tables.begin(), used_tables.end(), build.table()) == used_tables.end()) build.interrupted = true;
  }
}

void Builds::interrupt(const std::string& table) {
  for (Build& build : builds_) {
    if (build.table() == table) build.interrupted = true;
  }
}

Build* Builds::find(const std::string& view, uint32_t generation) {
  for (Build& build : builds_) {
    if (build.view == view && build.generation == generation) return &build;
  }
  return nullptr;
}

const Build* Builds::shown(const std::string& view) const {
  for (const Build& build : builds_) {
    if (build.view == view && build.shown) return &build;
  }
  return nullptr;
}

void Builds::remove(const std::string& view, uint32_t generation) {
  std::erase_if(builds_, [&](const Build& build) { return build.view == view && build.generation == generation; });
}

void Builds::add_refeed(uint32_t generation, const ClientId& client, const std::string& domain) {
  for (Refeed& refeed : refeeds_) {
    if (refeed.generation != generation || refeed.client != client || refeed.domain != domain) continue;
    refeed.cursor.clear();
    return;
  }
  refeeds_.push_back({generation, client, domain, {}});
}

uint64_t Builds::fed_events(uint32_t generation) const {
  auto at = fed_events_.find(generation);
  return at == fed_events_.end() ? 0 : at->second;
}

void Builds::forget_unused() {
  std::erase_if(fed_events_, [&](const auto& fed) {
    return std::none_of(builds_.begin(), builds_.end(),
                        [&](const Build& build) { return build.generation == fed.first; });
  });
}

bool Builds::being_fed(uint32_t generation) const {
  return std::any_of(refeeds_.begin(), refeeds_.end(),
                     [&](const Refeed& refeed) { return refeed.generation == generation; });
}

}  // namespace tributary
