// Events for tests of raw stores, and what is in a store as text.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "codec/block.h"
#include "contracts/raw_store.h"
#include "model/random_batch.h"

namespace tributary {

inline const ClientId acme("acme");

inline LogBlock block_of(const EventBatch& batch, uint32_t partition = 0) {
  auto events = static_cast<uint32_t>(batch.rows() + batch.ranges.size());
  return {{batch.domain, PartitionId(partition)},      Offset(0), Offset(events), events,
          encode_block(batch, BlockCompression::kLz4), nullptr};
}

inline std::string describe(const EventBatch& batch, size_t row) {
  return fmt::format("{} {} {} {} {}", batch.client, batch.domain, static_cast<char>(batch.ops[row]),
                     batch.positions[row].to_string(), batch.row_key(row));
}

inline std::string describe(const RangeFact& range) {
  return fmt::format("range {} {} {}..{}", static_cast<char>(range.kind), range.position.to_string(), range.low,
                     range.high);
}

inline std::multiset<std::string> describe_all(RawStore& raw, const RawQuery& query) {
  std::multiset<std::string> out;
  Status status = raw.read(query, [&](const EventBatch& batch) {
    EXPECT_TRUE(batch.validate().ok());
    for (size_t row = 0; row < batch.rows(); ++row) out.insert(describe(batch, row));
    for (const RangeFact& range : batch.ranges) {
      out.insert(describe(range));
    }
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.error().to_string();
  return out;
}

// Updates, one a commit.
inline EventBatch stream(const SchemaPtr& schema, uint64_t first_commit, size_t rows, RandomBatch& random) {
  EventBatch cells = random.batch(acme, "things", schema, rows);
  cells.before.clear();
  cells.moved.clear();
  for (size_t row = 0; row < rows; ++row) {
    cells.ops[row] = Op::kUpdate;
    cells.positions[row] = {1, first_commit + row, first_commit + row, 0};
    cells.commit_micros[row] = static_cast<int64_t>(1000 * (first_commit + row));
  }
  cells.ranges.clear();
  return cells;
}

}  // namespace tributary
