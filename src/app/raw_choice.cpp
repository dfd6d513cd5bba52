#include "app/raw_choice.h"

#include "app/kept_choice.h"

namespace tributary {
namespace {

constexpr std::string_view raw_key = "runtime/raw";

SchemaLookup no_schemas() {
  return [](const ClientId&, const std::string&, uint32_t) {
    return Result<SchemaPtr>(Error{ErrorCode::kNotFound, "nobody reads"});
  };
}

}  // namespace

bool is_mongodb(const RawConfig& raw) { return raw.target.at.starts_with("mongodb://"); }

std::unique_ptr<MongoRaw> open_mongo_raw(const Pipeline& pipeline, const std::string& owner, SchemaLookup schemas,
                                         RunLedger* runs) {
  auto opened = MongoRaw::open(
      {.uri = pipeline.raw.target.at, .password = pipeline.raw.target.password, .owner = owner, .runs = runs},
      std::move(schemas));
  CHECK(opened.ok(), "raw: {}", opened.error().message);
  return std::move(*opened);
}

Status check_raw_address(const std::string& at) {
  auto connection = MongoConnection::open(at, "");
  return connection.ok() ? Status() : Status(std::move(connection).error());
}

Status keep_raw(Storage& storage, const Pipeline& pipeline) {
  std::string now = "embedded";
  if (is_mongodb(pipeline.raw)) {
    ASSIGN_OR_RETURN(auto connection, MongoConnection::open(pipeline.raw.target.at, ""));
    now = "the database " + connection->database() + " of a MongoDB server";
  }
  ASSIGN_OR_RETURN(std::string stored, kept_choice(storage, raw_key, now, Family::kRawIndex, {}));
  if (stored == now) return {};
  return Error{ErrorCode::kAlreadyExists,
               fmt::format("raw: the events of this data directory are in {}, and are not brought to {}; write that in "
                           "the file, or another folder as data:",
                           stored, now)};
}

std::string raw_trouble(const Pipeline& pipeline) {
  if (!is_mongodb(pipeline.raw)) return "";
  Status checked = open_mongo_raw(pipeline, "", no_schemas())->check_server();
  return checked.ok() ? "" : "raw: " + checked.error().message;
}

}  // namespace tributary
