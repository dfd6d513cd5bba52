// Which analytics store a pipeline has, and with what options.
#pragma once

#include "config/pipeline.h"
#include "contracts/run_ledger.h"
#include "storage/storage.h"
#include "store/clickhouse/clickhouse_url.h"

namespace tributary {

// The server that the file names; nullopt: the embedded engine. `check` and `run` have refused addresses that are wrong.
// `owner`: the data directory's identity; empty where there is none yet.
std::optional<ClickHouseTarget> analytics_server(const Pipeline& pipeline, const std::string& owner);

// A data directory belongs to the store that its outbox was sent to: what was acknowledged is never sent again.
// kAlreadyExists: the file names another one. A server is known by its database, since it may get another address.
Status keep_analytics(Storage& storage, const Pipeline& pipeline);

// kAlreadyExists: the server answers, and has seen a later run of the data directory than the ledger knows.
Status analytics_know_run(ClickHouseTarget server, RunLedger& runs);

// What is wrong with the server just now; empty: nothing, or there is none.
std::string analytics_trouble(const Pipeline& pipeline);
// An error where the server answers and cannot be used: it is too old, refuses our user, or has another data directory's rows.
Status analytics_usable(const Pipeline& pipeline);

}  // namespace tributary
