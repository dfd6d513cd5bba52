#include "storage/storage_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>
#include <unistd.h>

#include <cstdio>

namespace tributary {
namespace {

constexpr uint64_t blob_bytes_min = 1024;            // smaller values stay beside their keys
constexpr uint64_t blob_file_bytes = 64 << 20;       // the unit in which trimmed blocks give their space back
constexpr uint64_t wal_bytes_max = 128 << 20;        // bounds the replay at start
constexpr size_t info_log_bytes_max = 4 << 20;
constexpr size_t info_logs_kept = 4;
constexpr int open_files_max = 512;
constexpr uint64_t bytes_per_sync = 1 << 20;         // table files reach the disk evenly, not in one burst
constexpr double bloom_bits_per_key = 10;
constexpr int cache_shard_bits = 2;                  // shards that hold the largest block, also of a small cache
constexpr size_t scan_page_bytes = 16 << 10;
constexpr size_t point_page_bytes = 4 << 10;

constexpr int exit_code_io_error = 74;               // EX_IOERR of sysexits.h

// A flush or compaction that could not be written is as unsure as a write.
class FaultListener : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override {
    end_process_if_write_is_unsure(*status, "background write",
                                   reason == rocksdb::BackgroundErrorReason::kWriteCallback);
  }
};

rocksdb::ColumnFamilyOptions family_options(Family family, const StorageOptions& options,
                                            const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;  // so that the cache bounds them too
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  // A file's whole index or filter would be one block: read anew at each lookup once no shard of the cache holds it.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.block_size = family == Family::kState ? point_page_bytes : scan_page_bytes;

  rocksdb::ColumnFamilyOptions out;
  out.write_buffer_size = options.write_buffer_bytes / 4;
  out.compression = rocksdb::kLZ4Compression;
  switch (family) {
    case Family::kLog:
    case Family::kRaw:
      // Blocks are compressed already, and large: apart from the keys, compaction does not copy them.
      out.compression = rocksdb::kNoCompression;
      out.enable_blob_files = true;
      out.min_blob_size = blob_bytes_min;
      out.blob_file_size = blob_file_bytes;
      out.blob_compression_type = rocksdb::kNoCompression;
      out.enable_blob_garbage_collection = true;
      break;
    case Family::kMeta:
    case Family::kState: table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(bloom_bits_per_key)); break;
    case Family::kLogIndex:
    case Family::kRawIndex:
    case Family::kOutbox: break;
  }
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

}  // namespace

rocksdb::DBOptions database_options(const StorageOptions& options) {
  rocksdb::DBOptions out;
  if (options.env != nullptr) out.env = options.env;
  out.create_if_missing = true;
  out.create_missing_column_families = true;
  out.paranoid_checks = true;
  // A write that was cut off at the log's end was never acknowledged, and goes. Damage before that is an error: the
  // default, point in time, would drop every acknowledged write behind it and say nothing.
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  out.track_and_verify_wals_in_manifest = true;
  out.max_total_wal_size = wal_bytes_max;
  out.write_buffer_manager = std::make_shared<rocksdb::WriteBufferManager>(options.write_buffer_bytes);
  out.max_background_jobs = options.background_threads;
  out.max_open_files = open_files_max;
  out.bytes_per_sync = bytes_per_sync;
  out.max_log_file_size = info_log_bytes_max;
  out.keep_log_file_num = info_logs_kept;
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;
  out.listeners.push_back(std::make_shared<FaultListener>());
  return out;
}

std::vector<rocksdb::ColumnFamilyDescriptor> family_descriptors(const StorageOptions& options) {
  std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.cache_bytes, cache_shard_bits);
  std::vector<rocksdb::ColumnFamilyDescriptor> out;
  for (size_t i = 0; i < family_count; ++i) {
    auto family = static_cast<Family>(i);
    out.emplace_back(std::string(family_name(family)), family_options(family, options, cache));
  }
  return out;
}

bool is_disk_full(const rocksdb::Status& status) { return status.IsNoSpace(); }

Error storage_error(const rocksdb::Status& status, std::string_view what) {
  std::string message = fmt::format("storage: {}: {}", what, status.ToString());
  if (is_disk_full(status)) {
    return {ErrorCode::kResourceExhausted, message + "; make room on the disk of the data directory, it goes on then"};
  }
  if (status.IsCorruption()) {
    return {ErrorCode::kCorrupt, message +
                                     "; the data directory is damaged: restore a backup, or delete it and let "
                                     "the pipeline start over from the sources"};
  }
  if (status.IsIOError() && status.ToString().find("lock") != std::string::npos) {
    return {ErrorCode::kAlreadyExists, message + "; another process has it open"};
  }
  if (status.IsNotFound()) return {ErrorCode::kNotFound, message};
  if (status.IsNotSupported() || status.IsInvalidArgument()) return {ErrorCode::kUnsupported, message};
  if (status.IsShutdownInProgress() || status.IsAborted()) return {ErrorCode::kCancelled, message};
  if (status.IsTimedOut() || status.IsBusy() || status.IsTryAgain() || status.IsIOError()) {
    return {ErrorCode::kUnavailable, message};
  }
  return {ErrorCode::kInternal, message};
}

void end_process_if_write_is_unsure(const rocksdb::Status& status, std::string_view what, bool reached_log) {
  if (!status.IsIOError() || (is_disk_full(status) && !reached_log)) return;
  std::string message = fmt::format(
      "tributary: storage: {} failed: {}. What is on disk is unknown until it is read again: the process ends; start "
      "it "
      "again, and it continues from what is durable. Check the disk.\n",
      what, status.ToString());
  std::fputs(message.c_str(), stderr);
  std::fflush(stderr);
  _exit(exit_code_io_error);
}

}  // namespace tributary
