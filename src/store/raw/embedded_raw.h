// EmbeddedRaw: the raw store on the pipeline's own RocksDB (docs/formats/raw-block.md).
//
// The runtime commits raw blocks with its round:
//
//   StorageBatch round;
//   RETURN_IF_ERROR(raw.add_to(round, blocks));   // once a round, all its blocks
//   ... state, offsets, outbox ...
//   RETURN_IF_ERROR(storage.write(round));        // now they are there; if not, call add_to again for the next try
//
// A set: an event is identified by (client, domain, partition, position, kind, row key), a range fact by (…, position,
// kind, low, high). What is there already is not written again. Blocks that are newer than all there is, the ordinary
// case, are written as they came, without reading.
#pragma once

#include <functional>
#include <memory>

#include "contracts/raw_store.h"
#include "storage/storage.h"

namespace tributary {

// A block to add; `events` is what it decodes to where the caller has it at hand, else nullptr.
struct RawAddition {
  const LogBlock* block = nullptr;
  const EventBatch* events = nullptr;
};

// Thread-safe, except that add_to() calls and the write of their batch must not interleave: what one call put into a
// batch that is not yet written, another one does not see.
class EmbeddedRaw final : public RawStore {
 public:
  EmbeddedRaw(Storage& storage, SchemaLookup schemas);  // `storage` outlives the store
  ~EmbeddedRaw() override;

  // Adds to `batch` what of `blocks` is not there yet. After an error `batch` may hold a part: drop it.
  Status add_to(StorageBatch& batch, std::span<const RawAddition> blocks);
  Status add_to(StorageBatch& batch, std::span<const LogBlock> blocks);

  // add_to() and a synced write.
  Status write(std::span<const LogBlock> blocks) override;

  // By domain, then partition, then the blocks' greatest position. A query by key also gives the range facts that cover it.
  Status read(const RawQuery& query, const std::function<bool(const EventBatch&)>& visit) override;

  // From the index alone.
  Result<uint64_t> count(const ClientId& client, const std::string& domain) override;

  // By partition, then the blocks' least position.
  Result<RawPiece> scan(const ClientId& client, const std::string& domain, const std::string& cursor,
                        size_t bytes_max) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tributary
