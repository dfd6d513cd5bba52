#include "capture/postgres/source_state.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

namespace tributary {
namespace {

// tests/formats/capture-state.txt: "name hex", a line each.
std::map<std::string, std::string> stored_states() {
  std::map<std::string, std::string> states;
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/formats/capture-state.txt");
  std::string name;
  std::string hex;
  while (file >> name >> hex) {
    std::string& bytes = states[name];
    for (size_t i = 0; i < hex.size(); i += 2)
      bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return states;
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (unsigned char byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

StreamState stream_example() {
  return {.epoch = 2,
          .system_identifier = "7300000000000000001",
          .timeline = 1,
          .slot = "tributary_shop_acme",
          .publication_ours = true,
          .appended = {2, 0x1A2B3C8, 0x1A2B300, 1},
          .appended_commit_micros = 1'700'000'000'000'000,
          .confirmed_lsn = 0x1A2B3F0};
}

SnapshotState snapshot_example() {
  return {.epoch = 2,
          .done = false,
          .domain = "orders",
          .table_oid = 16385,
          .publication_mark = uint64_t{745} << 32 | 746,
          .first = {2, 0x1A2B3C7, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF},
          .columns = {{1, "id", 20, -1, 740, ""}, {3, "mood", 16390, -1, 741, "16391.745 16393.812?"}},
          .key = {"id"},
          .relations = {{16385, 16400, 748, 0}, {16401, 16402, 749, 750}},
          .next_relation = 1,
          .next_block = 64,
          .end_block = 300,
          .rows = 12'345};
}

TEST(SourceState, StoredBytesStayReadableAndAreWrittenTheSame) {
  auto stored = stored_states();
  ASSERT_EQ(stored.size(), 9U);
  EXPECT_EQ(hex(stream_example().encode()), hex(stored["stream-2"]));
  EXPECT_EQ(hex(snapshot_example().encode()), hex(stored["snapshot-5"]));
  for (const char* name : {"stream-2", "stream-1", "stream-1-without-time"}) {
    Result<StreamState> state = StreamState::decode(stored[name]);
    ASSERT_TRUE(state.ok()) << name << ": " << state.error().to_string();
    StreamState expected = stream_example();
    if (std::string_view(name).ends_with("time")) expected.appended_commit_micros = 0;
    EXPECT_EQ(hex(state->encode()), hex(expected.encode())) << name;
  }
  for (const char* name :
       {"snapshot-5", "snapshot-4", "snapshot-3", "snapshot-2", "snapshot-1", "snapshot-1-without-mark"}) {
    Result<SnapshotState> state = SnapshotState::decode(stored[name]);
    ASSERT_TRUE(state.ok()) << name << ": " << state.error().to_string();
    SnapshotState expected = snapshot_example();
    if (std::string_view(name).ends_with("mark")) expected.publication_mark = 0;
    if (std::string_view(name) < "snapshot-4") expected.domain.clear();
    for (SnapshotRelation& relation : expected.relations) {
      if (std::string_view(name) < "snapshot-4") relation.came = 0;
      if (std::string_view(name) < "snapshot-3") relation.attached = 0;
    }
    for (SnapshotColumn& column : expected.columns) {
      if (std::string_view(name) < "snapshot-5") column.type_rows.clear();
      if (std::string_view(name) < "snapshot-2") column.version = 0;
    }
    EXPECT_EQ(hex(state->encode()), hex(expected.encode())) << name;
  }
}

TEST(SourceState, NewerAndBrokenBytesAreRefused) {
  for (auto& [name, bytes] : stored_states()) {
    bool stream = name.starts_with("stream");
    auto readable = [&](const std::string& changed) {
      return stream ? StreamState::decode(changed).ok() : SnapshotState::decode(changed).ok();
    };
    std::string newer = bytes;
    newer[0] = 6;
    EXPECT_FALSE(readable(newer)) << name;
    EXPECT_FALSE(readable(bytes + "x")) << name;
    EXPECT_FALSE(readable("")) << name;
  }
}

}  // namespace
}  // namespace tributary
