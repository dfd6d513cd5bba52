// The data of an INSERT that came with a Content-Encoding, decoded piece by piece: "lz4" (frames) and "zstd", of those that
// ClickHouse knows.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace tributary {

class BodyDecoder {
 public:
  using Source = std::function<Result<size_t>(char* buffer, size_t size)>;  // 0 at the end

  // kUnsupported: another encoding. `encoding` empty: bytes go through as they are.
  static Result<BodyDecoder> open(std::string_view encoding, Source source);
  ~BodyDecoder();
  BodyDecoder(BodyDecoder&& other) noexcept;
  BodyDecoder& operator=(BodyDecoder&&) = delete;

  // Up to `size` decoded bytes; 0 at the end. kInvalidInput: the bytes are not of that encoding, or end in the middle.
  Result<size_t> read(char* buffer, size_t size);

 private:
  struct State;
  explicit BodyDecoder(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tributary
