#include <algorithm>
#include <cmath>

#include "base/hex.h"
#include "base/utf8.h"
#include "codec/event_record.h"
#include "store/mongodb/bson_build.h"
#include "store/mongodb/bson_decimal.h"
#include "store/mongodb/bson_json.h"
#include "store/mongodb/raw_document.h"
#include "store/mongodb/raw_document_fields.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tributary {
namespace {

constexpr size_t key_bytes_max = 200;  // longer keys are hashed

int size_of(std::string_view text) { return static_cast<int>(text.size()); }

void put_binary(bson_t* out, std::string_view name, std::string_view value, bson_subtype_t kind = BSON_SUBTYPE_BINARY) {
  bson_append_binary(out, name.data(), size_of(name), kind, reinterpret_cast<const uint8_t*>(value.data()),
                     static_cast<uint32_t>(value.size()));
}

// Text as text where BSON has such, and else its bytes.
void put_characters(bson_t* out, std::string_view name, std::string_view value) {
  if (is_utf8(value) && value.find('\0') == std::string_view::npos) {
    put(out, name, value);
  } else {
    put_binary(out, name, value);
  }
}

void put_time(bson_t* out, int64_t micros) {
  int64_t milliseconds = floor_to_milliseconds(micros);
  milliseconds = std::clamp(milliseconds, date_milliseconds_min, date_milliseconds_max);
  bson_append_date_time(out, "time", -1, milliseconds);
  bson_append_int64(out, "micros", -1, micros);
}

}  // namespace

std::vector<std::string> document_field_names(const TableSchema& schema) {
  std::vector<std::string> names;
  for (const ColumnSchema& column : schema.columns) {
    std::string name;
    for (char c : column.name) {
      if (c == '$') {
        name += "\uFF04";
      } else if (c == '.') {
        name += "\uFF0E";
      } else {
        name.push_back(c);
      }
    }
    while (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) name.push_back('_');
    names.push_back(std::move(name));
  }
  return names;
}

std::string document_key(std::string_view row_key) {
  if (row_key.size() <= key_bytes_max) return to_hex(row_key);
  XXH128_canonical_t hash;
  XXH128_canonicalFromHash(&hash, XXH3_128bits(row_key.data(), row_key.size()));
  return "#" + to_hex({reinterpret_cast<const char*>(hash.digest), sizeof hash.digest});
}

std::string document_id_prefix(const ClientId& client) { return client.value + ":"; }
std::string document_id_behind(const ClientId& client, const Position& position) {
  return document_id_prefix(client) + position_to_hex(position) + ";";
}
std::string document_id_end(const ClientId& client) { return client.value + ";"; }

RawDocumentWriter::RawDocumentWriter(const EventBatch& batch, RawDocumentOptions options)
    : batch_(batch), options_(options), names_(document_field_names(*batch.schema)) {}
RawDocumentWriter::~RawDocumentWriter() = default;

void RawDocumentWriter::write_row_head(bson_t* document, size_t row) {
  key_.clear();
  batch_.append_row_key(key_, row);
  std::string key = document_key(key_);
  std::string position = position_to_hex(batch_.positions[row]);
  char kind = static_cast<char>(batch_.ops[row]);
  put(document, "_id", fmt::format("{}:{}:{}:{}", batch_.client.value, position, kind, key));
  put(document, "client", batch_.client.value);
  put(document, "position", position);
  put(document, "kind", std::string_view(&kind, 1));
  put(document, "key", key);
  put_time(document, batch_.commit_micros[row]);
  put(document, "transaction", static_cast<int64_t>(batch_.transactions[row]));
  put(document, "table", batch_.schema->table);
  put(document, "schema", int64_t{batch_.schema->version});
}

void RawDocumentWriter::write_range_head(bson_t* document, size_t index) {
  const RangeFact& range = batch_.ranges[index];
  std::string position = position_to_hex(range.position);
  char kind = static_cast<char>(range.kind);
  put(document, "_id",
      fmt::format("{}:{}:{}:{}:{}", batch_.client.value, position, kind, document_key(range.low),
                  document_key(range.high)));
  put(document, "client", batch_.client.value);
  put(document, "position", position);
  put(document, "kind", std::string_view(&kind, 1));
  put(document, "key", "");
  put_time(document, range.commit_micros);
  put(document, "transaction", static_cast<int64_t>(range.transaction));
  put(document, "table", batch_.schema->table);
  put(document, "schema", int64_t{batch_.schema->version});
}

void RawDocumentWriter::write_head(bson_t* document, size_t index) {
  if (index < batch_.rows()) {
    write_row_head(document, index);
  } else {
    write_range_head(document, index - batch_.rows());
  }
}

void RawDocumentWriter::write_range(bson_t* document, size_t range) {
  write_range_head(document, range);
  put_binary(document, "low", batch_.ranges[range].low);
  put_binary(document, "high", batch_.ranges[range].high);
}

void RawDocumentWriter::write_row(bson_t* document, size_t row) {
  write_row_head(document, row);
  if (const std::string* moved = batch_.moved_key(row)) put_binary(document, "moved", *moved);
  write_image(document, "row", batch_.columns, row);
  if (!batch_.before.empty()) write_image(document, "before", batch_.before, row);
}

void RawDocumentWriter::write_image(bson_t* document, const char* name, const std::vector<Column>& columns,
                                    size_t row) {
  bson_reinit(text_.get());
  bson_reinit(exact_.get());
  bson_t image;
  bson_append_document_begin(document, name, -1, &image);
  for (size_t i = 0; i < columns.size(); ++i)
    write_cell(&image, names_[i], columns[i], row, batch_.schema->columns[i].source_type);
  bson_append_document_end(document, &image);
  if (!bson_empty(text_.get())) bson_append_document(document, (std::string(name) + "_text").c_str(), -1, text_.get());
  if (!bson_empty(exact_.get()))
    bson_append_document(document, (std::string(name) + "_exact").c_str(), -1, exact_.get());
}

void RawDocumentWriter::write_cell(bson_t* image, const std::string& name, const Column& column, size_t row,
                                   std::string_view source_type) {
  switch (column.state(row)) {
    case CellState::kAbsent: return;
    case CellState::kNull: bson_append_null(image, name.data(), size_of(name)); return;
    case CellState::kText:
      put_characters(image, name, column.text(row));
      put(text_.get(), name, source_type);
      return;
    case CellState::kValue: write_value(image, name, column, row); return;
  }
}

void RawDocumentWriter::write_value(bson_t* image, const std::string& name, const Column& column, size_t row) {
  int length = size_of(name);
  auto write_date = [&](int64_t milliseconds, int64_t exact, bool whole, const std::string& text) {
    bool held = milliseconds >= date_milliseconds_min && milliseconds <= date_milliseconds_max;
    if (held) {
      bson_append_date_time(image, name.data(), length, milliseconds);
    } else {
      put(image, name, text);
    }
    if (!held || !whole) put(exact_.get(), name, exact);
  };
  switch (column.type().id) {
    case TypeId::kBool: bson_append_bool(image, name.data(), length, column.fixed<uint8_t>(row) != 0); return;
    case TypeId::kInt16: bson_append_int32(image, name.data(), length, column.fixed<int16_t>(row)); return;
    case TypeId::kInt32: bson_append_int32(image, name.data(), length, column.fixed<int32_t>(row)); return;
    case TypeId::kInt64: put(image, name, column.fixed<int64_t>(row)); return;
    case TypeId::kUInt64: {
      auto value = column.fixed<uint64_t>(row);
      if (value <= INT64_MAX) {
        put(image, name, static_cast<int64_t>(value));
      } else if (options_.decimal128) {
        auto decimal = to_decimal128({Int128{value}, 0});
        bson_append_decimal128(image, name.data(), length, &*decimal);
      } else {
        put(image, name, std::to_string(value));
        put(exact_.get(), name, column.type().to_string());
      }
      return;
    }
    case TypeId::kFloat32: {
      auto value = column.fixed<float>(row);
      bson_append_double(image, name.data(), length, std::isnan(value) ? plain_nan : double{value});
      if (std::isnan(value)) put(exact_.get(), name, int64_t{column.fixed<int32_t>(row)});
      return;
    }
    case TypeId::kFloat64: {
      auto value = column.fixed<double>(row);
      bson_append_double(image, name.data(), length, std::isnan(value) ? plain_nan : value);
      if (std::isnan(value)) put(exact_.get(), name, column.fixed<int64_t>(row));
      return;
    }
    case TypeId::kDecimal: write_decimal(image, name, column, row); return;
    case TypeId::kDate: {
      auto days = column.fixed<int32_t>(row);
      write_date(int64_t{days} * milliseconds_of_day, days, true, date_to_string(days));
      return;
    }
    case TypeId::kTimestamp:
    case TypeId::kTimestampTz: {
      auto micros = column.fixed<int64_t>(row);
      write_date(floor_to_milliseconds(micros), micros, micros % 1000 == 0, timestamp_to_string(micros));
      return;
    }
    case TypeId::kUuid: put_binary(image, name, column.bytes(row), BSON_SUBTYPE_UUID); return;
    case TypeId::kText: put_characters(image, name, column.bytes(row)); return;
    case TypeId::kBytes: put_binary(image, name, column.bytes(row)); return;
    case TypeId::kJson: write_json(image, name, column.bytes(row)); return;
    case TypeId::kBigDecimal: {
      auto plain = options_.decimal128 ? parse_plain(column.bytes(row)) : std::nullopt;
      if (auto decimal = plain ? to_decimal128(*plain) : std::nullopt) {
        bson_append_decimal128(image, name.data(), length, &*decimal);
      } else {
        put_characters(image, name, column.bytes(row));
        put(exact_.get(), name, column.type().to_string());
      }
      return;
    }
  }
}

void RawDocumentWriter::write_decimal(bson_t* image, const std::string& name, const Column& column, size_t row) {
  auto value = column.fixed<Int128>(row);
  int scale = column.type().scale;
  int shown = column.shown_scale(row);
  if (options_.decimal128) {
    auto coefficient = shown < scale ? over_power_of_ten(value, scale - shown)
                                     : times_power_of_ten(value, std::min(shown - scale, 40));
    if (value == 0) coefficient = Int128{0};
    auto decimal = coefficient ? to_decimal128({*coefficient, shown}) : std::nullopt;
    if (decimal) {
      bson_append_decimal128(image, name.data(), size_of(name), &*decimal);
      return;
    }
    decimal = to_decimal128({value, scale});
    if (decimal) {
      bson_append_decimal128(image, name.data(), size_of(name), &*decimal);
      put(exact_.get(), name, int64_t{shown});
      return;
    }
  }
  put(image, name, decimal_to_string(value, static_cast<uint8_t>(scale)));
  if (shown == scale) {
    put(exact_.get(), name, column.type().to_string());
  } else {
    put(exact_.get(), name, int64_t{shown});
  }
}

void RawDocumentWriter::write_json(bson_t* image, const std::string& name, std::string_view json) {
  bson_reinit(scratch_.get());
  bson_iter_t nested;
  if (!append_json(scratch_.get(), name, json, options_.decimal128) || !bson_iter_init(&nested, scratch_.get()) ||
      !bson_iter_next(&nested)) {
    put_characters(image, name, json);
    bson_append_bool(exact_.get(), name.data(), size_of(name), true);
    return;
  }
  bson_append_iter(image, name.data(), size_of(name), &nested);
  std::string text;
  bool same = append_json_text(text, nested) && text == json;
  if (!same || bson_iter_type(&nested) == BSON_TYPE_NULL) put_characters(exact_.get(), name, json);
}

}  // namespace tributary
