// An event as a document of MongoDB, and the very same event back (docs/formats/raw-document.md).
//
//   RawDocumentWriter writer(batch, {.decimal128 = true});
//   bson_t document = BSON_INITIALIZER;
//   writer.write_row(&document, row);
//
//   ASSIGN_OR_RETURN(RawDocumentHead head, read_head(document));      // whose is it, under which schema?
//   RawDocumentReader reader(schema);
//   RETURN_IF_ERROR(reader.append(batch, document));
//
// Pure. What BSON cannot say of a value stands in `exact` beside it, so that nothing is lost either way.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/event_batch.h"
#include "store/mongodb/bson.h"

namespace tributary {

struct RawDocumentOptions {
  bool decimal128 = true;  // false: the server has no such type, decimals are text
};

// The names that columns have in documents, in the schema's order: their own, but that `$` and `.` are U+FF04 and U+FF0E, and
// that "_" is put behind one that is empty or there already.
std::vector<std::string> document_field_names(const TableSchema& schema);

// What a row key is in `key` and `_id`: its bytes in hexadecimal, of long ones "#" and their 128-bit hash.
std::string document_key(std::string_view row_key);

// The `_id`s of a client begin with this and a position in hexadecimal, and so order by it.
std::string document_id_prefix(const ClientId& client);
// Greater than the `_id`s of all events at `position`, less than those behind it.
std::string document_id_behind(const ClientId& client, const Position& position);
// Greater than all `_id`s of the client.
std::string document_id_end(const ClientId& client);

// `batch` outlives it. Not thread-safe.
class RawDocumentWriter {
 public:
  RawDocumentWriter(const EventBatch& batch, RawDocumentOptions options);
  ~RawDocumentWriter();

  // Append to an empty document.
  void write_row(bson_t* document, size_t row);
  void write_range(bson_t* document, size_t range);
  // Only what is beside the values: `_id`, client, position, kind, key, time, table, schema. index: a row, or rows() and a range.
  void write_head(bson_t* document, size_t index);

 private:
  void write_row_head(bson_t* document, size_t row);
  void write_range_head(bson_t* document, size_t range);
  void write_image(bson_t* document, const char* name, const std::vector<Column>& columns, size_t row);
  void write_cell(bson_t* image, const std::string& name, const Column& column, size_t row,
                  std::string_view source_type);
  void write_value(bson_t* image, const std::string& name, const Column& column, size_t row);
  void write_decimal(bson_t* image, const std::string& name, const Column& column, size_t row);
  void write_json(bson_t* image, const std::string& name, std::string_view json);

  const EventBatch& batch_;
  RawDocumentOptions options_;
  std::vector<std::string> names_;
  std::string key_;
  Bson text_;  // of one image: columns whose cell is the source's text
  Bson exact_;  // likewise: what cells cannot say
  Bson scratch_;
};

struct RawDocumentHead {
  std::string id;
  ClientId client;
  std::string table;
  uint32_t schema_version = 0;
  bool has_before = false;
  bool range = false;
  uint32_t pieces = 0;  // of the event as a block, instead of its values; 0: it is here

  // Whether both may be in one batch.
  bool same_batch(const RawDocumentHead& other) const {
    return client == other.client && table == other.table && schema_version == other.schema_version;
  }
};
Result<RawDocumentHead> read_head(const bson_t& document);

// Not thread-safe.
class RawDocumentReader {
 public:
  explicit RawDocumentReader(const SchemaPtr& schema);

  // Appends the event to a batch of the schema. A batch has rows with an image before, or without: see head.has_before.
  // kCorrupt: it is none that was written here; the batch is of no use then.
  Status append(EventBatch& batch, const bson_t& document);

 private:
  Status append_image(std::vector<Column>& columns, const bson_t& document, const char* name);

  SchemaPtr schema_;
  std::vector<std::string> names_;
};

}  // namespace tributary
