// Expected failures as values.
//
// Result<T> is what every function returns that the world can make fail (files, sockets, servers, input).
// A bug is a CHECK (see check.h), never a Result. Drivers that throw are caught in the file that includes them.
//
//   Result<Offset> append(const EventBatch& batch);
//   ...
//   ASSIGN_OR_RETURN(Offset first, log.append(batch));   // returns the error, with its message, to our caller
//   RETURN_IF_ERROR(file.sync());
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace tributary {

// What the caller can do about an error; the message says what happened, where, and what to do.
enum class ErrorCode {
  kInvalidInput,      // what we were given is wrong (file, flag, SQL); retrying is useless        sysexits 65/78
  kNotFound,          // the named thing does not exist
  kAlreadyExists,     // the named thing exists with other properties
  kPermissionDenied,  // the other side refuses us                                                 sysexits 77
  kUnavailable,       // the other side is away; retrying later may work                           sysexits 69
  kTimeout,           // no answer in the time allowed; whether it took effect is unknown
  kResourceExhausted, // a named limit or the disk is full; goes on when there is room
  kCorrupt,           // bytes fail their checksum or their format; never skipped
  kUnsupported,       // understood, and not built
  kCancelled,         // we were told to stop
  kInternal,          // the other side broke its contract                                         sysexits 70
};

std::string_view error_code_name(ErrorCode code);

// Whether it may go away by itself: the same may be tried again later.
bool retryable(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  // "unavailable: could not connect to …"
  std::string to_string() const;
};

// Error with `context` put before its message: with_context(e, "client acme") → "client acme: …".
Error with_context(Error error, std::string_view context);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}     // NOLINT: implicit on purpose

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  const T& value() const& {
    CHECK(ok());
    return std::get<0>(state_);
  }
  T& value() & {
    CHECK(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  const Error& error() const& {
    CHECK(!ok());
    return std::get<1>(state_);
  }
  Error&& error() && {
    CHECK(!ok());
    return std::get<1>(std::move(state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit on purpose

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CHECK(ok()); }
  const Error& error() const& {
    CHECK(!ok());
    return *error_;
  }
  Error&& error() && {
    CHECK(!ok());
    return *std::move(error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace tributary

#define TRIBUTARY_CONCAT_INNER(a, b) a##b
#define TRIBUTARY_CONCAT(a, b) TRIBUTARY_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                              \
  do {                                                           \
    if (auto status_ = (expression); !status_.ok()) [[unlikely]] \
      return std::move(status_).error();                         \
  } while (false)

#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(TRIBUTARY_CONCAT(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                   \
  if (!result.ok()) [[unlikely]]                                \
    return std::move(result).error();                           \
  declaration = std::move(result).value()
