#include "storage/data_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <map>
#include <thread>

#include "storage/temporary_directory.h"

namespace tributary {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

// Names and contents of all files below a directory.
std::map<std::string, std::string> contents(const fs::path& path) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    std::ifstream file(entry.path(), std::ios::binary);
    out[entry.path().string()] =
        entry.is_regular_file() ? std::string(std::istreambuf_iterator<char>(file), {}) : "dir";
  }
  return out;
}

TEST(DataDirectory, IsMadeOnceAndKeepsItsIdentity) {
  TemporaryDirectory temporary;
  fs::path path = temporary.path() / "deep" / "data";
  std::string identity;
  {
    auto directory = DataDirectory::open(path, "shop");
    ASSERT_TRUE(directory.ok()) << directory.error().to_string();
    identity = directory->identity().identity;
    EXPECT_EQ(identity.size(), 32U);
    for (const char* folder : {"db", "analytics", "run", "spill"}) EXPECT_TRUE(fs::is_directory(path / folder));
    struct stat info{};
    ASSERT_EQ(::stat((path / "run").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700U);
    std::ofstream(path / "spill" / "left behind") << "x";
    EXPECT_EQ(DataDirectory::holder(path), (DataHolder{::getpid(), DataUse::kRun}));
  }
  EXPECT_EQ(DataDirectory::holder(path), std::nullopt);
  auto again = DataDirectory::open(path, "shop");
  ASSERT_TRUE(again.ok()) << again.error().to_string();
  EXPECT_EQ(again->identity().identity, identity);
  EXPECT_FALSE(fs::exists(path / "spill" / "left behind"));
  EXPECT_EQ(DataDirectory::inspect(path)->created, again->identity().created);
}

TEST(DataDirectory, SaysWhatKeepsItFromBeingMade) {
  TemporaryDirectory temporary;
  std::ofstream(temporary.path() / "file") << "x";
  EXPECT_EQ(DataDirectory::why_not_creatable(temporary.path() / "new" / "data"), std::nullopt);
  EXPECT_EQ(DataDirectory::why_not_creatable(temporary.path()), std::nullopt);
  fs::create_symlink(temporary.path() / "absent", temporary.path() / "link");
  EXPECT_THAT(DataDirectory::why_not_creatable(temporary.path() / "link").value(), HasSubstr("a link to nothing"));
  EXPECT_THAT(DataDirectory::why_not_creatable(temporary.path() / "link" / "data").value(),
              HasSubstr("a link to nothing"));
  EXPECT_THAT(DataDirectory::why_not_creatable(temporary.path() / "file").value(), HasSubstr("not a directory"));
  EXPECT_THAT(DataDirectory::why_not_creatable(temporary.path() / "file" / "data").value(),
              HasSubstr("not a directory"));
  EXPECT_THAT(DataDirectory::why_not_creatable(temporary.path() / std::string(300, 'x')).value(),
              HasSubstr("too long"));
  EXPECT_THAT(DataDirectory::why_not_creatable("/proc/data").value(), HasSubstr("takes no files"));
  EXPECT_FALSE(fs::exists(temporary.path() / "new"));
}

TEST(DataDirectory, ARunWaitsForACommandAndCommandsThatComeLaterLeaveItToTheRun) {
  TemporaryDirectory temporary;
  fs::path path = temporary.path() / "data";
  auto command = DataDirectory::open(path, "shop", DataUse::kCommand);
  ASSERT_TRUE(command.ok()) << command.error().to_string();
  EXPECT_EQ(DataDirectory::holder(path), (DataHolder{::getpid(), DataUse::kCommand}));
  auto run = std::async(std::launch::async, [&] { return DataDirectory::open(path, "shop"); });
  while (DataDirectory::holder(path) != DataHolder{::getpid(), DataUse::kRun}) std::this_thread::yield();
  for (DataUse use : {DataUse::kCommand, DataUse::kRun}) {
    auto later = DataDirectory::open(path, "shop", use);
    ASSERT_FALSE(later.ok());
    EXPECT_EQ(later.error().code, ErrorCode::kAlreadyExists);
  }
  {
    auto done = std::move(*command);
  }
  auto opened = run.get();
  ASSERT_TRUE(opened.ok()) << opened.error().to_string();
  EXPECT_EQ(DataDirectory::holder(path), (DataHolder{::getpid(), DataUse::kRun}));
  EXPECT_FALSE(DataDirectory::open(path, "shop", DataUse::kCommand).ok());
}

TEST(DataDirectory, SecondProcessIsToldWhoHasIt) {
  TemporaryDirectory temporary;
  int ready[2];
  int finish[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(finish), 0);
  pid_t child = ::fork();
  if (child == 0) {
    auto directory = DataDirectory::open(temporary.path() / "data", "shop");
    char byte = directory.ok() ? '1' : '0';
    ::close(finish[1]);
    if (::write(ready[1], &byte, 1) == 1 && ::read(finish[0], &byte, 1) >= 0) ::_exit(0);
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, '1');
  auto second = DataDirectory::open(temporary.path() / "data", "shop");
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(second.error().message, HasSubstr(fmt::format("process {} (", child)));
  EXPECT_EQ(DataDirectory::holder(temporary.path() / "data"), (DataHolder{child, DataUse::kRun}));
  // The lock goes with its process, however that ends.
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  auto third = DataDirectory::open(temporary.path() / "data", "shop");
  EXPECT_TRUE(third.ok()) << third.error().to_string();
  for (int end : {ready[0], ready[1], finish[0], finish[1]}) ::close(end);
}

TEST(DataDirectory, TheSameProcessCannotOpenItTwice) {
  TemporaryDirectory temporary;
  auto first = DataDirectory::open(temporary.path() / "data", "shop");
  EXPECT_EQ(DataDirectory::open(temporary.path() / "data", "shop").error().code, ErrorCode::kAlreadyExists);
}

void expect_refused_unchanged(const fs::path& path, const std::string& pipeline, ErrorCode code, const char* words) {
  auto before = contents(path);
  auto refused = DataDirectory::open(path, pipeline);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, code) << refused.error().to_string();
  EXPECT_THAT(refused.error().message, HasSubstr(words));
  EXPECT_EQ(contents(path), before);
}

TEST(DataDirectory, RefusesOthersAndChangesNothing) {
  TemporaryDirectory temporary;
  fs::path newer = temporary.path() / "newer";
  fs::create_directory(newer);
  std::ofstream(newer / "TRIBUTARY") << "tributary data directory\nformat: 2\nshape: unknown\n";
  expect_refused_unchanged(newer, "shop", ErrorCode::kUnsupported, "has format 2");

  fs::path other = temporary.path() / "other";
  ASSERT_TRUE(DataDirectory::open(other, "shop").ok());
  expect_refused_unchanged(other, "warehouse", ErrorCode::kInvalidInput, "belongs to the pipeline 'shop'");

  fs::path home = temporary.path() / "home";
  fs::create_directory(home);
  std::ofstream(home / "thesis.tex") << "years of work";
  expect_refused_unchanged(home, "shop", ErrorCode::kInvalidInput, "thesis.tex");

  fs::path damaged = temporary.path() / "damaged";
  ASSERT_TRUE(DataDirectory::open(damaged, "shop").ok());
  std::ofstream(damaged / "TRIBUTARY") << std::string("\0\0\0\0", 4);
  expect_refused_unchanged(damaged, "shop", ErrorCode::kCorrupt, "damaged");

  std::ofstream(temporary.path() / "file") << "x";
  EXPECT_FALSE(DataDirectory::open(temporary.path() / "file", "shop").ok());
}

// What a creation leaves that was cut short, between any two of its steps.
TEST(DataDirectory, NodesOfTwoKindsDoNotShareOne) {
  TemporaryDirectory temporary;
  for (bool captures_alone : {false, true}) {
    fs::path path = temporary.path() / (captures_alone ? "capture" : "whole");
    ASSERT_TRUE(DataDirectory::open(path, "shop", DataUse::kRun, captures_alone).ok());
    EXPECT_EQ(DataDirectory::inspect(path)->captures_alone, captures_alone);
    auto before = contents(path);
    auto other = DataDirectory::open(path, "shop", DataUse::kRun, !captures_alone);
    ASSERT_FALSE(other.ok());
    EXPECT_EQ(other.error().code, ErrorCode::kInvalidInput);
    EXPECT_THAT(other.error().message, HasSubstr(captures_alone ? "captures alone" : "processes"));
    EXPECT_EQ(contents(path), before);
    EXPECT_TRUE(DataDirectory::open(path, "shop", DataUse::kCommand).ok());
    EXPECT_TRUE(DataDirectory::open(path, "shop", DataUse::kRun, captures_alone).ok());
  }
}

TEST(DataDirectory, CreationThatWasCutShortIsTakenUpAgain) {
  TemporaryDirectory temporary;
  fs::path path = temporary.path() / "data";
  fs::create_directory(path);
  std::ofstream(path / "LOCK") << "123\n";
  std::ofstream(path / "TRIBUTARY.new") << "tributary da";
  auto directory = DataDirectory::open(path, "shop");
  ASSERT_TRUE(directory.ok()) << directory.error().to_string();
  EXPECT_FALSE(fs::exists(path / "TRIBUTARY.new"));
}

// docs/formats/data-directory.md
TEST(DataDirectory, StoredIdentityStaysReadable) {
  TemporaryDirectory temporary;
  fs::path path = temporary.path();
  fs::copy_file(fs::path(TRIBUTARY_SOURCE_DIR) / "tests/formats/data-directory-1.txt", path / "TRIBUTARY");
  auto directory = DataDirectory::open(path, "shop");
  ASSERT_TRUE(directory.ok()) << directory.error().to_string();
  EXPECT_EQ(directory->identity().identity, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(directory->identity().created, "2026-01-31T23:59:59Z");
  EXPECT_EQ(directory->identity().format, 1U);
}

}  // namespace
}  // namespace tributary
