// What a join remembers of one join key (docs/formats/state.md), and its encodings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tributary {

// A row of one side: its key and its cells (model/cells.h).
struct JoinRow {
  std::string key;
  std::string cells;
  friend bool operator==(const JoinRow&, const JoinRow&) = default;
};

// A row of one side that changed: as it was, as it is.
struct JoinChange {
  std::string key;
  std::optional<std::string> before;
  std::optional<std::string> after;
};

// Changes of one side on their way through the rows of the other one.
struct JoinPass {
  int side = 0;          // whose rows changed: 0 left, 1 right
  std::string cursor;    // row keys of the other side below it are done
  std::vector<JoinChange> changes;
};

struct JoinKeyState {
  int64_t rows[2] = {0, 0};  // left, right; as stored, so with the pass's changes
  std::optional<JoinPass> pass;
  int64_t queued[2] = {0, 0};  // entries in the queue

  bool pending() const { return pass.has_value() || queued[0] + queued[1] > 0; }
  bool empty() const { return rows[0] == 0 && rows[1] == 0 && !pending(); }

  std::string encode() const;
  static Result<JoinKeyState> decode(std::string_view bytes);
};

// An entry of the queue: what the row is by now; nullopt: gone.
std::string encode_queued(const std::optional<std::string>& after);
std::optional<std::string> decode_queued(std::string_view bytes);

}  // namespace tributary
