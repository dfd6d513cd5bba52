#include "store/mongodb/mongo_raw.h"

#include "codec/block.h"
#include "store/mongodb/bson_build.h"
#include "store/mongodb/mongo_raw_names.h"
#include "store/mongodb/raw_document_fields.h"
#include "store/raw/raw_matching.h"

namespace tributary {
namespace {

constexpr size_t keys_at_once = 500;  // of one query
constexpr size_t batch_rows = 8192;  // given to a visitor together
constexpr size_t batch_document_bytes = 8 << 20;
// A document is some times as large as its values are in columns.
constexpr size_t document_bytes_of_value_byte = 4;

Bson with(const char* name, std::string_view value) {
  Bson out;
  put(out.get(), name, value);
  return out;
}

Bson id_range(const RawQuery& query) {
  Bson range;
  put(range.get(), "$gt",
      query.after ? document_id_behind(query.client, *query.after) : document_id_prefix(query.client));
  put(range.get(), "$lt", query.up_to ? document_id_behind(query.client, *query.up_to) : document_id_end(query.client));
  Bson filter;
  put(filter.get(), "_id", range);
  return filter;
}

Bson index(const char* name, std::initializer_list<const char*> fields) {
  Bson key;
  for (const char* field : fields) put(key.get(), field, 1);
  Bson out;
  put(out.get(), "key", key);
  put(out.get(), "name", name);
  return out;
}

}  // namespace

// Documents that come one after the other, put together into batches.
class MongoRaw::Gathering {
 public:
  Gathering(MongoRaw& raw, MongoSession& session, std::string domain, std::function<bool(EventBatch&)> visit)
      : raw_(raw), session_(session), domain_(std::move(domain)), visit_(std::move(visit)) {}

  // False: enough.
  Result<bool> add(const bson_t& document) {
    ASSIGN_OR_RETURN(RawDocumentHead head, read_head(document));
    id_ = head.id;
    bool same = batch_ != nullptr && head.same_batch(head_) && bytes_ < batch_document_bytes &&
                batch_->rows() + batch_->ranges.size() < batch_rows;
    // Rows with an image before and without are apart.
    if (same && !head.range && batch_->rows() > 0) same = head.has_before == !batch_->before.empty();
    if (!same || head.pieces > 0) {
      if (!flush()) return false;
    }
    if (batch_ == nullptr) {
      if (reader_ == nullptr || !head.same_batch(head_)) {
        ASSIGN_OR_RETURN(schema_, raw_.schemas_(head.client, head.table, head.schema_version));
        reader_ = std::make_unique<RawDocumentReader>(schema_);
      }
      head_ = head;
      if (head.pieces > 0) {
        ASSIGN_OR_RETURN(EventBatch whole, raw_.from_pieces(session_, domain_, head, schema_));
        return visit_(whole);
      }
      batch_ = std::make_unique<EventBatch>(head.client, domain_, schema_);
    }
    if (!head.range && head.has_before && batch_->rows() == 0) {
      for (const ColumnSchema& column : schema_->columns) batch_->before.emplace_back(column.type);
    }
    bytes_ += document.len;
    RETURN_IF_ERROR(reader_->append(*batch_, document));
    return true;
  }

  bool flush() {
    if (batch_ == nullptr) return true;
    std::unique_ptr<EventBatch> full = std::move(batch_);
    bytes_ = 0;
    return visit_(*full);
  }

  const std::string& newest_id() const { return id_; }

 private:
  MongoRaw& raw_;
  MongoSession& session_;
  std::string domain_;
  std::function<bool(EventBatch&)> visit_;
  RawDocumentHead head_;
  SchemaPtr schema_;
  std::unique_ptr<RawDocumentReader> reader_;
  std::unique_ptr<EventBatch> batch_;
  size_t bytes_ = 0;
  std::string id_;
};

Result<std::unique_ptr<MongoRaw>> MongoRaw::open(MongoRawOptions options, SchemaLookup schemas) {
  ASSIGN_OR_RETURN(auto connection, MongoConnection::open(options.uri, options.password));
  return std::unique_ptr<MongoRaw>(new MongoRaw(std::move(options), std::move(schemas), std::move(connection)));
}

Status MongoRaw::check_server() {
  MongoSession session(*connection_);
  Bson ping;
  put(ping.get(), "ping", 1);
  auto answered = session.command(*ping);
  if (!answered.ok()) return std::move(answered).error();
  return check_owner(session);
}

// kAlreadyExists: the database has another one's mark.
Status MongoRaw::check_owner(MongoSession& session) {
  MongoCollection marks = session.collection(mark_collection);
  MongoCursor cursor(mongoc_collection_find_with_opts(marks.get(), with("_id", mark_id).get(), nullptr, nullptr));
  const bson_t* mark = nullptr;
  if (!mongoc_cursor_next(cursor.get(), &mark)) {
    bson_error_t error;
    if (mongoc_cursor_error(cursor.get(), &error)) return mongo_error(error, "find the mark of the database");
    return {};
  }
  bson_iter_t at;
  if (!bson_iter_init_find(&at, mark, "format") || bson_iter_as_int64(&at) != mark_format) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("raw: the database {} was written by another version", connection_->database())};
  }
  if (options_.owner.empty()) return {};
  auto text = [&](const char* name) -> std::string {
    return bson_iter_init_find(&at, mark, name) && BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, nullptr) : "";
  };
  std::string owner = text("owner");
  std::string run = text("run");
  if (owner == options_.owner) {
    if (run.empty() || options_.runs == nullptr || options_.runs->knows(run)) return {};
    return Error{
        ErrorCode::kAlreadyExists,
        fmt::format("raw: the database {} has events of a later run of this data directory, which is an older copy "
                    "then, and gives other schemas the same numbers. Put that database back to the copy's time, too; "
                    "or begin with another database and another data folder",
                    connection_->database())};
  }
  return Error{
      ErrorCode::kAlreadyExists,
      fmt::format("raw: the database {} belongs to another data directory ({}, not {}), whose schemas it needs; "
                  "name another database, or drop this one",
                  connection_->database(), owner, options_.owner)};
}

// Some servers of MongoDB's protocol have no Decimal128.
Status MongoRaw::probe_decimals(MongoSession& session) {
  bson_decimal128_t one;
  bson_decimal128_from_string("1", &one);
  Bson filter;
  bson_append_decimal128(filter.get(), "_id", -1, &one);
  MongoCollection marks = session.collection(mark_collection);
  MongoCursor cursor(mongoc_collection_find_with_opts(marks.get(), filter.get(), nullptr, nullptr));
  const bson_t* found = nullptr;
  (void)mongoc_cursor_next(cursor.get(), &found);
  bson_error_t error;
  if (!mongoc_cursor_error(cursor.get(), &error)) return {};
  if (mongo_error_code(error.domain, error.code) != ErrorCode::kInvalidInput) return mongo_error(error, "find");
  decimal128_ = false;
  return {};
}

Status MongoRaw::prepare(MongoSession& session) {
  {
    std::lock_guard lock(mutex_);
    if (prepared_) return {};
  }
  RETURN_IF_ERROR(probe_decimals(session));
  if (!options_.owner.empty()) {
    Bson mark;
    put(mark.get(), "_id", mark_id);
    put(mark.get(), "format", mark_format);
    put(mark.get(), "owner", options_.owner);
    MongoCollection marks = session.collection(mark_collection);
    bson_error_t error;
    if (!mongoc_collection_insert_one(marks.get(), mark.get(), nullptr, nullptr, &error) &&
        error.code != code_duplicate_key)
      return mongo_error(error, "mark the database");
  }
  RETURN_IF_ERROR(check_owner(session));
  RETURN_IF_ERROR(claim_run(session));
  std::lock_guard lock(mutex_);
  prepared_ = true;
  return {};
}

Status MongoRaw::claim_run(MongoSession& session) {
  if (options_.owner.empty() || options_.runs == nullptr) return {};
  ASSIGN_OR_RETURN(std::string run, options_.runs->begin());
  Bson set;
  put(set.get(), "run", run);
  Bson update;
  bson_append_document(update.get(), "$set", -1, set.get());
  MongoCollection marks = session.collection(mark_collection);
  bson_error_t error;
  if (!mongoc_collection_update_one(marks.get(), with("_id", mark_id).get(), update.get(), nullptr, nullptr, &error))
    return mongo_error(error, "mark the database");
  return options_.runs->settle();
}

Status MongoRaw::prepare_collection(MongoSession& session, const std::string& domain) {
  {
    std::lock_guard lock(mutex_);
    if (prepared_collections_.contains(domain)) return {};
  }
  Bson indexes;
  put(indexes.get(), "0", index("client_key", {"client", "key"}));
  put(indexes.get(), "1", index("client_time", {"client", "time"}));
  Bson command;
  put(command.get(), "createIndexes", domain);
  put_array(command.get(), "indexes", indexes);
  RETURN_IF_ERROR(session.write_command(*command));
  std::lock_guard lock(mutex_);
  prepared_collections_.insert(domain);
  return {};
}

Result<EventBatch> MongoRaw::from_pieces(MongoSession& session, const std::string& domain, const RawDocumentHead& head,
                                         const SchemaPtr& schema) {
  Bson range;
  put(range.get(), "$gte", piece_id(head.id, 0));
  put(range.get(), "$lt", piece_id_end(head.id));
  Bson filter;
  put(filter.get(), "_id", range);
  Bson sort;
  put(sort.get(), "_id", 1);
  Bson options;
  put(options.get(), "sort", sort);
  MongoCollection collection = session.collection(pieces_of(domain));
  MongoCursor cursor(mongoc_collection_find_with_opts(collection.get(), filter.get(), options.get(), nullptr));
  std::string block;
  uint32_t pieces = 0;
  const bson_t* piece = nullptr;
  while (mongoc_cursor_next(cursor.get(), &piece)) {
    bson_iter_t at;
    uint32_t length = 0;
    const uint8_t* bytes = nullptr;
    if (bson_iter_init_find(&at, piece, "bytes") && BSON_ITER_HOLDS_BINARY(&at))
      bson_iter_binary(&at, nullptr, &length, &bytes);
    block.append(reinterpret_cast<const char*>(bytes), length);
    ++pieces;
  }
  bson_error_t error;
  if (mongoc_cursor_error(cursor.get(), &error)) return mongo_error(error, "find in " + pieces_of(domain));
  if (pieces != head.pieces) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("raw: document {} of {} has {} of its {} pieces", head.id, domain, pieces, head.pieces)};
  }
  Result<EventBatch> batch = decode_block(block, schema);
  if (!batch.ok()) return with_context(batch.error(), fmt::format("raw: document {} of {}", head.id, domain));
  return batch;
}

Status MongoRaw::find(MongoSession& session, const RawQuery& query, const bson_t& filter, bool by_id,
                      const std::function<bool(const EventBatch&)>& visit) {
  Bson options;
  if (by_id) {
    Bson sort;
    put(sort.get(), "_id", 1);
    put(options.get(), "sort", sort);
  }
  MongoCollection collection = session.collection(query.domain);
  MongoCursor cursor(mongoc_collection_find_with_opts(collection.get(), &filter, options.get(), nullptr));
  Gathering gathering(*this, session, query.domain, [&](EventBatch& batch) {
    keep_matching(batch, query);
    return batch.empty() || visit(batch);
  });
  const bson_t* document = nullptr;
  while (mongoc_cursor_next(cursor.get(), &document)) {
    Result<bool> more = gathering.add(*document);
    if (!more.ok()) return with_context(more.error(), "raw: collection " + query.domain);
    if (!*more) return Error{ErrorCode::kCancelled, "told to stop"};
  }
  bson_error_t error;
  if (mongoc_cursor_error(cursor.get(), &error)) return mongo_error(error, "find in " + query.domain);
  return gathering.flush() ? Status() : Status(Error{ErrorCode::kCancelled, "told to stop"});
}

Status MongoRaw::read_domain(MongoSession& session, const RawQuery& query,
                             const std::function<bool(const EventBatch&)>& visit) {
  Bson filter = id_range(query);
  if (query.from_micros || query.to_micros) {
    put(filter.get(), "client", query.client.value);
    Bson time;
    if (query.from_micros) bson_append_date_time(time.get(), "$gte", -1, floor_to_milliseconds(*query.from_micros));
    if (query.to_micros) bson_append_date_time(time.get(), "$lte", -1, floor_to_milliseconds(*query.to_micros));
    put(filter.get(), "time", time);
  }
  if (query.keys.empty()) return find(session, query, *filter, !query.from_micros && !query.to_micros, visit);
  if (!query.from_micros && !query.to_micros) put(filter.get(), "client", query.client.value);
  // Range facts have an empty key.
  std::vector<std::string> keys{""};
  for (const std::string& key : query.keys) keys.push_back(document_key(key));
  for (size_t begin = 0; begin < keys.size(); begin += keys_at_once) {
    Bson wanted;
    for (size_t i = begin; i < std::min(keys.size(), begin + keys_at_once); ++i)
      put(wanted.get(), std::to_string(i - begin), keys[i]);
    Bson any;
    put_array(any.get(), "$in", wanted);
    Bson of_keys(bson_copy(filter.get()));
    put(of_keys.get(), "key", any);
    RETURN_IF_ERROR(find(session, query, *of_keys, false, visit));
  }
  return {};
}

Status MongoRaw::read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) {
  MongoSession session(*connection_);
  RETURN_IF_ERROR(prepare(session));
  std::vector<std::string> domains{query.domain};
  if (query.domain.empty()) {
    ASSIGN_OR_RETURN(domains, session.collection_names());
    std::erase_if(domains,
                  [](const std::string& name) { return name.starts_with('_') || name.starts_with("system."); });
  }
  RawQuery of_domain = query;
  for (const std::string& domain : domains) {
    of_domain.domain = domain;
    bool stopped = false;
    Status done = read_domain(session, of_domain, [&](const EventBatch& batch) {
      stopped = !visit(batch);
      return !stopped;
    });
    if (stopped) return {};
    RETURN_IF_ERROR(std::move(done));
  }
  return {};
}

Result<uint64_t> MongoRaw::count(const ClientId& client, const std::string& domain) {
  MongoSession session(*connection_);
  RETURN_IF_ERROR(prepare(session));
  Bson command;
  put(command.get(), "count", domain);
  put(command.get(), "query", id_range({.client = client, .domain = {}, .keys = {}}));
  ASSIGN_OR_RETURN(Bson reply, session.command(*command));
  bson_iter_t at;
  if (!bson_iter_init_find(&at, reply.get(), "n")) return Error{ErrorCode::kInternal, "MongoDB: count gives no number"};
  return static_cast<uint64_t>(bson_iter_as_int64(&at));
}

Result<RawPiece> MongoRaw::scan(const ClientId& client, const std::string& domain, const std::string& cursor_id,
                                size_t bytes_max) {
  MongoSession session(*connection_);
  RETURN_IF_ERROR(prepare(session));
  Bson range;
  put(range.get(), "$gt", cursor_id.empty() ? document_id_prefix(client) : cursor_id);
  put(range.get(), "$lt", document_id_end(client));
  Bson filter;
  put(filter.get(), "_id", range);
  Bson sort;
  put(sort.get(), "_id", 1);
  Bson options;
  put(options.get(), "sort", sort);
  MongoCollection collection = session.collection(domain);
  MongoCursor cursor(mongoc_collection_find_with_opts(collection.get(), filter.get(), options.get(), nullptr));
  RawPiece piece;
  size_t bytes = 0;
  Gathering gathering(*this, session, domain, [&](EventBatch& batch) {
    piece.batches.push_back(std::move(batch));
    return true;
  });
  const bson_t* document = nullptr;
  bool full = false;
  while (!full && mongoc_cursor_next(cursor.get(), &document)) {
    Result<bool> added = gathering.add(*document);
    if (!added.ok()) return with_context(added.error(), "raw: collection " + domain);
    bytes += document->len;
    full = bytes > bytes_max * document_bytes_of_value_byte;
  }
  bson_error_t error;
  if (mongoc_cursor_error(cursor.get(), &error)) return mongo_error(error, "find in " + domain);
  (void)gathering.flush();
  piece.cursor = gathering.newest_id().empty() ? cursor_id : gathering.newest_id();
  piece.end = !full;
  return piece;
}

}  // namespace tributary
