// Which partition of a topic an event belongs to (docs/formats/partitioning.md, with a worked example).
//
// Shuffle sharding: of a topic's P partitions each client has k, chosen by rendezvous hashing, and the row key picks one
// of them. So one row's events keep their order, a client's load is spread, and two clients rarely share all partitions.
//
//   Partitioning partitioning;                                                   // 12 partitions, 3 a client
//   std::vector<PartitionId> mine = client_partitions(partitioning, "acme", "orders");
//   for (auto& [partition, part] : split_by_partition(std::move(batch), mine)) …
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "model/event_batch.h"

namespace tributary {

constexpr uint32_t partitions_default = 12;
constexpr uint32_t partitions_per_client_default = 3;
constexpr uint32_t partitions_max = 4096;

struct Partitioning {
  uint32_t partitions = partitions_default;  // 1..partitions_max
  uint32_t partitions_per_client = partitions_per_client_default;  // 1..partitions
};

// The client's subset of a topic's partitions, ascending.
std::vector<PartitionId> client_partitions(const Partitioning& partitioning, std::string_view client,
                                           std::string_view topic);

// The one of `subset` (as client_partitions() gave it) for a row key.
PartitionId partition_of(std::span<const PartitionId> subset, std::string_view client, std::string_view key);

// The batch's rows by partition, each in their order; range facts go to every partition of the subset. Parts without
// anything are left out. A batch that goes to one partition as a whole is moved, not copied.
std::vector<std::pair<PartitionId, EventBatch>> split_by_partition(EventBatch batch,
                                                                   std::span<const PartitionId> subset);

// The same without copying rows: which rows go where. Ascending by partition, rows ascending.
struct PartitionRows {
  PartitionId partition;
  std::vector<uint32_t> rows;
};
std::vector<PartitionRows> rows_by_partition(const EventBatch& batch, std::span<const PartitionId> subset);

}  // namespace tributary
