#include "model/gather.h"

#include <algorithm>
#include <numeric>

namespace tributary {
namespace {

// A fixed width known to the compiler makes each copy one or two moves instead of a call to memcpy.
template <size_t width>
void copy_cells(const char* from, char* to, std::span<const uint32_t> rows) {
  for (uint32_t row : rows) {
    std::memcpy(to, from + row * width, width);
    to += width;
  }
}

std::string gather_fixed(const Column& column, std::span<const uint32_t> rows) {
  size_t width = column.type().fixed_width();
  std::string fixed(rows.size() * width, '\0');
  const char* from = column.fixed_data().data();
  switch (width) {
    case 1: copy_cells<1>(from, fixed.data(), rows); break;
    case 2: copy_cells<2>(from, fixed.data(), rows); break;
    case 4: copy_cells<4>(from, fixed.data(), rows); break;
    case 8: copy_cells<8>(from, fixed.data(), rows); break;
    case 16: copy_cells<16>(from, fixed.data(), rows); break;
    default: CHECK(false, "no such width: {}", width);
  }
  return fixed;
}

std::vector<Column::TextCell> gather_texts(const std::vector<Column::TextCell>& texts, std::span<const uint32_t> rows) {
  std::vector<Column::TextCell> out;
  if (texts.empty()) return out;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    auto at = std::lower_bound(texts.begin(), texts.end(), rows[i],
                               [](const Column::TextCell& cell, uint32_t row) { return cell.row < row; });
    if (at != texts.end() && at->row == rows[i]) out.push_back({i, at->text});
  }
  return out;
}

template <typename T>
std::vector<T> gather_vector(const std::vector<T>& values, std::span<const uint32_t> rows) {
  std::vector<T> out;
  out.reserve(rows.size());
  for (uint32_t row : rows) out.push_back(values[row]);
  return out;
}

std::vector<uint16_t> gather_shown_scales(const Column& column, std::span<const uint32_t> rows) {
  std::vector<uint16_t> out;
  if (column.shown_scales().empty()) return out;
  out.reserve(rows.size());
  for (uint32_t row : rows) out.push_back(column.shown_scale(row));
  return out;
}

}  // namespace

Column gather(const Column& column, std::span<const uint32_t> rows) {
  std::string fixed;
  std::string bytes;
  std::vector<uint32_t> ends;
  if (column.type().is_variable()) {
    const std::vector<uint32_t>& from_ends = column.ends();
    const std::string& from = column.variable_data();
    ends.reserve(rows.size());
    size_t total = 0;
    for (uint32_t row : rows) {
      total += from_ends[row] - (row == 0 ? 0 : from_ends[row - 1]);
      ends.push_back(static_cast<uint32_t>(total));
    }
    CHECK(total <= UINT32_MAX, "a column batch grew past 4 GiB");
    bytes.reserve(total);
    for (uint32_t row : rows) {
      uint32_t begin = row == 0 ? 0 : from_ends[row - 1];
      bytes.append(from, begin, from_ends[row] - begin);
    }
  } else {
    fixed = gather_fixed(column, rows);
  }
  return Column::from_parts(column.type(), gather_vector(column.states(), rows), std::move(fixed), std::move(bytes),
                            std::move(ends), gather_texts(column.texts(), rows), gather_shown_scales(column, rows));
}

EventBatch gather(const EventBatch& batch, std::span<const uint32_t> rows) {
  EventBatch out;
  out.client = batch.client;
  out.domain = batch.domain;
  out.schema = batch.schema;
  out.ops = gather_vector(batch.ops, rows);
  out.positions = gather_vector(batch.positions, rows);
  out.commit_micros = gather_vector(batch.commit_micros, rows);
  out.transactions = gather_vector(batch.transactions, rows);
  out.columns.reserve(batch.columns.size());
  for (const Column& column : batch.columns) out.columns.push_back(gather(column, rows));
  out.before.reserve(batch.before.size());
  for (const Column& column : batch.before) out.before.push_back(gather(column, rows));
  for (const EventBatch::Moved& entry : batch.moved) {
    auto at = std::lower_bound(rows.begin(), rows.end(), entry.row);
    if (at != rows.end() && *at == entry.row) {
      out.moved.push_back({static_cast<uint32_t>(at - rows.begin()), entry.key});
    }
  }
  return out;
}

EventBatch slice(const EventBatch& batch, uint32_t begin, uint32_t end) {
  CHECK(begin <= end && end <= batch.rows());
  std::vector<uint32_t> rows(end - begin);
  std::iota(rows.begin(), rows.end(), begin);
  return gather(batch, rows);
}

}  // namespace tributary
