#include "model/partitioning.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "model/gather.h"
#include "model/row_key.h"

namespace tributary {
namespace {

// XXH3's seed when a client's partitions are chosen: "TRIBPART" read as a big-endian number. Row keys are hashed
// without a seed, so the two choices are independent of each other.
constexpr uint64_t rendezvous_seed = 0x5452494250415254;

uint32_t index_in_subset(size_t subset_size, std::string_view client, std::string_view key) {
  return static_cast<uint32_t>(partition_hash(client, key) % subset_size);
}

}  // namespace

std::vector<PartitionId> client_partitions(const Partitioning& partitioning, std::string_view client,
                                           std::string_view topic) {
  uint32_t count = partitioning.partitions;
  uint32_t wanted = partitioning.partitions_per_client;
  CHECK(count >= 1 && count <= partitions_max && wanted >= 1 && wanted <= count, "{} of {} partitions", wanted, count);
  std::vector<std::pair<uint64_t, uint32_t>> weights;
  weights.reserve(count);
  std::string bytes;
  for (uint32_t partition = 0; partition < count; ++partition) {
    bytes.assign(client).push_back('\0');
    bytes.append(topic).push_back('\0');
    put_u32_big(bytes, partition);
    weights.emplace_back(XXH3_64bits_withSeed(bytes.data(), bytes.size(), rendezvous_seed), partition);
  }
  std::sort(weights.begin(), weights.end(),
            [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  std::vector<PartitionId> subset;
  for (uint32_t i = 0; i < wanted; ++i) subset.emplace_back(weights[i].second);
  std::sort(subset.begin(), subset.end());
  return subset;
}

PartitionId partition_of(std::span<const PartitionId> subset, std::string_view client, std::string_view key) {
  CHECK(!subset.empty());
  return subset[index_in_subset(subset.size(), client, key)];
}

std::vector<PartitionRows> rows_by_partition(const EventBatch& batch, std::span<const PartitionId> subset) {
  CHECK(!subset.empty());
  std::vector<PartitionRows> parts(subset.size());
  for (size_t i = 0; i < subset.size(); ++i) parts[i].partition = subset[i];
  auto rows = static_cast<uint32_t>(batch.rows());
  if (subset.size() == 1) {
    parts[0].rows.resize(rows);
    std::iota(parts[0].rows.begin(), parts[0].rows.end(), 0);
  } else {
    std::string key;
    for (uint32_t row = 0; row < rows; ++row) {
      key.clear();
      batch.append_row_key(key, row);
      parts[index_in_subset(subset.size(), batch.client.value, key)].rows.push_back(row);
    }
  }
  std::erase_if(parts, [&](const PartitionRows& part) { return part.rows.empty() && batch.ranges.empty(); });
  return parts;
}

std::vector<std::pair<PartitionId, EventBatch>> split_by_partition(EventBatch batch,
                                                                   std::span<const PartitionId> subset) {
  std::vector<std::pair<PartitionId, EventBatch>> out;
  std::vector<PartitionRows> parts = rows_by_partition(batch, subset);
  if (parts.size() == 1) {
    out.emplace_back(parts[0].partition, std::move(batch));
    return out;
  }
  for (const PartitionRows& part : parts) {
    EventBatch rows = gather(batch, part.rows);
    rows.ranges = batch.ranges;
    out.emplace_back(part.partition, std::move(rows));
  }
  return out;
}

}  // namespace tributary
