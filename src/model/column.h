// Column: many values of one type, contiguous, each cell with a state.
//
//   Column amounts(LogicalType{TypeId::kDecimal, 12, 2});
//   amounts.append_fixed<Int128>(12345);           // 123.45
//   amounts.append_null();
//   amounts.append_absent();                       // the source did not send it (unchanged TOAST)
//   amounts.append_text("NaN");                    // the source has it, and the type cannot hold it
//
// Not thread-safe. A column's text and bytes together stay below 4 GiB (CHECKed): batches are cut long before.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "model/type.h"

namespace tributary {

enum class CellState : uint8_t {
  kValue = 0,
  kNull = 1,
  kAbsent = 2,  // unknown here: some older fact has the value
  kText = 3,    // known, and held as the source's text, since the column's type has no such value
};

class Column {
 public:
  explicit Column(LogicalType type) : type_(type), width_(type.fixed_width()) {}

  const LogicalType& type() const { return type_; }
  size_t width() const { return width_; }  // bytes of a value; 0: variable
  size_t rows() const { return states_.size(); }
  CellState state(size_t row) const { return states_[row]; }
  bool is_value(size_t row) const { return states_[row] == CellState::kValue; }

  // The value at `row`, which is_value(); T has the type's width.
  template <typename T>
  T fixed(size_t row) const {
    T value;
    std::memcpy(&value, fixed_.data() + row * sizeof(T), sizeof(T));
    return value;
  }
  // Text, bytes, JSON or big decimal at `row`, which is_value(). For kUuid: its 16 bytes. Valid until the next append.
  std::string_view bytes(size_t row) const {
    if (width_ != 0) return {fixed_.data() + row * width_, width_};
    uint32_t begin = row == 0 ? 0 : ends_[row - 1];
    return {bytes_.data() + begin, ends_[row] - begin};
  }
  // The source's text of a cell in state kText.
  std::string_view text(size_t row) const;

  template <typename T>
  void append_fixed(T value) {
    states_.push_back(CellState::kValue);
    fixed_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  // For variable types and kUuid (16 bytes).
  void append_bytes(std::string_view value) {
    states_.push_back(CellState::kValue);
    if (width_ != 0) {
      CHECK(value.size() == width_);
      fixed_.append(value);
    } else {
      bytes_.append(value);
      push_end();
    }
  }
  // A decimal that the source writes with `shown_scale` digits behind the point, which numeric without a declared scale
  // keeps: "2" and "2.0" are one value, and events show either as it was.
  void append_decimal(Int128 value, uint16_t shown_scale);
  // Digits behind the point that the source writes; for decimal columns. The type's scale unless told otherwise.
  uint16_t shown_scale(size_t row) const { return row < shown_scales_.size() ? shown_scales_[row] : type_.scale; }

  void append_null() { append_empty(CellState::kNull); }
  void append_absent() { append_empty(CellState::kAbsent); }
  void append_text(std::string_view text);

  // Appends the cell at `row` of `other`, which has the same type.
  void append_from(const Column& other, size_t row);

  void reserve(size_t rows);
  void clear();
  // Drops the rows after the first `rows`: undoes a half-decoded row.
  void truncate(size_t rows);

  // Memory held by the values, for bounding batches.
  size_t value_bytes() const {
    return states_.size() + fixed_.size() + bytes_.size() + ends_.size() * 4 + text_bytes_ + shown_scales_.size() * 2;
  }

  // Whether the cells are the same: state and value, bit for bit. Not how many zeros a decimal shows.
  bool same_cell(size_t row, const Column& other, size_t other_row) const;

  // Raw parts, for codecs and engines that copy whole columns. ends() has one entry a row for variable types; fixed
  // has width bytes a row, zeros where the cell is no value.
  struct TextCell {
    uint32_t row;
    std::string text;
  };
  const std::vector<CellState>& states() const { return states_; }
  const std::string& fixed_data() const { return fixed_; }
  const std::string& variable_data() const { return bytes_; }
  const std::vector<uint32_t>& ends() const { return ends_; }
  const std::vector<TextCell>& texts() const { return texts_; }
  // Of the first rows; empty where every decimal shows its type's scale.
  const std::vector<uint16_t>& shown_scales() const { return shown_scales_; }
  // Takes over the parts of a decoded column. The caller has checked that they fit together.
  static Column from_parts(LogicalType type, std::vector<CellState> states, std::string fixed, std::string bytes,
                           std::vector<uint32_t> ends, std::vector<TextCell> texts,
                           std::vector<uint16_t> shown_scales = {});

 private:
  void append_empty(CellState state) {
    states_.push_back(state);
    if (width_ != 0) {
      fixed_.append(width_, '\0');
    } else {
      push_end();
    }
  }
  void push_end() {
    CHECK(bytes_.size() <= UINT32_MAX, "a column batch grew past 4 GiB");
    ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  }

  LogicalType type_;
  size_t width_;
  std::vector<CellState> states_;
  std::string fixed_;
  std::string bytes_;
  std::vector<uint32_t> ends_;
  std::vector<TextCell> texts_;  // by row, ascending
  size_t text_bytes_ = 0;
  std::vector<uint16_t> shown_scales_;  // as many as rows, or fewer: the others show the type's scale
};

}  // namespace tributary
