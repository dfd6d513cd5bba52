// One read beside the stream: rows by COPY, the snapshot that they were read under, and the position at which they count.
#pragma once

#include "capture/postgres/client_context.h"
#include "codec/postgres/row_facts.h"

namespace tributary {

// The connection that reads tables, and what is reused between reads.
struct TableConnection {
  explicit TableConnection(ClientContext& client) : context(client), connection(client.executor, *client.settings) {}
  ClientContext& context;
  PgConnection connection;
  std::vector<PgCell> cells;
  std::string scratch;

  Trouble failed(const Error& error) { return trouble_of(error, connection.sqlstate(), context.config.client.value); }
};

struct ChunkQuery {
  std::string copy;  // SELECT … whose rows are wanted
  uint32_t relation = 0;  // whose size and file node are wanted
  bool want_keys = false;
};

struct Chunk {
  Position position;
  std::vector<EventBatch> batches;
  size_t rows = 0;
  size_t bytes = 0;  // as they came
  uint64_t relation_blocks = 0;
  uint32_t file_node = 0;  // read behind the rows, while the table's lock is held
  std::vector<std::string> keys;  // where asked for
};

// After an error the connection is closed, or fit for the next read.
asio::awaitable<Result<Chunk>> read_chunk(TableConnection& reader, TableTarget target, ChunkQuery query);

// Waits until every transaction that runs now has ended: none of them is remembered by `visibility`, and the stream
// may not tell of those that began before the slot or the publication. Names the one waited for in the status.
asio::awaitable<Trouble> pass_barrier(TableConnection& reader);

// Puts a mark into the source's log and waits until the stream has passed it: what is read then counts later than
// anything read before, also where no transaction was committed between.
asio::awaitable<Trouble> pass_mark(TableConnection& reader, std::string_view what);

}  // namespace tributary
