// RowEntry: one row key in one round: what was stored of it, and what the round's facts make of that.
//
// Most facts are whole (no value is left out, the key did not change) and newer than all that is known of their key: then
// the row is as the fact says, whatever it was. Such a fact is remembered by its place in its batch, and goes from there to
// the stored bytes and to the columns that are given out; nothing is decoded. Everything else is merged as a RowState. The
// outcome is the same, byte for byte (row_entry_test.cpp).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "process/row_state.h"

namespace tributary {

class RowEntry {
 public:
  // Gives the schema of the table that a state was written under.
  using Schemas = std::function<Result<SchemaPtr>(uint32_t version)>;

  // `stored`: empty where there is nothing. `floor`: of the ranges that the key is in. kCorrupt where it does not decode.
  static Result<RowEntry> load(std::optional<std::string> stored, const Position& floor);

  // Merges row `row` of `batch`, which outlives the entry. As merge_fact().
  Status merge(const EventBatch& batch, size_t row, const Schemas& schemas, std::vector<MovedValues>& moved);
  // As merge_moved().
  Status merge(const MovedValues& values, const Schemas& schemas, std::vector<MovedValues>& moved);

  // Before what follows is asked: a state that only a range's floor changed is decoded.
  Status settle(const Schemas& schemas);

  bool live() const;
  bool complete() const;  // of a live row
  Position position() const;  // zero: not live
  Position floor() const;
  uint32_t fill() const;

  // What to store instead of stored(); nullopt where it is the same.
  std::optional<std::string> changed() const;
  const std::string& stored() const { return stored_; }
  // Of what was stored. Without anything: not live, and with zero positions.
  const StoredRow& was() const { return was_; }

  // Where the cells of a live row are.
  enum class Form : uint8_t {
    kStored,  // as stored()
    kFact,  // fact_batch(), fact_row()
    kGone,  // there are none: all that is known is a floor
    kState,  // state()
  };
  Form form() const { return form_; }
  const EventBatch& fact_batch() const { return *batch_; }
  size_t fact_row() const { return row_; }
  const RowState& state() const { return *state_; }

 private:
  bool replaces_all(const EventBatch& batch, size_t row) const;
  Status decode(const Schemas& schemas);
  std::string encode() const;

  std::string stored_;
  bool anything_stored_ = false;
  StoredRow was_;
  Form form_ = Form::kGone;
  Position floor_;  // kFact, kGone; of the others: of ranges
  const EventBatch* batch_ = nullptr;
  size_t row_ = 0;
  std::optional<RowState> state_;
};

}  // namespace tributary
