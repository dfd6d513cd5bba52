// Position: where a change stands in its source's history. 24 bytes that order as bytes.
//
//   epoch   4 bytes  which life of the source: rises when the source was switched, restored or lost
//   commit  8 bytes  PostgreSQL: LSN of the transaction's commit record
//   change  8 bytes  PostgreSQL: LSN of the change's own record
//   ordinal 4 bytes  index among the transaction's surviving changes on that LSN (COPY and multi-insert share one)
//
// Every way of reading the same log gives the same position (docs/formats/position.md). Text form, which sorts for a
// person and not as bytes: "1:0/1A2B3C8:0/1A2B300:4".
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tributary {

struct Position {
  static constexpr size_t encoded_bytes = 24;

  uint32_t epoch = 0;
  uint64_t commit = 0;
  uint64_t change = 0;
  uint32_t ordinal = 0;

  friend auto operator<=>(const Position&, const Position&) = default;
  friend bool operator==(const Position&, const Position&) = default;

  // The 24 bytes, big-endian.
  void append_to(std::string& out) const;
  std::string encoded() const;
  static std::optional<Position> decode(std::string_view bytes);  // nullopt unless exactly 24 bytes

  std::string to_string() const;
  static std::optional<Position> parse(std::string_view text);

  // The greatest position of the transaction committed at `commit`: every change of it is <= this.
  static Position end_of_commit(uint32_t epoch, uint64_t commit) { return {epoch, commit, UINT64_MAX, UINT32_MAX}; }
  // Less than every change of the transaction committed at `commit`, greater than all of earlier commits.
  static Position before_commit(uint32_t epoch, uint64_t commit) { return {epoch, commit, 0, 0}; }
};

// A log sequence number as PostgreSQL prints it: "1A/2B3C4D5E".
std::string lsn_to_string(uint64_t lsn);
std::optional<uint64_t> parse_lsn(std::string_view text);

// Version: what an analytics table keeps the newest of. A UInt256, here as 32 bytes, big-endian.
//
// Rows that are functions of one row's facts: position (24) · attribute revision (4) · fill (4). `fill` counts how often
// the values under one position changed because an older fact came late and filled an absent value.
// Rows of stateful operators: zeros (8) · run generation (8) · checkpoint (8) · zeros (8).
struct Version {
  static constexpr size_t encoded_bytes = 32;
  std::array<uint8_t, encoded_bytes> bytes{};

  static Version of_row(const Position& position, uint32_t attribute_revision, uint32_t fill);
  static Version of_checkpoint(uint64_t run_generation, uint64_t checkpoint);

  friend auto operator<=>(const Version&, const Version&) = default;
  friend bool operator==(const Version&, const Version&) = default;

  // As ClickHouse stores a UInt256: 32 bytes, little-endian.
  std::array<uint8_t, encoded_bytes> little_endian() const;
  // Decimal digits, as ClickHouse prints and parses a UInt256.
  std::string to_decimal() const;
};

}  // namespace tributary
