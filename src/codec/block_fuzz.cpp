// Bytes from anywhere given to the block decoder: as they are, and with a right checksum, so that what is behind it is
// reached. What decodes is encoded again and must give the same events.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "codec/block.h"
#include "model/random_batch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  static const SchemaPtr schema = RandomBatch(1).schema("t");
  std::string bytes(reinterpret_cast<const char*>(data), size);
  (void)decode_block(bytes, schema).ok();
  if (bytes.size() < 20) return 0;
  std::memcpy(bytes.data(), "TRB1\1\0", 6);
  uint64_t seed;
  std::memcpy(&seed, bytes.data() + 4, sizeof seed);
  uint64_t checksum = XXH3_64bits_withSeed(bytes.data() + 20, bytes.size() - 20, seed);
  std::memcpy(bytes.data() + 12, &checksum, sizeof checksum);
  Result<EventBatch> batch = decode_block(bytes, schema);
  if (!batch.ok()) return 0;
  Result<EventBatch> again = decode_block(encode_block(*batch, BlockCompression::kNone), schema);
  CHECK(again.ok() && same_events(*batch, *again));
  return 0;
}
