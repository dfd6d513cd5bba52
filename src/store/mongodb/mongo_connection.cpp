#include "store/mongodb/mongo_connection.h"

#include <algorithm>
#include <array>
#include <vector>

namespace tributary {
namespace {

constexpr int32_t error_api_version = 2;
constexpr int32_t server_selection_milliseconds = 5'000;
constexpr int32_t connect_milliseconds = 5'000;
constexpr int32_t socket_milliseconds = 20'000;  // `run` ends within 30 s of being told to
constexpr int32_t write_concern_milliseconds = 15'000;  // less, so that the server answers before

constexpr uint32_t code_unauthorized = 13;
constexpr uint32_t code_authentication_failed = 18;
constexpr uint32_t code_out_of_disk_space = 14031;

// HostUnreachable, HostNotFound, ExceededTimeLimit's kin, elections, stepping down, shutting down, and waits that were too long.
constexpr std::array<uint32_t, 24> codes_to_try_again{6,   7,    24,    46,    50,    63,    64,    79,
                                                      89,  91,   100,   112,   133,   134,   189,   202,
                                                      262, 9001, 10058, 10107, 11600, 11602, 13435, 13436};

// The driver's own start and end, and no output of its own.
void start_driver() {
  static const bool started = [] {
    mongoc_init();
    mongoc_log_set_handler(nullptr, nullptr);
    return true;
  }();
  (void)started;
}

// What a command is called.
std::string first_name(const bson_t& command) {
  bson_iter_t at;
  return bson_iter_init(&at, &command) && bson_iter_next(&at) ? bson_iter_key(&at) : "";
}

struct UriFree {
  void operator()(mongoc_uri_t* uri) const { mongoc_uri_destroy(uri); }
};

}  // namespace

ErrorCode mongo_error_code(uint32_t domain, uint32_t code) {
  switch (domain) {
    case MONGOC_ERROR_STREAM:
    case MONGOC_ERROR_SERVER_SELECTION:
    case MONGOC_ERROR_PROTOCOL: return ErrorCode::kUnavailable;
    case MONGOC_ERROR_SASL:
    case MONGOC_ERROR_SCRAM: return ErrorCode::kPermissionDenied;
    case MONGOC_ERROR_CLIENT:
      return code == MONGOC_ERROR_CLIENT_AUTHENTICATE ? ErrorCode::kPermissionDenied : ErrorCode::kUnavailable;
    default: break;
  }
  if (code == code_unauthorized || code == code_authentication_failed) return ErrorCode::kPermissionDenied;
  if (code == code_out_of_disk_space) return ErrorCode::kResourceExhausted;
  if (std::find(codes_to_try_again.begin(), codes_to_try_again.end(), code) != codes_to_try_again.end())
    return ErrorCode::kUnavailable;
  return ErrorCode::kInvalidInput;
}

Error mongo_error(const bson_error_t& error, std::string_view what) {
  return Error{mongo_error_code(error.domain, error.code),
               fmt::format("MongoDB: {}: {} (code {})", what, error.message, error.code)};
}

Result<std::unique_ptr<MongoConnection>> MongoConnection::open(const std::string& text, const std::string& password) {
  start_driver();
  bson_error_t error;
  std::unique_ptr<mongoc_uri_t, UriFree> uri(mongoc_uri_new_with_error(text.c_str(), &error));
  // The driver's message may hold parts of the address.
  if (uri == nullptr) {
    return Error{
        ErrorCode::kInvalidInput,
        "the address is none that MongoDB's driver takes: write mongodb://[user@]host[:27017]/database[?options]"};
  }
  const char* database = mongoc_uri_get_database(uri.get());
  if (database == nullptr || *database == '\0') {
    return Error{ErrorCode::kInvalidInput,
                 "the address names no database: write mongodb://host/database, a database that holds nothing else"};
  }
  if (!password.empty()) {
    const char* user = mongoc_uri_get_username(uri.get());
    if (user == nullptr || *user == '\0')
      return Error{ErrorCode::kInvalidInput, "there is a password, and no user in the address: mongodb://user@host/…"};
    if (!mongoc_uri_set_password(uri.get(), password.c_str()))
      return Error{ErrorCode::kInvalidInput, "the password is not UTF-8"};
  }
  if (mongoc_read_prefs_get_mode(mongoc_uri_get_read_prefs_t(uri.get())) != MONGOC_READ_PRIMARY) {
    return Error{
        ErrorCode::kInvalidInput,
        "the address has a readPreference, and a secondary may lack events that a view is computed from: leave it "
        "out, so that the primary is read"};
  }
  auto by_default = [&](const char* option, int32_t value) {
    if (!mongoc_uri_has_option(uri.get(), option)) mongoc_uri_set_option_as_int32(uri.get(), option, value);
  };
  by_default(MONGOC_URI_SERVERSELECTIONTIMEOUTMS, server_selection_milliseconds);
  by_default(MONGOC_URI_CONNECTTIMEOUTMS, connect_milliseconds);
  by_default(MONGOC_URI_SOCKETTIMEOUTMS, socket_milliseconds);
  // We try again ourselves, also where a single server has no log for the driver to do so by.
  mongoc_uri_set_option_as_bool(uri.get(), MONGOC_URI_RETRYWRITES, false);
  std::unique_ptr<mongoc_write_concern_t, decltype(&mongoc_write_concern_destroy)> concern(
      mongoc_write_concern_new(), &mongoc_write_concern_destroy);
  mongoc_write_concern_set_wmajority(concern.get(), write_concern_milliseconds);
  mongoc_write_concern_set_journal(concern.get(), true);
  mongoc_uri_set_write_concern(uri.get(), concern.get());

  std::unique_ptr<MongoConnection> connection(new MongoConnection());
  connection->database_ = database;
  connection->pool_ = mongoc_client_pool_new_with_error(uri.get(), &error);
  if (connection->pool_ == nullptr)
    return Error{ErrorCode::kInvalidInput,
                 fmt::format("MongoDB's driver does not take the address: {}", error.message)};
  mongoc_client_pool_set_error_api(connection->pool_, error_api_version);
  mongoc_client_pool_set_appname(connection->pool_, "tributary");
  return connection;
}

MongoConnection::~MongoConnection() {
  if (pool_ != nullptr) mongoc_client_pool_destroy(pool_);
}

MongoSession::MongoSession(MongoConnection& connection)
    : connection_(connection), client_(mongoc_client_pool_pop(connection.pool_)) {}

MongoSession::~MongoSession() { mongoc_client_pool_push(connection_.pool_, client_); }

MongoCollection MongoSession::collection(const std::string& name) {
  return MongoCollection(mongoc_client_get_collection(client_, connection_.database_.c_str(), name.c_str()));
}

Result<Bson> MongoSession::command(const bson_t& command) {
  bson_error_t error;
  bson_t reply;
  bool done = mongoc_client_command_simple(client_, connection_.database_.c_str(), &command, nullptr, &reply, &error);
  Bson copied(bson_copy(&reply));
  bson_destroy(&reply);
  if (!done) return mongo_error(error, first_name(command));
  return copied;
}

Status MongoSession::write_command(const bson_t& command) {
  bson_error_t error;
  bson_t reply;
  bool done =
      mongoc_client_write_command_with_opts(client_, connection_.database_.c_str(), &command, nullptr, &reply, &error);
  bson_destroy(&reply);
  return done ? Status() : Status(mongo_error(error, first_name(command)));
}

Result<std::vector<std::string>> MongoSession::collection_names() {
  std::unique_ptr<mongoc_database_t, decltype(&mongoc_database_destroy)> database(
      mongoc_client_get_database(client_, connection_.database_.c_str()), &mongoc_database_destroy);
  bson_error_t error;
  char** names = mongoc_database_get_collection_names_with_opts(database.get(), nullptr, &error);
  if (names == nullptr) return mongo_error(error, "listing collections");
  std::vector<std::string> out;
  for (char** name = names; *name != nullptr; ++name) out.emplace_back(*name);
  bson_strfreev(names);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace tributary
