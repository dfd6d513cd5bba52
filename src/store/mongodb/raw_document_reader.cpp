#include <bit>

#include "codec/event_record.h"
#include "store/mongodb/bson_decimal.h"
#include "store/mongodb/bson_json.h"
#include "store/mongodb/raw_document.h"
#include "store/mongodb/raw_document_fields.h"

namespace tributary {
namespace {

std::string_view text_of(const bson_iter_t& field) {
  uint32_t length = 0;
  const char* text = bson_iter_utf8(&field, &length);
  return {text, length};
}

std::string_view binary_of(const bson_iter_t& field) {
  uint32_t length = 0;
  const uint8_t* bytes = nullptr;
  bson_subtype_t kind;
  bson_iter_binary(&field, &kind, &length, &bytes);
  return {reinterpret_cast<const char*>(bytes), length};
}

// Text or bytes; nullopt: neither.
std::optional<std::string_view> characters_of(const bson_iter_t& field) {
  if (BSON_ITER_HOLDS_UTF8(&field)) return text_of(field);
  if (BSON_ITER_HOLDS_BINARY(&field)) return binary_of(field);
  return std::nullopt;
}

std::optional<int64_t> integer_of(const bson_iter_t& field) {
  if (BSON_ITER_HOLDS_INT64(&field)) return bson_iter_int64(&field);
  if (BSON_ITER_HOLDS_INT32(&field)) return bson_iter_int32(&field);
  return std::nullopt;
}

// The fields of a document one after the other; mostly they are asked for in their order.
class Fields {
 public:
  Fields() = default;
  explicit Fields(const bson_iter_t& document) : document_(document), there_(true) { start(); }

  const bson_iter_t* find(std::string_view name) {
    if (!there_) return nullptr;
    if (!at_end_ && is(name)) {
      found_ = at_;
      at_end_ = !bson_iter_next(&at_);
      return &found_;
    }
    bson_iter_t inner;
    if (!bson_iter_recurse(&document_, &inner) ||
        !bson_iter_find_w_len(&inner, name.data(), static_cast<int>(name.size())))
      return nullptr;
    found_ = inner;
    return &found_;
  }

 private:
  void start() { at_end_ = !bson_iter_recurse(&document_, &at_) || !bson_iter_next(&at_); }
  bool is(std::string_view name) const {
    return name == std::string_view(bson_iter_key(&at_), bson_iter_key_len(&at_));
  }

  bson_iter_t document_{};
  bson_iter_t at_{};
  bson_iter_t found_{};
  bool there_ = false;
  bool at_end_ = true;
};

Fields fields_of(const bson_t& document, const std::string& name) {
  bson_iter_t at;
  if (!bson_iter_init_find(&at, &document, name.c_str()) || !BSON_ITER_HOLDS_DOCUMENT(&at)) return {};
  return Fields(at);
}

bool append_decimal(Column& column, const bson_iter_t& cell, const bson_iter_t* exact) {
  int scale = column.type().scale;
  std::optional<Int128> value;
  int shown = scale;
  if (BSON_ITER_HOLDS_DECIMAL128(&cell)) {
    bson_decimal128_t decimal;
    bson_iter_decimal128(&cell, &decimal);
    auto plain = from_decimal128(decimal);
    if (!plain) return false;
    shown = plain->scale;
    value = shown < scale ? times_power_of_ten(plain->coefficient, scale - shown)
                          : over_power_of_ten(plain->coefficient, shown - scale);
  } else if (BSON_ITER_HOLDS_UTF8(&cell)) {
    value = parse_decimal(text_of(cell), 38, column.type().scale);
  }
  auto told = exact == nullptr ? std::nullopt : integer_of(*exact);
  if (told) shown = static_cast<int>(*told);
  if (!value || shown < 0 || shown > UINT16_MAX) return false;
  column.append_decimal(*value, static_cast<uint16_t>(shown));
  return true;
}

bool append_unsigned(Column& column, const bson_iter_t& cell) {
  if (auto integer = integer_of(cell); integer && *integer >= 0) {
    column.append_fixed<uint64_t>(static_cast<uint64_t>(*integer));
    return true;
  }
  std::optional<Int128> value;
  if (BSON_ITER_HOLDS_DECIMAL128(&cell)) {
    bson_decimal128_t decimal;
    bson_iter_decimal128(&cell, &decimal);
    if (auto plain = from_decimal128(decimal); plain && plain->scale == 0) value = plain->coefficient;
  } else if (BSON_ITER_HOLDS_UTF8(&cell)) {
    value = parse_decimal(text_of(cell), 20, 0);
  }
  if (!value || *value < 0 || *value > UINT64_MAX) return false;
  column.append_fixed<uint64_t>(static_cast<uint64_t>(*value));
  return true;
}

bool append_json_cell(Column& column, const bson_iter_t& cell, const bson_iter_t* exact) {
  if (exact != nullptr && !BSON_ITER_HOLDS_BOOL(exact)) {
    auto text = characters_of(*exact);
    if (text) column.append_bytes(*text);
    return text.has_value();
  }
  if (exact != nullptr) {
    auto text = characters_of(cell);
    if (text) column.append_bytes(*text);
    return text.has_value();
  }
  std::string text;
  if (!append_json_text(text, cell)) return false;
  column.append_bytes(text);
  return true;
}

template <typename T>
bool append_integer(Column& column, const bson_iter_t& cell) {
  auto value = integer_of(cell);
  if (!value || *value < std::numeric_limits<T>::min() || *value > std::numeric_limits<T>::max()) return false;
  column.append_fixed<T>(static_cast<T>(*value));
  return true;
}

template <typename Float, typename Bits>
bool append_float(Column& column, const bson_iter_t& cell, const bson_iter_t* exact) {
  if (exact != nullptr) {
    auto bits = integer_of(*exact);
    if (bits) column.append_fixed<Bits>(static_cast<Bits>(*bits));
    return bits.has_value();
  }
  if (!BSON_ITER_HOLDS_DOUBLE(&cell)) return false;
  column.append_fixed<Float>(static_cast<Float>(bson_iter_double(&cell)));
  return true;
}

template <typename T>
bool append_date(Column& column, const bson_iter_t& cell, const bson_iter_t* exact, int64_t milliseconds_per,
                 int64_t units_per_millisecond) {
  std::optional<int64_t> value = exact == nullptr ? std::nullopt : integer_of(*exact);
  if (!value && BSON_ITER_HOLDS_DATE_TIME(&cell))
    value = bson_iter_date_time(&cell) / milliseconds_per * units_per_millisecond;
  if (!value || *value < std::numeric_limits<T>::min() || *value > std::numeric_limits<T>::max()) return false;
  column.append_fixed<T>(static_cast<T>(*value));
  return true;
}

bool append_value(Column& column, const bson_iter_t& cell, const bson_iter_t* exact) {
  switch (column.type().id) {
    case TypeId::kBool:
      if (!BSON_ITER_HOLDS_BOOL(&cell)) return false;
      column.append_fixed<uint8_t>(bson_iter_bool(&cell) ? 1 : 0);
      return true;
    case TypeId::kInt16: return append_integer<int16_t>(column, cell);
    case TypeId::kInt32: return append_integer<int32_t>(column, cell);
    case TypeId::kInt64: return append_integer<int64_t>(column, cell);
    case TypeId::kUInt64: return append_unsigned(column, cell);
    case TypeId::kFloat32: return append_float<float, int32_t>(column, cell, exact);
    case TypeId::kFloat64: return append_float<double, int64_t>(column, cell, exact);
    case TypeId::kDecimal: return append_decimal(column, cell, exact);
    case TypeId::kDate: return append_date<int32_t>(column, cell, exact, milliseconds_of_day, 1);
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: return append_date<int64_t>(column, cell, exact, 1, 1000);
    case TypeId::kUuid:
      if (!BSON_ITER_HOLDS_BINARY(&cell) || binary_of(cell).size() != column.width()) return false;
      column.append_bytes(binary_of(cell));
      return true;
    case TypeId::kText:
    case TypeId::kBytes: {
      auto bytes = characters_of(cell);
      if (bytes) column.append_bytes(*bytes);
      return bytes.has_value();
    }
    case TypeId::kJson: return append_json_cell(column, cell, exact);
    case TypeId::kBigDecimal: {
      if (!BSON_ITER_HOLDS_DECIMAL128(&cell)) {
        auto bytes = characters_of(cell);
        if (bytes) column.append_bytes(*bytes);
        return bytes.has_value();
      }
      bson_decimal128_t decimal;
      bson_iter_decimal128(&cell, &decimal);
      auto plain = from_decimal128(decimal);
      if (plain) column.append_bytes(plain_text(*plain));
      return plain.has_value();
    }
  }
  return false;
}

}  // namespace

Result<RawDocumentHead> read_head(const bson_t& document) {
  RawDocumentHead head;
  bson_iter_t at;
  auto find = [&](const char* name) { return bson_iter_init_find(&at, &document, name); };
  bool good = find("_id") && BSON_ITER_HOLDS_UTF8(&at);
  if (good) head.id = text_of(at);
  good = good && find("client") && BSON_ITER_HOLDS_UTF8(&at);
  if (good) head.client = ClientId(std::string(text_of(at)));
  good = good && find("table") && BSON_ITER_HOLDS_UTF8(&at);
  if (good) head.table = text_of(at);
  good = good && find("schema") && integer_of(at).has_value();
  if (good) head.schema_version = static_cast<uint32_t>(*integer_of(at));
  if (!good) return Error{ErrorCode::kCorrupt, fmt::format("document {} is none of the raw store's", head.id)};
  head.range = find("low");
  head.has_before = find("before");
  if (find("pieces") && integer_of(at)) head.pieces = static_cast<uint32_t>(*integer_of(at));
  return head;
}

RawDocumentReader::RawDocumentReader(const SchemaPtr& schema)
    : schema_(schema), names_(document_field_names(*schema)) {}

Status RawDocumentReader::append(EventBatch& batch, const bson_t& document) {
  bson_iter_t at;
  auto corrupt = [&](std::string_view field) {
    std::string id = bson_iter_init_find(&at, &document, "_id") ? std::string(text_of(at)) : std::string();
    return Error{ErrorCode::kCorrupt, fmt::format("document {}: {} is not as it was written", id, field)};
  };
  auto find = [&](const char* name) { return bson_iter_init_find(&at, &document, name); };
  if (!find("kind") || !BSON_ITER_HOLDS_UTF8(&at) || text_of(at).size() != 1) return corrupt("kind");
  char kind = text_of(at).front();
  auto position =
      find("position") && BSON_ITER_HOLDS_UTF8(&at) ? position_from_hex(text_of(at)) : std::optional<Position>();
  if (!position) return corrupt("position");
  auto micros = find("micros") ? integer_of(at) : std::nullopt;
  if (!micros) return corrupt("micros");
  auto transaction = find("transaction") ? integer_of(at) : std::nullopt;
  if (!transaction) return corrupt("transaction");
  if (kind == static_cast<char>(RangeKind::kTruncate) || kind == static_cast<char>(RangeKind::kAbsence)) {
    RangeFact range{.kind = static_cast<RangeKind>(kind), .position = *position, .low = {}, .high = {}};
    range.commit_micros = *micros;
    range.transaction = static_cast<uint64_t>(*transaction);
    if (!find("low") || !BSON_ITER_HOLDS_BINARY(&at)) return corrupt("low");
    range.low = binary_of(at);
    if (!find("high") || !BSON_ITER_HOLDS_BINARY(&at)) return corrupt("high");
    range.high = binary_of(at);
    batch.ranges.push_back(std::move(range));
    return {};
  }
  if (std::string_view("cudr").find(kind) == std::string_view::npos) return corrupt("kind");
  if (find("moved")) {
    if (!BSON_ITER_HOLDS_BINARY(&at)) return corrupt("moved");
    batch.moved.push_back({static_cast<uint32_t>(batch.rows()), std::string(binary_of(at))});
  }
  if (Status row = append_image(batch.columns, document, "row"); !row.ok()) return corrupt(row.error().message);
  if (!batch.before.empty()) {
    if (Status before = append_image(batch.before, document, "before"); !before.ok())
      return corrupt(before.error().message);
  }
  batch.ops.push_back(static_cast<Op>(kind));
  batch.positions.push_back(*position);
  batch.commit_micros.push_back(*micros);
  batch.transactions.push_back(static_cast<uint64_t>(*transaction));
  return {};
}

Status RawDocumentReader::append_image(std::vector<Column>& columns, const bson_t& document, const char* name) {
  Fields image = fields_of(document, name);
  Fields texts = fields_of(document, std::string(name) + "_text");
  Fields exacts = fields_of(document, std::string(name) + "_exact");
  for (size_t i = 0; i < columns.size(); ++i) {
    Column& column = columns[i];
    const bson_iter_t* cell = image.find(names_[i]);
    const bson_iter_t* exact = exacts.find(names_[i]);
    if (cell == nullptr) {
      column.append_absent();
    } else if (texts.find(names_[i]) != nullptr) {
      auto text = characters_of(*cell);
      if (!text) return Error{ErrorCode::kCorrupt, fmt::format("{}.{}", name, names_[i])};
      column.append_text(*text);
    } else if (BSON_ITER_HOLDS_NULL(cell) && exact == nullptr) {
      column.append_null();
    } else if (!append_value(column, *cell, exact)) {
      return Error{ErrorCode::kCorrupt, fmt::format("{}.{}", name, names_[i])};
    }
  }
  return {};
}

}  // namespace tributary
