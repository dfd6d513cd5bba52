#include "codec/block.h"

#define XXH_INLINE_ALL
#include <lz4.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>

#include "base/bytes.h"
#include "codec/block_body.h"

namespace tributary {
namespace {

constexpr std::string_view magic = "TRB1";
constexpr uint16_t format_newest = 2;
constexpr size_t checksum_at = 12;
constexpr size_t header_at = 20;
constexpr int zstd_level = 3;
constexpr uint64_t lz4_ratio_max = 255;  // no LZ4 block expands to more, by its format

Error corrupt(const std::string& what) { return {ErrorCode::kCorrupt, "block: " + what}; }

// Seeded with the bytes between magic and checksum, so that those are covered too.
uint64_t checksum_of(std::string_view bytes) {
  uint64_t seed;
  std::memcpy(&seed, bytes.data() + magic.size(), sizeof seed);
  return XXH3_64bits_withSeed(bytes.data() + header_at, bytes.size() - header_at, seed);
}

struct Extremes {
  int64_t min_commit_micros = INT64_MAX;
  int64_t max_commit_micros = INT64_MIN;
  Position min_position{UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX};
  Position max_position;

  void add(const Position& position, int64_t commit_micros) {
    if (position < min_position) min_position = position;
    if (position > max_position) max_position = position;
    min_commit_micros = std::min(min_commit_micros, commit_micros);
    max_commit_micros = std::max(max_commit_micros, commit_micros);
  }
};

void put_header(std::string& out, const EventBatch& batch, const Extremes& extremes, uint64_t body_bytes) {
  put_string(out, batch.client.value);
  put_string(out, batch.domain);
  put_string(out, batch.schema->table);
  put_varint(out, batch.schema->version);
  put_varint(out, batch.rows());
  put_varint(out, batch.ranges.size());
  put_u8(out, op_mask_of(batch));
  put_u64(out, static_cast<uint64_t>(extremes.min_commit_micros));
  put_u64(out, static_cast<uint64_t>(extremes.max_commit_micros));
  extremes.min_position.append_to(out);
  extremes.max_position.append_to(out);
  put_varint(out, body_bytes);
}

// Appends `body` compressed, or says no where that does not make it shorter.
bool append_compressed(std::string& out, std::string_view body, BlockCompression compression) {
  if (compression == BlockCompression::kNone || body.size() > LZ4_MAX_INPUT_SIZE) return false;
  size_t at = out.size();
  bool lz4 = compression == BlockCompression::kLz4;
  size_t bound =
      lz4 ? static_cast<size_t>(LZ4_compressBound(static_cast<int>(body.size()))) : ZSTD_compressBound(body.size());
  out.resize(at + bound);
  size_t size = 0;
  if (lz4) {
    int written =
        LZ4_compress_default(body.data(), out.data() + at, static_cast<int>(body.size()), static_cast<int>(bound));
    CHECK(written > 0, "LZ4 did not compress {} bytes", body.size());
    size = static_cast<size_t>(written);
  } else {
    size = ZSTD_compress(out.data() + at, bound, body.data(), body.size(), zstd_level);
    CHECK(ZSTD_isError(size) == 0, "zstd: {}", ZSTD_getErrorName(size));
  }
  out.resize(at + (size < body.size() ? size : 0));
  return size < body.size();
}

Status read_prefix(std::string_view bytes, BlockHeader& header) {
  if (bytes.size() < header_at || bytes.substr(0, magic.size()) != magic) return corrupt("it does not begin with TRB1");
  ByteReader reader(bytes.substr(magic.size()));
  uint16_t version = reader.u16();
  uint8_t compression = reader.u8();
  uint8_t flags = reader.u8();
  header.encryption_key = reader.u32();
  header.checksum = reader.u64();
  // The checksum first: a flipped bit is corruption, not a newer version.
  uint64_t actual = checksum_of(bytes);
  if (actual != header.checksum) {
    return corrupt(
        fmt::format("checksum {:016x} is written, {:016x} are its {} bytes", header.checksum, actual, bytes.size()));
  }
  if (version == 0 || version > format_newest || flags != 0) {
    return Error{ErrorCode::kUnsupported, fmt::format("block: format {} (flags {:#x}) is newer than this program, "
                                                      "which reads formats 1 to {}",
                                                      version, flags, format_newest)};
  }
  if (compression > static_cast<uint8_t>(BlockCompression::kZstd)) {
    return Error{ErrorCode::kUnsupported, fmt::format("block: unknown compression {}", compression)};
  }
  header.format = version;
  header.compression = static_cast<BlockCompression>(compression);
  return {};
}

struct Parsed {
  BlockHeader header;
  std::string_view body;  // as stored
};

Result<Parsed> parse(std::string_view bytes) {
  Parsed parsed;
  BlockHeader& header = parsed.header;
  RETURN_IF_ERROR(read_prefix(bytes, header));
  ByteReader reader(bytes.substr(header_at));
  header.client = ClientId(std::string(reader.string()));
  header.domain = reader.string();
  header.table = reader.string();
  uint64_t schema_version = reader.varint();
  uint64_t rows = reader.varint();
  uint64_t ranges = reader.varint();
  header.op_mask = reader.u8();
  header.min_commit_micros = static_cast<int64_t>(reader.u64());
  header.max_commit_micros = static_cast<int64_t>(reader.u64());
  auto min = Position::decode(reader.bytes(Position::encoded_bytes));
  auto max = Position::decode(reader.bytes(Position::encoded_bytes));
  header.body_bytes = reader.varint();
  if (!reader.ok()) return corrupt("its header is truncated");
  header.min_position = *min;
  header.max_position = *max;
  if (schema_version > UINT32_MAX || rows > block_rows_max || ranges > block_rows_max || rows + ranges == 0 ||
      header.body_bytes > block_body_bytes_max) {
    return corrupt(fmt::format("its header claims {} rows, {} ranges, {} bytes", rows, ranges, header.body_bytes));
  }
  header.schema_version = static_cast<uint32_t>(schema_version);
  header.rows = static_cast<uint32_t>(rows);
  header.ranges = static_cast<uint32_t>(ranges);
  parsed.body = reader.rest();
  return parsed;
}

// The body's bytes: those stored, or `buffer` filled.
Result<std::string_view> decompress(const Parsed& parsed, std::string& buffer) {
  uint64_t size = parsed.header.body_bytes;
  std::string_view stored = parsed.body;
  switch (parsed.header.compression) {
    case BlockCompression::kNone:
      if (stored.size() != size) return corrupt("its body's length is not the header's");
      return stored;
    case BlockCompression::kLz4: {
      if (size > stored.size() * lz4_ratio_max) return corrupt("its body cannot have the header's length");
      buffer.resize(size);
      int written =
          LZ4_decompress_safe(stored.data(), buffer.data(), static_cast<int>(stored.size()), static_cast<int>(size));
      if (written < 0 || static_cast<uint64_t>(written) != size) return corrupt("its LZ4 body does not decompress");
      return std::string_view(buffer);
    }
    case BlockCompression::kZstd: {
      if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != size) {
        return corrupt("its zstd body has another length than the header's");
      }
      buffer.resize(size);
      size_t written = ZSTD_decompress(buffer.data(), size, stored.data(), stored.size());
      if (ZSTD_isError(written) != 0 || written != size) return corrupt("its zstd body does not decompress");
      return std::string_view(buffer);
    }
  }
  return corrupt("unknown compression");
}

}  // namespace

uint8_t op_mask_bit(Op op) {
  switch (op) {
    case Op::kCreate: return block_has_created;
    case Op::kUpdate: return block_has_updated;
    case Op::kDelete: return block_has_deleted;
    case Op::kSnapshot: return block_has_snapshot;
  }
  return 0;
}

std::string encode_block(const EventBatch& batch, BlockCompression compression) {
  CHECK(!batch.empty() && batch.rows() <= block_rows_max && batch.ranges.size() <= block_rows_max, "{} rows, {} ranges",
        batch.rows(), batch.ranges.size());
  CHECK(batch.schema != nullptr && batch.schema->version != 0, "a block's schema is registered");
  Extremes extremes;
  for (size_t row = 0; row < batch.rows(); ++row) extremes.add(batch.positions[row], batch.commit_micros[row]);
  for (const RangeFact& range : batch.ranges) extremes.add(range.position, range.commit_micros);

  uint16_t format = block_format_of(batch);
  std::string body = encode_block_body(batch, extremes.min_position, format);
  CHECK(body.size() <= block_body_bytes_max, "a block of {} bytes was not cut", body.size());
  std::string out;
  out.append(magic);
  put_u16(out, format);
  put_u8(out, static_cast<uint8_t>(compression));
  put_u8(out, 0);   // flags
  put_u32(out, 0);  // encryption key
  put_u64(out, 0);  // checksum, below
  put_header(out, batch, extremes, body.size());
  if (!append_compressed(out, body, compression)) {
    out[6] = static_cast<char>(BlockCompression::kNone);
    out.append(body);
  }
  uint64_t checksum = checksum_of(out);
  std::memcpy(out.data() + checksum_at, &checksum, sizeof checksum);
  return out;
}

Result<BlockHeader> read_block_header(std::string_view bytes) {
  ASSIGN_OR_RETURN(Parsed parsed, parse(bytes));
  return std::move(parsed.header);
}

Result<EventBatch> decode_block(std::string_view bytes, const SchemaPtr& schema) {
  ASSIGN_OR_RETURN(Parsed parsed, parse(bytes));
  const BlockHeader& header = parsed.header;
  if (header.encryption_key != 0) {
    return Error{ErrorCode::kUnsupported, fmt::format("block: it is encrypted with key {}", header.encryption_key)};
  }
  if (schema == nullptr || schema->table != header.table || schema->version != header.schema_version) {
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("block of {} version {} of client {}: decoded with another schema", header.table,
                             header.schema_version, header.client)};
  }
  std::string buffer;
  ASSIGN_OR_RETURN(std::string_view body, decompress(parsed, buffer));
  return decode_block_body(body, header, schema);
}

}  // namespace tributary
