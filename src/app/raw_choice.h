// Which raw store a pipeline has, and with what options.
#pragma once

#include <memory>

#include "config/pipeline.h"
#include "storage/storage.h"
#include "store/mongodb/mongo_raw.h"

namespace tributary {

bool is_mongodb(const RawConfig& raw);

// `owner`: the data directory's identity. Sends nothing yet; `check` and `run` have refused addresses that are wrong.
// `runs`: of a `run`; outlives the store.
std::unique_ptr<MongoRaw> open_mongo_raw(const Pipeline& pipeline, const std::string& owner, SchemaLookup schemas,
                                         RunLedger* runs = nullptr);

// What is wrong with an address; it is not asked.
Status check_raw_address(const std::string& at);

// A data directory belongs to the raw store that it was made with: what is in one is not brought to another.
// kAlreadyExists: the file names another one. A server is known by its database, since it may get another address.
Status keep_raw(Storage& storage, const Pipeline& pipeline);

// What is wrong with the server just now; empty: nothing, or there is none.
std::string raw_trouble(const Pipeline& pipeline);

}  // namespace tributary
