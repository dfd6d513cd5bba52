// MongoRaw: the raw store on MongoDB, a collection a domain, a document an event (docs/formats/raw-document.md).
//
//   ASSIGN_OR_RETURN(auto raw, MongoRaw::open({.uri = "mongodb://db.example/raw", .owner = …}, schemas));
//   RETURN_IF_ERROR(raw->write(blocks));     // acknowledged by a majority, on disk there
//
// `_id` is made of client, position, kind and row key: an event that is written again is a duplicate key, and that is success.
// So after any error (away, stepping down, no answer) the same blocks are simply written again.
//
// What is too large for a document (16 MB), or is refused by the server for what is in it, is kept in pieces as a block of the
// log, and told by set_aside(); everything else goes on, and it is read like any other event.
//
// The database belongs to one pipeline's data directory, whose mark is in the collection `_tributary`.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "contracts/raw_store.h"
#include "contracts/run_ledger.h"
#include "store/mongodb/mongo_connection.h"
#include "store/mongodb/raw_document.h"

namespace tributary {

struct MongoRawOptions {
  std::string uri;
  std::string password;
  std::string owner;  // identity of the data directory; empty: only looks, and marks nothing
  // Of a run, which outlives the store: a database that has seen a later one is not written to.
  RunLedger* runs = nullptr;
  size_t batch_documents_max = 1000;  // of one insert
  size_t batch_bytes_max = 8 << 20;
  size_t document_bytes_max = (16 << 20) - (64 << 10);  // MongoDB's limit is 16 MiB
};

class MongoRaw final : public RawStore {
 public:
  // Sends nothing yet. kInvalidInput: the address is wrong.
  static Result<std::unique_ptr<MongoRaw>> open(MongoRawOptions options, SchemaLookup schemas);

  // Whether the server answers, lets us in, and the database is ours or nobody's.
  Status check_server();

  Status write(std::span<const LogBlock> blocks) override;
  // By domain; within it by position, unless keys or times are asked for.
  Status read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) override;
  Result<uint64_t> count(const ClientId& client, const std::string& domain) override;
  // By position.
  Result<RawPiece> scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                        size_t bytes_max) override;

  // Events that are kept in pieces since the program started: how many, and the newest one's name and reason; empty: none.
  std::string set_aside() const;

 private:
  class Insertion;
  class Gathering;

  MongoRaw(MongoRawOptions options, SchemaLookup schemas, std::unique_ptr<MongoConnection> connection)
      : options_(std::move(options)), schemas_(std::move(schemas)), connection_(std::move(connection)) {}

  Status prepare(MongoSession& session);
  Status check_owner(MongoSession& session);
  Status claim_run(MongoSession& session);
  Status probe_decimals(MongoSession& session);
  Status prepare_collection(MongoSession& session, const std::string& domain);
  Status keep_in_pieces(MongoSession& session, const EventBatch& batch, size_t index, const std::string& reason);
  Result<EventBatch> from_pieces(MongoSession& session, const std::string& domain, const RawDocumentHead& head,
                                 const SchemaPtr& schema);
  Status find(MongoSession& session, const RawQuery& query, const bson_t& filter, bool by_id,
              const std::function<bool(const EventBatch&)>& visit);
  Status read_domain(MongoSession& session, const RawQuery& query, const std::function<bool(const EventBatch&)>& visit);

  MongoRawOptions options_;
  SchemaLookup schemas_;
  std::unique_ptr<MongoConnection> connection_;

  std::atomic<bool> decimal128_ = true;
  mutable std::mutex mutex_;
  bool prepared_ = false;
  std::set<std::string> prepared_collections_;
  uint64_t set_aside_count_ = 0;
  std::string set_aside_newest_;
};

}  // namespace tributary
