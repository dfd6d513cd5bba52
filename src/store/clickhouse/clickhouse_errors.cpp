#include "store/clickhouse/clickhouse_errors.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace tributary {
namespace {

using enum ErrorCode;

constexpr std::array kinds = {
    ClickHouseErrorKind{3, "UNEXPECTED_END_OF_FILE", kUnavailable},  // a body that was cut on its way
    ClickHouseErrorKind{60, "UNKNOWN_TABLE", kNotFound},
    ClickHouseErrorKind{74, "CANNOT_READ_FROM_FILE_DESCRIPTOR", kUnavailable},
    ClickHouseErrorKind{75, "CANNOT_WRITE_TO_FILE_DESCRIPTOR", kUnavailable},
    ClickHouseErrorKind{76, "CANNOT_OPEN_FILE", kUnavailable},
    ClickHouseErrorKind{81, "UNKNOWN_DATABASE", kNotFound},
    ClickHouseErrorKind{95, "CANNOT_READ_FROM_SOCKET", kUnavailable},
    ClickHouseErrorKind{96, "CANNOT_WRITE_TO_SOCKET", kUnavailable},
    ClickHouseErrorKind{159, "TIMEOUT_EXCEEDED", kTimeout},
    ClickHouseErrorKind{160, "TOO_SLOW", kTimeout},
    ClickHouseErrorKind{164, "READONLY", kResourceExhausted},
    ClickHouseErrorKind{173, "CANNOT_ALLOCATE_MEMORY", kResourceExhausted},
    ClickHouseErrorKind{192, "UNKNOWN_USER", kPermissionDenied},
    ClickHouseErrorKind{193, "WRONG_PASSWORD", kPermissionDenied},
    ClickHouseErrorKind{194, "REQUIRED_PASSWORD", kPermissionDenied},
    ClickHouseErrorKind{201, "QUOTA_EXCEEDED", kResourceExhausted},
    ClickHouseErrorKind{202, "TOO_MANY_SIMULTANEOUS_QUERIES", kUnavailable},
    ClickHouseErrorKind{203, "NO_FREE_CONNECTION", kResourceExhausted},
    ClickHouseErrorKind{204, "CANNOT_FSYNC", kUnavailable},
    ClickHouseErrorKind{209, "SOCKET_TIMEOUT", kTimeout},
    ClickHouseErrorKind{210, "NETWORK_ERROR", kUnavailable},
    ClickHouseErrorKind{225, "NO_ZOOKEEPER", kUnavailable},
    ClickHouseErrorKind{236, "ABORTED", kUnavailable},
    ClickHouseErrorKind{241, "MEMORY_LIMIT_EXCEEDED", kResourceExhausted},
    ClickHouseErrorKind{242, "TABLE_IS_READ_ONLY", kResourceExhausted},  // a replica without its Keeper
    ClickHouseErrorKind{243, "NOT_ENOUGH_SPACE", kResourceExhausted},
    ClickHouseErrorKind{244, "UNEXPECTED_ZOOKEEPER_ERROR", kUnavailable},
    ClickHouseErrorKind{252, "TOO_MANY_PARTS", kResourceExhausted},
    ClickHouseErrorKind{254, "NO_ACTIVE_REPLICAS", kUnavailable},
    ClickHouseErrorKind{279, "ALL_CONNECTION_TRIES_FAILED", kUnavailable},
    ClickHouseErrorKind{285, "TOO_FEW_LIVE_REPLICAS", kUnavailable},
    ClickHouseErrorKind{286, "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE", kUnavailable},
    ClickHouseErrorKind{289, "REPLICA_IS_NOT_IN_QUORUM", kUnavailable},
    ClickHouseErrorKind{319, "UNKNOWN_STATUS_OF_INSERT", kTimeout},
    ClickHouseErrorKind{341, "UNFINISHED", kTimeout},
    ClickHouseErrorKind{373, "SESSION_IS_LOCKED", kUnavailable},
    ClickHouseErrorKind{394, "QUERY_WAS_CANCELLED", kUnavailable},
    ClickHouseErrorKind{425, "SYSTEM_ERROR", kUnavailable},
    ClickHouseErrorKind{439, "CANNOT_SCHEDULE_TASK", kUnavailable},
    ClickHouseErrorKind{473, "DEADLOCK_AVOIDED", kUnavailable},
    ClickHouseErrorKind{497, "ACCESS_DENIED", kPermissionDenied},
    ClickHouseErrorKind{499, "S3_ERROR", kUnavailable},
    ClickHouseErrorKind{516, "AUTHENTICATION_FAILED", kPermissionDenied},
    ClickHouseErrorKind{517, "CANNOT_ASSIGN_ALTER", kUnavailable},
    ClickHouseErrorKind{733, "TABLE_IS_BEING_RESTARTED", kUnavailable},
    ClickHouseErrorKind{745, "SERVER_OVERLOADED", kUnavailable},
    ClickHouseErrorKind{999, "KEEPER_EXCEPTION", kUnavailable},
    ClickHouseErrorKind{1000, "POCO_EXCEPTION", kUnavailable},  // a socket or file that failed below ClickHouse
};

}  // namespace

std::span<const ClickHouseErrorKind> clickhouse_error_kinds() { return kinds; }

Error clickhouse_error(int code, std::string message) {
  // Each layer that an error passes inside the server may put the same words before it once more.
  std::string prefix = "Code: " + std::to_string(code) + ". DB::Exception: ";
  while (message.starts_with(prefix + prefix)) message.erase(0, prefix.size());
  if (message.find("No space left on device") != std::string::npos) {
    return Error{ErrorCode::kResourceExhausted, std::move(message)};
  }
  auto known = std::lower_bound(kinds.begin(), kinds.end(), code,
                                [](const ClickHouseErrorKind& kind, int wanted) { return kind.code < wanted; });
  bool found = known != kinds.end() && known->code == code;
  return Error{found ? known->kind : ErrorCode::kInvalidInput, std::move(message)};
}

int clickhouse_code(std::string_view message) {
  constexpr std::string_view begin = "Code: ";
  size_t at = message.find(begin);
  int code = 0;
  if (at != std::string_view::npos) {
    std::from_chars(message.data() + at + begin.size(), message.data() + message.size(), code);
  }
  return code;
}

bool refuses_user(const Error& error) {
  constexpr int access_denied = 497;  // a grant on the thing that was named
  return error.code == ErrorCode::kPermissionDenied && clickhouse_code(error.message) != access_denied;
}

}  // namespace tributary
