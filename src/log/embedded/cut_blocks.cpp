#include "log/embedded/cut_blocks.h"

#include <algorithm>

#include "model/gather.h"
#include "model/row_key.h"

namespace tributary {
namespace {

// Values become at most this much larger in a block: six varints a row and a few bytes a column.
constexpr size_t encoding_reserve = 1 << 20;

class Cutter {
 public:
  Cutter(const EventBatch& batch, const BlockLimits& limits, std::vector<CutBlock>& out)
      : batch_(batch), limits_(limits), out_(out) {}

  Status add(const PartitionRows& part) {
    at_ = {batch_.domain, part.partition};
    ranges_left_ = !batch_.ranges.empty();
    if (part.rows.size() == batch_.rows() && fits(batch_)) return encode(batch_);  // nothing to copy
    if (part.rows.empty()) return add_rows({});
    // Equal slices by the average row; add_rows() halves those that turn out larger.
    size_t row_bytes = std::max<size_t>(1, batch_.value_bytes() / batch_.rows());
    size_t step = std::clamp<size_t>(limits_.bytes / row_bytes, 1, limits_.rows);
    for (size_t begin = 0; begin < part.rows.size(); begin += step) {
      size_t count = std::min(step, part.rows.size() - begin);
      RETURN_IF_ERROR(add_rows(std::span(part.rows).subspan(begin, count)));
    }
    return {};
  }

 private:
  bool fits(const EventBatch& rows) const {
    return rows.rows() <= limits_.rows && (rows.rows() <= 1 || rows.value_bytes() <= 2 * limits_.bytes);
  }

  Status add_rows(std::span<const uint32_t> rows) {
    EventBatch piece = gather(batch_, rows);
    if (!fits(piece)) {
      RETURN_IF_ERROR(add_rows(rows.first(rows.size() / 2)));
      return add_rows(rows.subspan(rows.size() / 2));
    }
    if (ranges_left_) piece.ranges = batch_.ranges;
    ranges_left_ = false;
    return encode(piece);
  }

  Status encode(const EventBatch& piece) {
    if (piece.value_bytes() > block_body_bytes_max - encoding_reserve) {
      return Error{
          ErrorCode::kInvalidInput,
          fmt::format("log: a row of {} of client {} at {} has {} bytes, a block holds {}; take the table out of "
                      "its domain, or the value out of the row",
                      piece.schema->table, piece.client, piece.positions.empty() ? "?" : piece.positions[0].to_string(),
                      piece.value_bytes(), block_body_bytes_max)};
    }
    auto events = static_cast<uint32_t>(piece.rows() + piece.ranges.size());
    out_.push_back({batch_.client, at_, events, encode_block(piece, BlockCompression::kLz4)});
    return {};
  }

  const EventBatch& batch_;
  const BlockLimits& limits_;
  std::vector<CutBlock>& out_;
  TopicPartition at_;
  bool ranges_left_ = false;
};

}  // namespace

Status cut_blocks(const EventBatch& batch, const Partitioning& partitioning, const BlockLimits& limits,
                  std::vector<CutBlock>& out) {
  if (batch.empty()) return {};
  std::vector<PartitionId> subset = client_partitions(partitioning, batch.client.value, batch.domain);
  size_t before = out.size();
  Cutter cutter(batch, limits, out);
  for (const PartitionRows& part : rows_by_partition(batch, subset)) {
    Status status = cutter.add(part);
    if (!status.ok()) {
      out.resize(before);
      return status;
    }
  }
  return {};
}

}  // namespace tributary
