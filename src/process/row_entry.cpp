#include "process/row_entry.h"

#include <algorithm>

namespace tributary {

Result<RowEntry> RowEntry::load(std::optional<std::string> stored, const Position& floor) {
  RowEntry entry;
  entry.floor_ = floor;
  if (!stored) return entry;
  ASSIGN_OR_RETURN(entry.was_, StoredRow::read(*stored));
  entry.stored_ = std::move(*stored);
  entry.anything_stored_ = true;
  entry.form_ = Form::kStored;
  return entry;
}

Position RowEntry::floor() const {
  switch (form_) {
    case Form::kStored: return std::max(was_.floor, floor_);
    case Form::kState: return state_->floor;
    default: return floor_;
  }
}

Position RowEntry::position() const {
  switch (form_) {
    case Form::kStored: return was_.position > floor_ ? was_.position : Position{};
    case Form::kFact: return batch_->positions[row_];
    case Form::kGone: return {};
    case Form::kState: return state_->position;
  }
  return {};
}

uint32_t RowEntry::fill() const {
  if (form_ == Form::kStored) return was_.fill;
  return form_ == Form::kState ? state_->fill : 0;
}

bool RowEntry::live() const { return position() != Position{}; }

bool RowEntry::complete() const {
  if (form_ == Form::kStored) return was_.whole;
  return form_ != Form::kState || state_->complete();
}

// Whether nothing that is known of the key matters beside this fact.
bool RowEntry::replaces_all(const EventBatch& batch, size_t row) const {
  const Position& position = batch.positions[row];
  if (form_ == Form::kState || (form_ == Form::kStored && !was_.plain)) return false;
  if (position <= floor() || position <= this->position() || batch.moved_key(row) != nullptr) return false;
  if (batch.ops[row] == Op::kDelete) return true;
  uint32_t version = form_ == Form::kFact ? batch_->schema->version : form_ == Form::kStored ? was_.schema_version : 0;
  return batch.schema->version >= version &&
         std::none_of(batch.columns.begin(), batch.columns.end(),
                      [row](const Column& column) { return column.state(row) == CellState::kAbsent; });
}

Status RowEntry::merge(const EventBatch& batch, size_t row, const Schemas& schemas, std::vector<MovedValues>& moved) {
  if (!replaces_all(batch, row)) {
    RETURN_IF_ERROR(decode(schemas));
    merge_fact(*state_, batch, row, moved);
    return {};
  }
  const Position& position = batch.positions[row];
  floor_ = floor();
  if (batch.ops[row] == Op::kDelete) {
    form_ = Form::kGone;
    floor_ = position;
    return {};
  }
  if (batch.ops[row] == Op::kCreate) floor_ = std::max(floor_, predecessor(position));
  form_ = Form::kFact;
  batch_ = &batch;
  row_ = row;
  return {};
}

Status RowEntry::merge(const MovedValues& values, const Schemas& schemas, std::vector<MovedValues>& moved) {
  RETURN_IF_ERROR(decode(schemas));
  merge_moved(*state_, values, moved);
  return {};
}

Status RowEntry::decode(const Schemas& schemas) {
  switch (form_) {
    case Form::kState: return {};
    case Form::kStored: {
      ASSIGN_OR_RETURN(state_, RowState::decode(stored_, schemas));
      raise_floor(*state_, floor_);
      break;
    }
    case Form::kGone:
    case Form::kFact: {
      state_.emplace().floor = floor_;
      std::vector<MovedValues> none;
      if (form_ == Form::kFact) merge_fact(*state_, *batch_, row_, none);
    }
  }
  form_ = Form::kState;
  return {};
}

Status RowEntry::settle(const Schemas& schemas) {
  return form_ == Form::kStored && floor_ > was_.floor ? decode(schemas) : Status();
}

std::optional<std::string> RowEntry::changed() const {
  bool nothing = !anything_stored_ && form_ == Form::kGone && floor_ == Position{};
  if (form_ == Form::kStored || nothing) return std::nullopt;
  std::string bytes = encode();
  if (anything_stored_ && bytes == stored_) return std::nullopt;
  return bytes;
}

std::string RowEntry::encode() const {
  switch (form_) {
    case Form::kFact: return encode_whole_row(floor_, *batch_, row_);
    case Form::kState: return state_->encode();
    default:
      return RowState{.floor = floor_, .position = {}, .fill = 0, .schema = {}, .cells = {}, .moves = {}}.encode();
  }
}

}  // namespace tributary
