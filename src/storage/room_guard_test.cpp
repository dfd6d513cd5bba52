#include "storage/room_guard.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

// Files of which writes fail for want of room that was there a moment ago, with half of their bytes written.
class FasterOthers : public rocksdb::FileSystemWrapper {
 public:
  class File : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile> file, FasterOthers& others)
        : FSWritableFileOwnerWrapper(std::move(file)), others_(others) {}
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      if (!others_.take()) return FSWritableFileOwnerWrapper::Append(data, options, debug);
      EXPECT_TRUE(FSWritableFileOwnerWrapper::Append({data.data(), data.size() / 2}, options, debug).ok());
      return rocksdb::IOStatus::NoSpace();
    }
    rocksdb::IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override {
      if (others_.take()) return rocksdb::IOStatus::NoSpace();
      return FSWritableFileOwnerWrapper::PositionedAppend(data, offset, options, debug);
    }

   private:
    FasterOthers& others_;
  };

  FasterOthers() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FasterOthers"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (take()) return rocksdb::IOStatus::NoSpace();
    rocksdb::IOStatus made = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (made.ok()) *file = std::make_unique<File>(std::move(*file), *this);
    return made;
  }
  bool take() { return times > 0 && times-- > 0; }

  std::atomic<int> times = 0;
};

class RoomGuardTest : public testing::Test {
 protected:
  std::string path() { return (directory.path() / "file").string(); }
  std::string content() {
    std::ifstream file(path());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::unique_ptr<rocksdb::FSWritableFile> open(bool reopen) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    EXPECT_TRUE((reopen ? guard->ReopenWritableFile(path(), {}, &file, nullptr)
                        : guard->NewWritableFile(path(), {}, &file, nullptr))
                    .ok());
    return file;
  }
  void wait_until_asked(int times) {
    for (int before = asked; asked < before + times;) std::this_thread::yield();
  }

  TemporaryDirectory directory;
  std::atomic<uint64_t> free = 100 << 20;
  std::atomic<int> asked = 0;
  std::shared_ptr<RoomGuard> guard =
      std::make_shared<RoomGuard>(rocksdb::FileSystem::Default(), [this]() -> std::optional<uint64_t> {
        ++asked;
        return free.load();
      });
};

TEST_F(RoomGuardTest, AnAppendWaitsForRoomAndGoesOn) {
  for (bool reopen : {false, true}) {
    auto file = open(reopen);
    ASSERT_TRUE(file->Append("first ", {}, nullptr).ok());
    free = 0;
    std::thread writer([&] { EXPECT_TRUE(file->Append("second ", {}, nullptr).ok()); });
    wait_until_asked(3);
    EXPECT_FALSE(content().ends_with("second "));
    free = 100 << 20;
    writer.join();
    ASSERT_TRUE(file->Close({}, nullptr).ok());
  }
  EXPECT_EQ(content(), "first second first second ");
}

TEST_F(RoomGuardTest, WaitingHasAnEnd) {
  auto file = open(false);
  free = 0;
  std::thread writer([&] { EXPECT_TRUE(file->Append("written all the same", {}, nullptr).ok()); });
  wait_until_asked(3);
  guard->give_up_at(std::chrono::steady_clock::now());
  writer.join();
  ASSERT_TRUE(file->Close({}, nullptr).ok());
  EXPECT_EQ(content(), "written all the same");
}

TEST_F(RoomGuardTest, AWriteThatOthersTookTheRoomOfIsDoneAgainAtItsPlace) {
  auto others = std::make_shared<FasterOthers>();
  RoomGuard tight(others, [] { return uint64_t{100} << 20; });
  std::unique_ptr<rocksdb::FSWritableFile> file;
  others->times = 2;
  ASSERT_TRUE(tight.NewWritableFile(path(), {}, &file, nullptr).ok());
  std::string expected;
  for (int i = 0; i < 6; ++i) {
    if (i % 2 == 1) others->times = i;
    std::string line = "line " + std::to_string(i) + "\n";
    ASSERT_TRUE(file->Append(line, {}, nullptr).ok());
    expected += line;
    EXPECT_EQ(file->GetFileSize({}, nullptr), expected.size());
  }
  ASSERT_TRUE(file->Close({}, nullptr).ok());
  EXPECT_EQ(content(), expected);
}

TEST_F(RoomGuardTest, AWriteThatNeverFindsRoomFailsWhenWaitingHasAnEnd) {
  auto others = std::make_shared<FasterOthers>();
  RoomGuard tight(others, [] { return uint64_t{100} << 20; });
  std::unique_ptr<rocksdb::FSWritableFile> file;
  ASSERT_TRUE(tight.NewWritableFile(path(), {}, &file, nullptr).ok());
  others->times = 1'000'000;
  tight.give_up_at(std::chrono::steady_clock::now());
  EXPECT_TRUE(file->Append("lost", {}, nullptr).IsNoSpace());
}

}  // namespace
}  // namespace tributary
