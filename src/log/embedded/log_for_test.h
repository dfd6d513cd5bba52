// What the tests of the embedded log share: a log on a directory, batches of orders, and reading all of a partition.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codec/block.h"
#include "log/embedded/embedded_log.h"
#include "storage/temporary_directory.h"

namespace tributary {

inline const ClientId acme("acme");

// A log with its storage, which can be closed and opened again.
struct OpenLog {
  std::unique_ptr<Storage> storage;
  std::unique_ptr<EmbeddedLog> log;

  explicit OpenLog(const std::filesystem::path& path, EmbeddedLogOptions options = {}) {
    auto opened = Storage::open(path, {});
    CHECK(opened.ok(), "{}", opened.error().to_string());
    storage = std::move(*opened);
    auto made = EmbeddedLog::open(*storage, options);
    CHECK(made.ok(), "{}", made.error().to_string());
    log = std::move(*made);
  }
  EmbeddedLog* operator->() const { return log.get(); }
};

inline TableSchema orders_schema() {
  TableSchema schema;
  schema.table = "public.orders";
  schema.columns = {{"id", {TypeId::kInt64}, "bigint", true, false}, {"note", {TypeId::kText}, "text", false, true}};
  schema.key_columns = {0};
  return schema;
}

inline EventBatch orders(const ClientId& client, const SchemaPtr& schema, uint64_t first, size_t rows,
                         size_t note_bytes = 5) {
  EventBatch batch(client, "orders", schema);
  for (uint64_t i = first; i < first + rows; ++i) {
    batch.ops.push_back(Op::kCreate);
    batch.positions.push_back({1, i, i, 0});
    batch.commit_micros.push_back(static_cast<int64_t>(i));
    batch.transactions.push_back(i);
    batch.columns[0].append_fixed<int64_t>(static_cast<int64_t>(i));
    batch.columns[1].append_bytes(std::string(note_bytes, static_cast<char>('a' + i % 26)));
  }
  return batch;
}

inline Status append(EmbeddedLog& log, const ClientId& client, std::vector<EventBatch> batches,
                     SourceState state = {}) {
  LogAppend append{client, std::move(batches), std::move(state)};
  return log.append({&append, 1});
}

// All events of a partition, with offsets checked to be without gap.
inline std::vector<EventBatch> read_all(EmbeddedLog& log, const TopicPartition& at, size_t bytes_max = 1 << 20) {
  std::vector<EventBatch> out;
  Offset next = *log.first_offset(at);
  while (true) {
    auto blocks = log.read(at, next, bytes_max);
    CHECK(blocks.ok(), "{}", blocks.error().to_string());
    if (blocks->empty()) break;
    for (const LogBlock& block : *blocks) {
      CHECK(block.first == next && block.at == at, "offset {} where {} was due", block.first, next);
      auto header = read_block_header(block.bytes);
      auto schema = log.schema(header->client, header->table, header->schema_version);
      out.push_back(decode_block(block.bytes, *schema).value());
      CHECK(out.back().rows() + out.back().ranges.size() == block.events);
      next = block.next;
    }
  }
  CHECK(next == log.ends().at(at), "read up to {}, ends at {}", next, log.ends().at(at));
  return out;
}

}  // namespace tributary
