#include "runtime/releases.h"

#include <algorithm>

#include "base/bytes.h"
#include "runtime/stored_facts.h"

namespace tributary {
namespace {

constexpr uint8_t format_version = 1;
constexpr std::string_view release_prefix = "runtime/release/";
constexpr std::string_view live_key = "runtime/live_release";

constexpr uint8_t has_from = 1;
constexpr uint8_t has_to = 2;

void put_names(std::string& out, const auto& names) {
  put_varint(out, names.size());
  for (const auto& name : names) put_string(out, name);
}

std::string encode(const Release& release) {
  std::string out;
  put_u8(out, format_version);
  put_string(out, release.views);
  put_u64(out, static_cast<uint64_t>(release.made_micros));
  put_u32(out, release.replaced);
  put_names(out, release.again);
  put_u32(out, release.first_generation);
  put_varint(out, release.scope.clients.size());
  for (const ClientId& client : release.scope.clients) put_string(out, client.value);
  put_u8(out,
         static_cast<uint8_t>((release.scope.from_micros ? has_from : 0) | (release.scope.to_micros ? has_to : 0)));
  put_u64(out, static_cast<uint64_t>(release.scope.from_micros.value_or(0)));
  put_u64(out, static_cast<uint64_t>(release.scope.to_micros.value_or(0)));
  put_u32(out, release.events_per_second_max);
  put_varint(out, release.builds.size());
  for (const auto& [view, generation] : release.builds) {
    put_string(out, view);
    put_u32(out, generation);
  }
  return out;
}

Result<Release> decode(uint32_t number, std::string_view bytes) {
  Error corrupt{ErrorCode::kCorrupt, fmt::format("the stored release {} does not decode", number)};
  ByteReader reader(bytes);
  if (reader.u8() != format_version) return corrupt;
  Release release;
  release.number = number;
  release.views = reader.string();
  release.made_micros = static_cast<int64_t>(reader.u64());
  release.replaced = reader.u32();
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) release.again.emplace(reader.string());
  release.first_generation = reader.u32();
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left)
    release.scope.clients.emplace(std::string(reader.string()));
  uint8_t times = reader.u8();
  auto from = static_cast<int64_t>(reader.u64());
  auto to = static_cast<int64_t>(reader.u64());
  if ((times & has_from) != 0) release.scope.from_micros = from;
  if ((times & has_to) != 0) release.scope.to_micros = to;
  release.events_per_second_max = reader.u32();
  for (uint64_t left = reader.varint(); left > 0 && reader.ok(); --left) {
    std::string view(reader.string());
    release.builds[std::move(view)] = reader.u32();
  }
  if (!reader.ok() || !reader.at_end()) return corrupt;
  return release;
}

bool uses(const Release& release, uint32_t generation) {
  return std::any_of(release.builds.begin(), release.builds.end(),
                     [&](const auto& build) { return build.second == generation; });
}

template <typename Pointer>
std::vector<Pointer> live_first(auto& releases, uint32_t live) {
  std::vector<Pointer> out;
  for (auto& [number, release] : releases) out.push_back(&release);
  std::stable_partition(out.begin(), out.end(), [&](const Release* release) { return release->number == live; });
  return out;
}

}  // namespace

Result<Releases> Releases::load(const Storage& storage) {
  Releases releases;
  StorageIterator it = storage.iterate(Family::kMeta, release_prefix);
  for (; it.valid(); it.next()) {
    ByteReader key(it.key().substr(release_prefix.size()));
    uint32_t number = key.u32_big();
    if (!key.ok()) return Error{ErrorCode::kCorrupt, "a stored release has no number"};
    ASSIGN_OR_RETURN(Release release, decode(number, it.value()));
    releases.releases_.emplace(number, std::move(release));
  }
  RETURN_IF_ERROR(it.status());
  ASSIGN_OR_RETURN(auto live, storage.get(Family::kMeta, live_key));
  if (live) {
    ByteReader reader(*live);
    releases.live_ = static_cast<uint32_t>(reader.varint());
    releases.newest_ = static_cast<uint32_t>(reader.varint());
    if (!reader.ok() || !releases.releases_.contains(releases.live_))
      return Error{ErrorCode::kCorrupt, "the number of the live release does not decode, or it is missing"};
  }
  releases.saved_ = releases.entries();
  return releases;
}

std::map<std::string, std::string> Releases::entries() const {
  std::map<std::string, std::string> out;
  for (const auto& [number, release] : releases_) {
    std::string key(release_prefix);
    put_u32_big(key, number);
    out[key] = encode(release);
  }
  if (live_ != 0) {
    std::string& live = out[std::string(live_key)];
    put_varint(live, live_);
    put_varint(live, newest_);
  }
  return out;
}

void Releases::save(StorageBatch& write) {
  auto now = entries();
  put_changed_facts(write, saved_, now);
  saved_ = std::move(now);
}

void Releases::start_with(const std::string& views, int64_t now_micros) {
  if (find_views(views) != nullptr) return;
  uint32_t before = live_;
  Release& fresh = add(views, now_micros);
  live_ = fresh.number;
  auto replaced = releases_.find(before);
  if (replaced == releases_.end()) return;
  // Views that are the same go on in their builds.
  fresh.builds = std::move(replaced->second.builds);
  fresh.first_generation = replaced->second.first_generation;
  releases_.erase(replaced);
}

std::vector<Release*> Releases::all() { return live_first<Release*>(releases_, live_); }

std::vector<const Release*> Releases::all() const { return live_first<const Release*>(releases_, live_); }

Release* Releases::find(uint32_t number) {
  auto at = releases_.find(number);
  return at == releases_.end() ? nullptr : &at->second;
}

const Release* Releases::find(uint32_t number) const {
  auto at = releases_.find(number);
  return at == releases_.end() ? nullptr : &at->second;
}

const Release* Releases::find_views(const std::string& views) const {
  const Release* found = nullptr;
  for (const auto& [number, release] : releases_) {
    if (release.views == views && release.scope.whole()) found = &release;
  }
  return found;
}

Release& Releases::add(std::string views, int64_t now_micros) {
  Release release;
  release.number = ++newest_;
  release.views = std::move(views);
  release.made_micros = now_micros;
  return releases_.emplace(release.number, std::move(release)).first->second;
}

void Releases::make_live(uint32_t number) {
  CHECK(releases_.contains(number));
  // Going back is not going on: what the older one replaced stays what it was.
  if (live().replaced != number) releases_.at(number).replaced = live_;
  live_ = number;
}

void Releases::remove(uint32_t number) {
  CHECK(number != live_);
  releases_.erase(number);
  for (auto& [other, release] : releases_) {
    if (release.replaced == number) release.replaced = 0;
  }
}

const FeedScope& Releases::scope_of(uint32_t generation) const {
  static const FeedScope whole;
  for (const auto& [number, release] : releases_) {
    if (!release.scope.whole() && uses(release, generation)) return release.scope;
  }
  return whole;
}

const Release* Releases::only_for(uint32_t generation) const {
  const Release* only = nullptr;
  for (const auto& [number, release] : releases_) {
    if (!uses(release, generation)) continue;
    if (number == live_ || only != nullptr) return nullptr;
    only = &release;
  }
  return only;
}

bool Releases::used_by_live(uint32_t generation) const { return live_ != 0 && uses(live(), generation); }

}  // namespace tributary
