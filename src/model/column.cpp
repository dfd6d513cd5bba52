#include "model/column.h"

#include <algorithm>

namespace tributary {

std::string_view Column::text(size_t row) const {
  auto at = std::lower_bound(texts_.begin(), texts_.end(), row,
                             [](const TextCell& cell, size_t wanted) { return cell.row < wanted; });
  CHECK(at != texts_.end() && at->row == row, "row {} is not held as text", row);
  return at->text;
}

void Column::append_text(std::string_view text) {
  texts_.push_back({static_cast<uint32_t>(states_.size()), std::string(text)});
  text_bytes_ += text.size() + sizeof(TextCell);
  append_empty(CellState::kText);
}

void Column::append_decimal(Int128 value, uint16_t shown_scale) {
  append_fixed(value);
  if (shown_scale == type_.scale) return;
  shown_scales_.resize(rows(), type_.scale);
  shown_scales_.back() = shown_scale;
}

void Column::append_from(const Column& other, size_t row) {
  CHECK(type_ == other.type_, "{} from {}", type_.to_string(), other.type_.to_string());
  switch (other.state(row)) {
    case CellState::kValue:
      if (row < other.shown_scales_.size()) {
        append_decimal(other.fixed<Int128>(row), other.shown_scales_[row]);
      } else {
        append_bytes(other.bytes(row));
      }
      break;
    case CellState::kText: append_text(other.text(row)); break;
    case CellState::kNull:
    case CellState::kAbsent: append_empty(other.state(row)); break;
  }
}

void Column::reserve(size_t rows) {
  states_.reserve(rows);
  if (width_ != 0) {
    fixed_.reserve(rows * width_);
  } else {
    ends_.reserve(rows);
  }
}

void Column::clear() {
  states_.clear();
  fixed_.clear();
  bytes_.clear();
  ends_.clear();
  texts_.clear();
  text_bytes_ = 0;
  shown_scales_.clear();
}

void Column::truncate(size_t rows) {
  if (rows >= states_.size()) return;
  states_.resize(rows);
  if (width_ != 0) {
    fixed_.resize(rows * width_);
  } else {
    ends_.resize(rows);
    bytes_.resize(rows == 0 ? 0 : ends_.back());
  }
  shown_scales_.resize(std::min(rows, shown_scales_.size()));
  while (!texts_.empty() && texts_.back().row >= rows) {
    text_bytes_ -= texts_.back().text.size() + sizeof(TextCell);
    texts_.pop_back();
  }
}

bool Column::same_cell(size_t row, const Column& other, size_t other_row) const {
  if (type_ != other.type_ || state(row) != other.state(other_row)) return false;
  if (state(row) == CellState::kValue) return bytes(row) == other.bytes(other_row);
  if (state(row) == CellState::kText) return text(row) == other.text(other_row);
  return true;
}

Column Column::from_parts(LogicalType type, std::vector<CellState> states, std::string fixed, std::string bytes,
                          std::vector<uint32_t> ends, std::vector<TextCell> texts, std::vector<uint16_t> shown_scales) {
  Column column(type);
  column.states_ = std::move(states);
  column.fixed_ = std::move(fixed);
  column.bytes_ = std::move(bytes);
  column.ends_ = std::move(ends);
  column.texts_ = std::move(texts);
  column.shown_scales_ = std::move(shown_scales);
  for (const TextCell& cell : column.texts_) column.text_bytes_ += cell.text.size() + sizeof(TextCell);
  return column;
}

}  // namespace tributary
