// Block: a run of events of one client, domain, table and schema version as bytes. The log and the raw store hold blocks
// (docs/formats/log-block.md); Kafka's messages will too.
//
//   std::string bytes = encode_block(batch, BlockCompression::kLz4);
//   ASSIGN_OR_RETURN(BlockHeader header, read_block_header(bytes));          // which schema is it?
//   ASSIGN_OR_RETURN(SchemaPtr schema, log.schema(header.client, header.table, header.schema_version));
//   ASSIGN_OR_RETURN(EventBatch batch, decode_block(bytes, schema));
//
// All functions are pure and thread-safe. Bytes from anywhere may be given: every bound is checked, a block whose
// checksum differs is kCorrupt, one of a newer format or under an encryption key is kUnsupported.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/event_batch.h"

namespace tributary {

enum class BlockCompression : uint8_t { kNone = 0, kLz4 = 1, kZstd = 2 };

// A writer cuts its batches below both (CHECKed for rows), a reader refuses blocks above either.
constexpr uint32_t block_rows_max = 1 << 20;  // rows and ranges, each
constexpr uint64_t block_body_bytes_max = 1ull << 30;  // uncompressed; 1 GiB, PostgreSQL's largest value

// Bits of BlockHeader::op_mask: which kinds of facts occur, so that a reader of order.deleted skips blocks without one.
constexpr uint8_t block_has_created = 1;
constexpr uint8_t block_has_updated = 2;
constexpr uint8_t block_has_deleted = 4;
constexpr uint8_t block_has_snapshot = 8;
constexpr uint8_t block_has_range = 16;
uint8_t op_mask_bit(Op op);

struct BlockHeader {
  uint16_t format = 1;
  BlockCompression compression = BlockCompression::kNone;
  uint32_t encryption_key = 0;  // 0: none
  uint64_t checksum = 0;  // XXH3 64 of all bytes behind it; also the block's fingerprint
  ClientId client;
  std::string domain;
  std::string table;
  uint32_t schema_version = 0;
  uint32_t rows = 0;
  uint32_t ranges = 0;
  uint8_t op_mask = 0;
  int64_t min_commit_micros = 0;  // over rows and ranges, as the positions
  int64_t max_commit_micros = 0;
  Position min_position;
  Position max_position;
  uint64_t body_bytes = 0;  // uncompressed

  // Rows and ranges: each takes one offset in the log.
  uint32_t events() const { return rows + ranges; }
};

// `batch` is not empty and valid (EventBatch::validate()), its schema has a version.
std::string encode_block(const EventBatch& batch, BlockCompression compression);

// Verifies the checksum of the whole block (some 10 GB/s), and parses the header.
Result<BlockHeader> read_block_header(std::string_view bytes);

// `schema` is the one that the header names; another one is kInvalidInput.
Result<EventBatch> decode_block(std::string_view bytes, const SchemaPtr& schema);

}  // namespace tributary
