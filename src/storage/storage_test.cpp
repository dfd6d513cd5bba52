#include "storage/storage.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/iostats_context.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

std::unique_ptr<Storage> open_or_fail(const std::filesystem::path& path, const StorageOptions& options = {}) {
  Result<std::unique_ptr<Storage>> storage = Storage::open(path, options);
  EXPECT_TRUE(storage.ok()) << storage.error().to_string();
  return storage.ok() ? std::move(*storage) : nullptr;
}

std::vector<std::string> keys_of(StorageIterator it) {
  std::vector<std::string> keys;
  for (; it.valid(); it.next()) keys.emplace_back(it.key());
  EXPECT_TRUE(it.status().ok());
  return keys;
}

TEST(Storage, BatchesAreAtomicAndOrderedAcrossFamilies) {
  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage = open_or_fail(directory.path());
  StorageBatch batch;
  for (const char* key : {"a1", "a2", "a3", "b1"}) batch.put(Family::kState, key, std::string(key) + "!");
  batch.put(Family::kMeta, "a1", "other family");
  batch.remove(Family::kState, "a2");
  ASSERT_TRUE(storage->write(batch).ok());
  EXPECT_EQ(keys_of(storage->iterate(Family::kState, "a")), (std::vector<std::string>{"a1", "a3"}));
  EXPECT_EQ(**storage->get(Family::kMeta, "a1"), "other family");
  EXPECT_FALSE(storage->get(Family::kState, "a2")->has_value());

  std::vector<std::string> wanted{"b1", "nope", "a1"};
  auto values = storage->multi_get(Family::kState, wanted);
  ASSERT_TRUE(values.ok());
  EXPECT_EQ((*values)[0], "b1!");
  EXPECT_FALSE((*values)[1].has_value());
  EXPECT_EQ((*values)[2], "a1!");

  StorageBatch removal;
  removal.remove_range(Family::kState, "a", "b");
  ASSERT_TRUE(storage->write(removal, {.sync = false}).ok());
  EXPECT_EQ(keys_of(storage->iterate(Family::kState, "")), (std::vector<std::string>{"b1"}));
}

// A filter or an index that no shard of the cache holds would be read whole at each lookup: here 750 KB.
TEST(Storage, ALookupReadsLittleAlsoOfALargeFile) {
  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage = open_or_fail(directory.path());
  constexpr uint64_t keys = 600'000;
  auto key_of = [](uint64_t number) { return fmt::format("{:016x}", number * 0x9E3779B97F4A7C15); };
  for (uint64_t begin = 0; begin < keys; begin += 100'000) {
    StorageBatch batch;
    for (uint64_t i = begin; i < begin + 100'000; ++i) batch.put(Family::kState, key_of(i), "value");
    ASSERT_TRUE(storage->write(batch, {.sync = false}).ok());
  }
  ASSERT_TRUE(storage->flush().ok());
  ASSERT_TRUE(storage->compact(Family::kState, "", "").ok());
  rocksdb::IOStatsContext* read = rocksdb::get_iostats_context();
  uint64_t before = read->bytes_read;
  constexpr uint64_t lookups = 500;
  for (uint64_t i = 0; i < lookups; ++i) ASSERT_TRUE((*storage->get(Family::kState, key_of(i * 997))).has_value());
  EXPECT_GT(read->bytes_read, before);
  EXPECT_LT((read->bytes_read - before) / lookups, 64u << 10);
}

TEST(Storage, FromSparesWhatIsBeforeIt) {
  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage = open_or_fail(directory.path());
  StorageBatch batch;
  for (const char* key : {"a1", "b1", "b2", "b3", "c1"}) batch.put(Family::kOutbox, key, "");
  ASSERT_TRUE(storage->write(batch).ok());
  EXPECT_EQ(keys_of(storage->iterate(Family::kOutbox, "", "b2")), (std::vector<std::string>{"b2", "b3", "c1"}));
  EXPECT_EQ(keys_of(storage->iterate(Family::kOutbox, "b", "b2")), (std::vector<std::string>{"b2", "b3"}));
  EXPECT_EQ(keys_of(storage->iterate(Family::kOutbox, "b", "a")), (std::vector<std::string>{"b1", "b2", "b3"}));
}

TEST(Storage, IteratorsStayWithinTheirPrefix) {
  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage = open_or_fail(directory.path());
  StorageBatch batch;
  std::string high("\xFF\xFF", 2);
  for (const std::string& key : {std::string("a"), std::string("b1"), std::string("b3"), std::string("c"), high}) {
    batch.put(Family::kLog, key, "v");
  }
  ASSERT_TRUE(storage->write(batch).ok());
  StorageIterator it = storage->iterate(Family::kLog, "b");
  it.seek_at_or_before("b2");
  ASSERT_TRUE(it.valid());
  EXPECT_EQ(it.key(), "b1");
  it.previous();
  EXPECT_FALSE(it.valid());
  it.seek("b2");
  EXPECT_EQ(it.key(), "b3");
  it.seek_to_last();
  EXPECT_EQ(it.key(), "b3");
  EXPECT_EQ(keys_of(storage->iterate(Family::kLog, "\xFF")), std::vector<std::string>{high});
}

TEST(Storage, SyncedWritesAreThereAfterReopening) {
  TemporaryDirectory directory;
  std::string large(100'000, 'x');
  for (int i = 0; i < 5; ++i) {
    std::unique_ptr<Storage> storage = open_or_fail(directory.path());
    StorageBatch batch;
    batch.put(Family::kRaw, "k" + std::to_string(i), large + std::to_string(i));
    ASSERT_TRUE(storage->write(batch).ok());
    for (int j = 0; j <= i; ++j)
      EXPECT_EQ(**storage->get(Family::kRaw, "k" + std::to_string(j)), large + std::to_string(j));
    if (i == 2) {
      ASSERT_TRUE(storage->flush().ok());
    }
  }
}

TEST(Storage, SecondOpenIsRefused) {
  TemporaryDirectory directory;
  std::unique_ptr<Storage> storage = open_or_fail(directory.path());
  Result<std::unique_ptr<Storage>> second = Storage::open(directory.path(), {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists) << second.error().to_string();
}

// Flips a byte in the middle of the largest file with this extension.
std::filesystem::path damage(const std::filesystem::path& directory, const std::string& extension) {
  std::filesystem::path victim;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != extension) continue;
    if (victim.empty() || entry.file_size() > std::filesystem::file_size(victim)) victim = entry.path();
  }
  EXPECT_FALSE(victim.empty()) << "no " << extension << " file";
  std::fstream file(victim, std::ios::in | std::ios::out | std::ios::binary);
  auto at = static_cast<std::streamoff>(std::filesystem::file_size(victim) / 2);
  file.seekg(at);
  int byte = file.get();
  file.seekp(at);
  file.put(static_cast<char>(byte ^ 1));
  return victim;
}

class BitRot : public testing::TestWithParam<std::pair<Family, std::string>> {};

TEST_P(BitRot, IsAnErrorThatNamesThePlace) {
  auto [family, extension] = GetParam();
  TemporaryDirectory directory;
  {
    std::unique_ptr<Storage> storage = open_or_fail(directory.path());
    StorageBatch batch;
    for (int i = 0; i < 2000; ++i) {
      std::string value(2000, '\0');
      for (size_t j = 0; j < value.size(); ++j)
        value[j] = static_cast<char>(j * j * 31 + static_cast<size_t>(i) * 7 + j / 13);
      batch.put(family, "key" + std::to_string(100'000 + i), value);
    }
    ASSERT_TRUE(storage->write(batch).ok());
    ASSERT_TRUE(storage->flush().ok());
  }
  std::filesystem::path victim = damage(directory.path(), extension);
  std::unique_ptr<Storage> storage = open_or_fail(directory.path());
  int corrupt = 0;
  for (int i = 0; i < 2000; ++i) {
    auto value = storage->get(family, "key" + std::to_string(100'000 + i));
    if (value.ok()) {
      ASSERT_TRUE(value->has_value()) << "a value was skipped";
      continue;
    }
    ++corrupt;
    EXPECT_EQ(value.error().code, ErrorCode::kCorrupt) << value.error().to_string();
    std::string place = extension == ".sst" ? victim.stem().string() : "read of log at key 6b6579";  // "key"
    EXPECT_NE(value.error().message.find(place), std::string::npos) << value.error().to_string();
  }
  EXPECT_GT(corrupt, 0);
}

INSTANTIATE_TEST_SUITE_P(Storage, BitRot,
                         testing::Values(std::pair{Family::kState, std::string(".sst")},
                                         std::pair{Family::kLog, std::string(".blob")}),
                         [](const auto& info) { return std::string(family_name(info.param.first)); });

std::filesystem::path newest_wal(const std::filesystem::path& directory) {
  std::filesystem::path newest;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() == ".log" && entry.path() > newest) newest = entry.path();
  }
  return newest;
}

// What an unclean end leaves: a copy of the directory taken while it is open.
void write_and_copy(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::unique_ptr<Storage> storage = open_or_fail(from);
  for (int i = 0; i < 50; ++i) {
    StorageBatch batch;
    batch.put(Family::kState, std::to_string(i), std::string(3000, static_cast<char>('a' + i % 20)));
    ASSERT_TRUE(storage->write(batch).ok());
  }
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

TEST(Storage, TornTailOfTheWriteAheadLogIsCut) {
  TemporaryDirectory directory;
  std::filesystem::path copy = directory.path() / "copy";
  write_and_copy(directory.path() / "db", copy);
  std::filesystem::path wal = newest_wal(copy);
  // track_and_verify_wals knows the synced size of closed logs only: this one is still open.
  std::filesystem::resize_file(wal, std::filesystem::file_size(wal) - 1000);
  std::unique_ptr<Storage> storage = open_or_fail(copy);
  EXPECT_TRUE(storage->get(Family::kState, "48")->has_value());
  EXPECT_FALSE(storage->get(Family::kState, "49")->has_value());
}

TEST(Storage, DamageInTheMiddleOfTheWriteAheadLogIsNeverSkipped) {
  TemporaryDirectory directory;
  std::filesystem::path copy = directory.path() / "copy";
  write_and_copy(directory.path() / "db", copy);
  damage(copy, ".log");
  Result<std::unique_ptr<Storage>> storage = Storage::open(copy, {});
  ASSERT_FALSE(storage.ok());
  EXPECT_EQ(storage.error().code, ErrorCode::kCorrupt) << storage.error().to_string();
}

// A file system that fails on demand.
struct Fault {
  std::atomic<bool> sync_fails = false;
  std::atomic<bool> tables_meet_full_disk = false;  // flushes and compactions
  std::atomic<bool> log_meets_full_disk = false;    // the write-ahead log
  std::atomic<int> refused = 0;                     // writes that met it
};

class FaultyFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(std::unique_ptr<rocksdb::FSWritableFile> file, Fault& fault, bool is_log)
      : rocksdb::FSWritableFileOwnerWrapper(std::move(file)), fault_(fault), is_log_(is_log) {}
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* context) override {
    if (refuses()) return rocksdb::IOStatus::NoSpace("injected");
    return rocksdb::FSWritableFileOwnerWrapper::Append(data, options, context);
  }
  rocksdb::IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset, const rocksdb::IOOptions& options,
                                     rocksdb::IODebugContext* context) override {
    if (refuses()) return rocksdb::IOStatus::NoSpace("injected");
    return rocksdb::FSWritableFileOwnerWrapper::PositionedAppend(data, offset, options, context);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& /*info*/, rocksdb::IODebugContext* context) override {
    return Append(data, options, context);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    if (fault_.sync_fails) return rocksdb::IOStatus::IOError("injected: fsync failed");
    return rocksdb::FSWritableFileOwnerWrapper::Sync(options, context);
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* context) override {
    return Sync(options, context);
  }

 private:
  bool refuses() {
    bool full = is_log_ ? fault_.log_meets_full_disk : fault_.tables_meet_full_disk;
    fault_.refused += full ? 1 : 0;
    return full;
  }

  Fault& fault_;
  bool is_log_;
};

class FaultyFileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyFileSystem(Fault& fault) : rocksdb::FileSystemWrapper(rocksdb::FileSystem::Default()), fault_(fault) {}
  const char* Name() const override { return "FaultyFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* out,
                                    rocksdb::IODebugContext* context) override {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = rocksdb::FileSystemWrapper::NewWritableFile(name, options, &file, context);
    bool is_log = std::filesystem::path(name).extension() == ".log";
    if (status.ok()) *out = std::make_unique<FaultyFile>(std::move(file), fault_, is_log);
    return status;
  }

 private:
  Fault& fault_;
};

std::unique_ptr<rocksdb::Env> faulty_env(Fault& fault) {
  return rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(fault));
}

class StorageDeathTest : public testing::TestWithParam<std::atomic<bool> Fault::*> {};

TEST_P(StorageDeathTest, FailedWriteOrSyncOfTheLogEndsTheProcess) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  TemporaryDirectory directory;
  auto run = [&] {
    Fault fault;
    std::unique_ptr<rocksdb::Env> env = faulty_env(fault);
    auto storage = Storage::open(directory.path(), {.env = env.get()});
    StorageBatch batch;
    batch.put(Family::kState, "k", "v");
    if (!storage.ok() || !(*storage)->write(batch).ok()) _exit(1);
    fault.*GetParam() = true;
    (*storage)->give_up_at(std::chrono::steady_clock::now());
    Status status = (*storage)->write(batch);  // must not return
    _exit(status.ok() ? 2 : 3);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(74), "injected.*start it again");
}

INSTANTIATE_TEST_SUITE_P(Storage, StorageDeathTest, testing::Values(&Fault::sync_fails, &Fault::log_meets_full_disk));

// Waits until a write works, with a limit.
Status write_until_ok(Storage& storage, const StorageBatch& batch) {
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  Status status = storage.write(batch);
  while (!status.ok() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    status = storage.write(batch);
  }
  return status;
}

// Another program fills the disk while memory is written out.
// Nothing of RocksDB's sees the full disk: a write of its log and one of a table wait, and come to their end.
TEST(Storage, WhatMeetsAFullDiskWaitsForRoom) {
  for (auto full : {&Fault::log_meets_full_disk, &Fault::tables_meet_full_disk}) {
    TemporaryDirectory directory;
    Fault fault;
    std::unique_ptr<rocksdb::Env> env = faulty_env(fault);
    StorageBatch batch;
    batch.put(Family::kLog, "key", std::string(10'000, 'x'));
    {
      std::unique_ptr<Storage> storage = open_or_fail(directory.path(), {.env = env.get()});
      if (full == &Fault::tables_meet_full_disk) {
        ASSERT_TRUE(storage->write(batch).ok());
      }
      fault.*full = true;
      std::thread writer([&] {
        Status done = full == &Fault::log_meets_full_disk ? storage->write(batch) : storage->flush();
        EXPECT_TRUE(done.ok()) << done.error().to_string();
      });
      while (fault.refused < 3) std::this_thread::yield();
      fault.*full = false;
      writer.join();
    }
    EXPECT_EQ(**open_or_fail(directory.path(), {.env = env.get()})->get(Family::kLog, "key"), std::string(10'000, 'x'));
  }
}

TEST(Storage, FlushThatMeetsAFullDiskAndMayNotWaitStopsWritesUntilThereIsRoom) {
  TemporaryDirectory directory;
  Fault fault;
  std::unique_ptr<rocksdb::Env> env = faulty_env(fault);
  int acknowledged = 0;
  auto batch_of = [](int i) {
    StorageBatch batch;
    batch.put(Family::kLog, "key" + std::to_string(i), std::string(10'000, static_cast<char>('a' + i % 20)));
    return batch;
  };
  {
    std::unique_ptr<Storage> storage = open_or_fail(directory.path(), {.env = env.get()});
    for (; acknowledged < 10; ++acknowledged) ASSERT_TRUE(storage->write(batch_of(acknowledged)).ok());
    storage->give_up_at(std::chrono::steady_clock::now());
    fault.tables_meet_full_disk = true;
    Status flushed = storage->flush();
    ASSERT_FALSE(flushed.ok());
    EXPECT_EQ(flushed.error().code, ErrorCode::kResourceExhausted) << flushed.error().to_string();
    Status refused = storage->write(batch_of(acknowledged));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted) << refused.error().to_string();
    fault.tables_meet_full_disk = false;
    for (int i = 0; i < 10; ++i, ++acknowledged) {
      Status status = write_until_ok(*storage, batch_of(acknowledged));
      ASSERT_TRUE(status.ok()) << status.error().to_string();
    }
    EXPECT_TRUE(storage->flush().ok());
  }
  std::unique_ptr<Storage> storage = open_or_fail(directory.path(), {.env = env.get()});
  for (int i = 0; i < acknowledged; ++i) {
    EXPECT_EQ((**storage->get(Family::kLog, "key" + std::to_string(i)))[0], 'a' + i % 20);
  }
}

TEST(Storage, FullDiskIsAnErrorAndGoesOnWithRoom) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to mount a small tmpfs";
  TemporaryDirectory directory;
  if (::mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=40m") != 0) {
    GTEST_SKIP() << "mounting a tmpfs is not allowed here";
  }
  struct Unmount {
    std::filesystem::path path;
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
  } unmount{directory.path()};
  std::filesystem::path ballast = directory.path() / "ballast";
  std::ofstream(ballast, std::ios::binary) << std::string(12 << 20, 'b');
  int acknowledged = 0;
  auto key = [](int i) { return "key" + std::to_string(100'000 + i); };
  {
    std::unique_ptr<Storage> storage =
        open_or_fail(directory.path() / "db", {.write_buffer_bytes = 4 << 20, .disk_reserve_bytes = 6 << 20});
    ASSERT_NE(storage, nullptr);
    auto write = [&](int i) {
      StorageBatch batch;
      std::string value(200'000, '\0');
      for (size_t j = 0; j < value.size(); ++j)
        value[j] = static_cast<char>((j * 2654435761U + static_cast<size_t>(i)) >> 7);
      batch.put(Family::kLog, key(i), value);
      batch.put(Family::kMeta, key(i), "there");
      return storage->write(batch);
    };
    Status status;
    while (acknowledged < 1000 && (status = write(acknowledged)).ok()) ++acknowledged;
    ASSERT_FALSE(status.ok()) << "the disk was never full";
    EXPECT_EQ(status.error().code, ErrorCode::kResourceExhausted) << status.error().to_string();
    EXPECT_GT(acknowledged, 10);
    // Refused again and again, and what was acknowledged is there.
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(write(acknowledged).ok());
    for (int i = 0; i < acknowledged; ++i) EXPECT_TRUE(storage->get(Family::kLog, key(i))->has_value());
    EXPECT_FALSE(storage->get(Family::kMeta, key(acknowledged))->has_value()) << "a refused write is visible";

    StorageBatch removal;
    removal.remove(Family::kMeta, "nothing");
    EXPECT_TRUE(storage->write(removal, {.use_reserve = true}).ok());
    std::filesystem::remove(ballast);
    for (int i = 0; i < 20; ++i, ++acknowledged) {
      status = write(acknowledged);
      ASSERT_TRUE(status.ok()) << "did not go on when there was room: " << status.error().to_string();
    }
  }
  std::unique_ptr<Storage> storage = open_or_fail(directory.path() / "db", {.disk_reserve_bytes = 0});
  ASSERT_NE(storage, nullptr);
  for (int i = 0; i < acknowledged; ++i) {
    EXPECT_TRUE(storage->get(Family::kLog, key(i))->has_value()) << i;
    EXPECT_TRUE(storage->get(Family::kMeta, key(i))->has_value()) << i;
  }
}

}  // namespace
}  // namespace tributary
