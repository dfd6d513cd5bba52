// The part of MongoRaw that writes: what has to be there first, inserting, and what does not fit.
#include "codec/block.h"
#include "model/gather.h"
#include "store/mongodb/bson_build.h"
#include "store/mongodb/mongo_raw.h"
#include "store/mongodb/mongo_raw_names.h"

namespace tributary {
namespace {

constexpr size_t piece_bytes = 8 << 20;

// One event alone, as a block of the log.
std::string block_of(const EventBatch& batch, size_t index) {
  EventBatch alone(batch.client, batch.domain, batch.schema);
  if (index < batch.rows()) {
    auto row = static_cast<uint32_t>(index);
    alone = gather(batch, std::span(&row, 1));
  } else {
    alone.ranges.push_back(batch.ranges[index - batch.rows()]);
  }
  return encode_block(alone, BlockCompression::kLz4);
}

std::string id_of(const bson_t& document) {
  bson_iter_t at;
  if (!bson_iter_init_find(&at, &document, "_id") || !BSON_ITER_HOLDS_UTF8(&at)) return "";
  return bson_iter_utf8(&at, nullptr);
}

// Of one insert, what the server says of single documents.
struct Refusal {
  size_t index = 0;
  uint32_t code = 0;
  std::string message;
  bool of_id = false;  // a duplicate of `_id`, where the server says which index it is of
};

std::vector<Refusal> refusals_of(const bson_t& reply) {
  std::vector<Refusal> refusals;
  bson_iter_t at;
  bson_iter_t error;
  if (!bson_iter_init_find(&at, &reply, "writeErrors") || !bson_iter_recurse(&at, &error)) return refusals;
  while (bson_iter_next(&error)) {
    Refusal refusal;
    bson_iter_t field;
    if (!bson_iter_recurse(&error, &field)) continue;
    while (bson_iter_next(&field)) {
      std::string_view name(bson_iter_key(&field));
      if (name == "index") refusal.index = static_cast<size_t>(bson_iter_as_int64(&field));
      if (name == "code") refusal.code = static_cast<uint32_t>(bson_iter_as_int64(&field));
      if (name == "errmsg" && BSON_ITER_HOLDS_UTF8(&field)) refusal.message = bson_iter_utf8(&field, nullptr);
      bson_iter_t pattern;
      if (name == "keyPattern" && bson_iter_recurse(&field, &pattern) && bson_iter_next(&pattern))
        refusal.of_id = std::string_view(bson_iter_key(&pattern)) == "_id";
    }
    refusal.of_id = refusal.of_id || refusal.message.find(" index: _id_ ") != std::string::npos;
    refusals.push_back(std::move(refusal));
  }
  return refusals;
}

// Of the row's text, bytes and JSON: a document is larger than that.
size_t variable_bytes(const std::vector<Column>& columns, size_t row) {
  size_t bytes = 0;
  for (const Column& column : columns) {
    if (column.is_value(row) && column.type().is_variable()) bytes += column.bytes(row).size();
    if (column.state(row) == CellState::kText) bytes += column.text(row).size();
  }
  return bytes;
}

bool has_write_concern_errors(const bson_t& reply) {
  bson_iter_t at;
  bson_iter_t error;
  return bson_iter_init_find(&at, &reply, "writeConcernErrors") && bson_iter_recurse(&at, &error) &&
         bson_iter_next(&error);
}

}  // namespace

// Documents of one collection on their way.
class MongoRaw::Insertion {
 public:
  Insertion(MongoRaw& raw, MongoSession& session, std::string domain)
      : raw_(raw), session_(session), domain_(std::move(domain)), collection_(session.collection(domain_)) {}

  Status add(const EventBatch& batch) {
    RawDocumentWriter writer(batch, {.decimal128 = raw_.decimal128_});
    for (size_t index = 0; index < batch.rows() + batch.ranges.size(); ++index) {
      // Not made at all where it is too large: BSON ends at 2 GiB.
      size_t bytes = 0;
      if (index < batch.rows()) {
        bytes = variable_bytes(batch.columns, index);
        if (!batch.before.empty()) bytes += variable_bytes(batch.before, index);
      }
      Bson document;
      if (bytes <= raw_.options_.document_bytes_max) {
        if (index < batch.rows()) {
          writer.write_row(document.get(), index);
        } else {
          writer.write_range(document.get(), index - batch.rows());
        }
        bytes = document.get()->len;
      }
      if (bytes > raw_.options_.document_bytes_max) {
        RETURN_IF_ERROR(raw_.keep_in_pieces(session_, batch, index,
                                            fmt::format("it would be a document of {} bytes or more", bytes)));
        continue;
      }
      bytes_ += document.get()->len;
      documents_.push_back({&batch, index, std::move(document)});
      if (documents_.size() >= raw_.options_.batch_documents_max || bytes_ >= raw_.options_.batch_bytes_max)
        RETURN_IF_ERROR(flush());
    }
    return {};
  }

  // Before the batches given to add() go.
  Status flush() {
    if (documents_.empty()) return {};
    std::unique_ptr<mongoc_bulk_operation_t, decltype(&mongoc_bulk_operation_destroy)> bulk(
        mongoc_collection_create_bulk_operation_with_opts(collection_.get(), unordered().get()),
        &mongoc_bulk_operation_destroy);
    Bson unchecked;
    put(unchecked.get(), "validate", false);  // they are made here
    bson_error_t error;
    for (const Document& document : documents_) {
      if (!mongoc_bulk_operation_insert_with_opts(bulk.get(), document.bson.get(), unchecked.get(), &error))
        return mongo_error(error, "insert into " + domain_);
    }
    bson_t reply;
    bool done = mongoc_bulk_operation_execute(bulk.get(), &reply, &error) != 0;
    Bson answer(bson_copy(&reply));
    bson_destroy(&reply);
    if (!done) RETURN_IF_ERROR(understand(*answer, error));
    documents_.clear();
    bytes_ = 0;
    return {};
  }

 private:
  struct Document {
    const EventBatch* batch;
    size_t index;
    Bson bson;
  };

  static Bson unordered() {
    Bson options;
    put(options.get(), "ordered", false);
    return options;
  }

  Status understand(const bson_t& reply, const bson_error_t& error) {
    std::string what = "insert into " + domain_;
    if (has_write_concern_errors(reply)) {
      return Error{ErrorCode::kUnavailable,
                   fmt::format("MongoDB: {}: a majority has not acknowledged it: {}", what, error.message)};
    }
    std::vector<Refusal> refusals = refusals_of(reply);
    if (refusals.empty()) return mongo_error(error, what);
    std::set<std::string> duplicates;
    for (const Refusal& refusal : refusals) {
      if (refusal.index >= documents_.size())
        return Error{ErrorCode::kInternal, fmt::format("MongoDB: {}: it refuses a document that was not sent", what)};
      const Document& document = documents_[refusal.index];
      if (refusal.code == code_duplicate_key) {
        if (!refusal.of_id) duplicates.insert(id_of(*document.bson));
        continue;
      }
      ErrorCode code = mongo_error_code(MONGOC_ERROR_SERVER, refusal.code);
      if (code != ErrorCode::kInvalidInput)
        return Error{code, fmt::format("MongoDB: {}: {} (code {})", what, refusal.message, refusal.code)};
      RETURN_IF_ERROR(raw_.keep_in_pieces(session_, *document.batch, document.index,
                                          fmt::format("{} (code {})", refusal.message, refusal.code)));
    }
    return look_for(duplicates);
  }

  // Only a duplicate of `_id` says that the event is there; not every server tells which index it is of.
  Status look_for(const std::set<std::string>& ids) {
    if (ids.empty()) return {};
    Bson array;
    size_t index = 0;
    for (const std::string& id : ids) put(array.get(), std::to_string(index++), id);
    Bson any;
    put_array(any.get(), "$in", array);
    Bson filter;
    put(filter.get(), "_id", any);
    Bson only_id;
    put(only_id.get(), "_id", 1);
    Bson options;
    put(options.get(), "projection", only_id);
    MongoCursor cursor(mongoc_collection_find_with_opts(collection_.get(), filter.get(), options.get(), nullptr));
    size_t found = 0;
    const bson_t* document = nullptr;
    while (mongoc_cursor_next(cursor.get(), &document)) ++found;
    bson_error_t error;
    if (mongoc_cursor_error(cursor.get(), &error)) return mongo_error(error, "find in " + domain_);
    if (found == ids.size()) return {};
    return Error{
        ErrorCode::kInvalidInput,
        fmt::format("MongoDB: insert into {}: a unique index that is not ours keeps events out; drop it", domain_)};
  }

  MongoRaw& raw_;
  MongoSession& session_;
  std::string domain_;
  MongoCollection collection_;
  std::vector<Document> documents_;
  size_t bytes_ = 0;
};

Status MongoRaw::write(std::span<const LogBlock> blocks) {
  if (blocks.empty()) return {};
  MongoSession session(*connection_);
  RETURN_IF_ERROR(prepare(session));
  std::map<std::string, std::vector<std::shared_ptr<const EventBatch>>> by_domain;
  for (const LogBlock& block : blocks) {
    std::shared_ptr<const EventBatch> events = block.decoded;
    if (events == nullptr) {
      ASSIGN_OR_RETURN(BlockHeader header, read_block_header(block.bytes));
      ASSIGN_OR_RETURN(SchemaPtr schema, schemas_(header.client, header.table, header.schema_version));
      ASSIGN_OR_RETURN(EventBatch decoded, decode_block(block.bytes, schema));
      events = std::make_shared<const EventBatch>(std::move(decoded));
    }
    by_domain[events->domain].push_back(std::move(events));
  }
  for (const auto& [domain, batches] : by_domain) {
    RETURN_IF_ERROR(prepare_collection(session, domain));
    Insertion insertion(*this, session, domain);
    for (const auto& batch : batches) RETURN_IF_ERROR(insertion.add(*batch));
    RETURN_IF_ERROR(insertion.flush());
  }
  return {};
}

// The pieces first: a document whose pieces are not all there is never seen.
Status MongoRaw::keep_in_pieces(MongoSession& session, const EventBatch& batch, size_t index,
                                const std::string& reason) {
  Bson document;
  RawDocumentWriter(batch, {.decimal128 = decimal128_}).write_head(document.get(), index);
  std::string id = id_of(*document);
  std::string block = block_of(batch, index);
  auto insert = [&](const std::string& name, const bson_t& one) -> Status {
    bson_error_t error;
    MongoCollection collection = session.collection(name);
    if (mongoc_collection_insert_one(collection.get(), &one, nullptr, nullptr, &error) ||
        error.code == code_duplicate_key)
      return {};
    return mongo_error(error, fmt::format("insert {} into {}", id, name));
  };
  int pieces = 0;
  for (size_t at = 0; at < block.size(); at += piece_bytes, ++pieces) {
    Bson piece;
    put(piece.get(), "_id", piece_id(id, pieces));
    std::string_view bytes = std::string_view(block).substr(at, piece_bytes);
    bson_append_binary(piece.get(), "bytes", -1, BSON_SUBTYPE_BINARY, reinterpret_cast<const uint8_t*>(bytes.data()),
                       static_cast<uint32_t>(bytes.size()));
    RETURN_IF_ERROR(insert(pieces_of(batch.domain), *piece));
  }
  put(document.get(), "pieces", pieces);
  put(document.get(), "reason", reason);
  RETURN_IF_ERROR(insert(batch.domain, *document));
  std::lock_guard lock(mutex_);
  ++set_aside_count_;
  set_aside_newest_ = fmt::format("{} of {}: {}", id, batch.domain, reason);
  return {};
}

std::string MongoRaw::set_aside() const {
  std::lock_guard lock(mutex_);
  if (set_aside_count_ == 0) return "";
  return fmt::format("{} events are kept in pieces, since MongoDB takes no such documents; the newest is {}",
                     set_aside_count_, set_aside_newest_);
}

}  // namespace tributary
