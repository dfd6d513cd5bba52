// MongoDB's driver (libmongoc) behind Result: a pool of connections to one database.
//
//   ASSIGN_OR_RETURN(auto connection, MongoConnection::open("mongodb://db.example/raw?tls=true", password));
//   MongoSession session(*connection);
//   MongoCollection orders = session.collection("orders");
//
// Nothing is sent before the first operation. Writes are acknowledged by a majority of the servers and on disk there, reads
// go to the primary. Thread-safe; a session belongs to one thread.
#pragma once

#include <mongoc/mongoc.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/mongodb/bson.h"

namespace tributary {

class MongoConnection {
 public:
  // mongodb://[user@]host[:27017][,host…]/database[?options], with the driver's options; nothing of the address is repeated in
  // an error. `password` may be empty.
  static Result<std::unique_ptr<MongoConnection>> open(const std::string& uri, const std::string& password);
  ~MongoConnection();
  MongoConnection(const MongoConnection&) = delete;
  MongoConnection& operator=(const MongoConnection&) = delete;

  const std::string& database() const { return database_; }

 private:
  friend class MongoSession;
  MongoConnection() = default;

  mongoc_client_pool_t* pool_ = nullptr;
  std::string database_;
};

struct MongoCollectionFree {
  void operator()(mongoc_collection_t* collection) const { mongoc_collection_destroy(collection); }
};
using MongoCollection = std::unique_ptr<mongoc_collection_t, MongoCollectionFree>;

struct MongoCursorFree {
  void operator()(mongoc_cursor_t* cursor) const { mongoc_cursor_destroy(cursor); }
};
using MongoCursor = std::unique_ptr<mongoc_cursor_t, MongoCursorFree>;

class MongoSession {
 public:
  explicit MongoSession(MongoConnection& connection);
  ~MongoSession();
  MongoSession(const MongoSession&) = delete;
  MongoSession& operator=(const MongoSession&) = delete;

  MongoCollection collection(const std::string& name);
  // Runs a command on the database, and gives what it replies.
  Result<Bson> command(const bson_t& command);
  // One that writes: as all writes, by a majority.
  Status write_command(const bson_t& command);
  Result<std::vector<std::string>> collection_names();

 private:
  MongoConnection& connection_;
  mongoc_client_t* client_;
};

constexpr uint32_t code_duplicate_key = 11000;

// What an error of the driver or the server means for us, by MongoDB's error codes
// (https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml): kUnavailable for connections, elections,
// stepping down and shutting down; kPermissionDenied; kResourceExhausted for a full disk; else kInvalidInput.
ErrorCode mongo_error_code(uint32_t domain, uint32_t code);
Error mongo_error(const bson_error_t& error, std::string_view what);

}  // namespace tributary
