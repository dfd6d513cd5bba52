// Which capture a client's address asks for.
#pragma once

#include "capture/debezium/debezium_source.h"
#include "capture/postgres/postgres_source.h"
#include "contracts/change_source.h"

namespace tributary {

// One source of all clients, each read by the capture of its address.
std::unique_ptr<ChangeSource> make_source(std::vector<CaptureClient> clients, EventLog& log,
                                          PostgresCaptureOptions options, LeaseOptions lease,
                                          DebeziumCaptureOptions of_connectors);

// describe_tables() of that capture.
Result<std::vector<TableLook>> describe_source(const CaptureClient& client, std::chrono::milliseconds limit);

// Why `run` could not read the client, and what to do; "" where nothing is in the way. Blocks for at most about `limit`.
// `away`: nobody has to do anything there but bring it back.
std::string source_trouble(const CaptureClient& client, std::chrono::milliseconds limit, bool& away);

}  // namespace tributary
