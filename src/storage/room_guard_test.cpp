#include "storage/room_guard.h"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

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

}  // namespace
}  // namespace tributary
