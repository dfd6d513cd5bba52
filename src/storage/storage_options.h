// How RocksDB is set up, and what its errors mean to us. Internal to storage.cpp.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <string>
#include <vector>

#include "storage/storage.h"

namespace tributary {

rocksdb::DBOptions database_options(const StorageOptions& options);
// One a Family, in its order; all share one cache.
std::vector<rocksdb::ColumnFamilyDescriptor> family_descriptors(const StorageOptions& options);

// `what`: "write", "read" and so on, for the message.
Error storage_error(const rocksdb::Status& status, std::string_view what);

bool is_disk_full(const rocksdb::Status& status);

// Ends the process when a write or sync failed on the way. Also for a full disk, when it was met by the write-ahead log
// (`reached_log`): RocksDB 7.8 says that it resumed after that, and then fails every write (its issue 11643).
void end_process_if_write_is_unsure(const rocksdb::Status& status, std::string_view what, bool reached_log);

}  // namespace tributary
