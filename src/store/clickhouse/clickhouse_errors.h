// ClickHouse's errors by their number, as what a caller can do about them.
//
//   kUnavailable        cut off, busy, a replica or Keeper away, a part of the cluster behind: try again later
//   kTimeout            whether it took effect is unknown
//   kResourceExhausted  too many parts, memory, disk, quota, read-only: goes on when there is room
//   kPermissionDenied   the user, the password, or a grant
//   kNotFound           no such table or database
//   kInvalidInput       any other
//
// An INSERT of versioned rows may be repeated after any of the first three. Numbers and names: src/Common/ErrorCodes.cpp
// of ClickHouse; clickhouse_errors_test.cpp compares them with the engine.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary {

struct ClickHouseErrorKind {
  int code;
  std::string_view name;
  ErrorCode kind;
};
// All that are not kInvalidInput, by code.
std::span<const ClickHouseErrorKind> clickhouse_error_kinds();

// "Code: 60. DB::Exception: …" by its number, as listed above. A full disk has many numbers and is known by its text.
Error clickhouse_error(int code, std::string message);

// "Code: 60. DB::Exception: …" → 60; also behind a context. 0 where there is none.
int clickhouse_code(std::string_view message);

// Whether the server refuses whoever asks, not what is asked: a wrong password, a user that is gone. Then no table is to
// blame, and a person may mend it while we wait.
bool refuses_user(const Error& error);

}  // namespace tributary
