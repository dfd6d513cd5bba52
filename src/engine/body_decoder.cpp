#include "engine/body_decoder.h"

#include <lz4frame.h>
#include <zstd.h>

#include <string>

namespace tributary {
namespace {

constexpr size_t input_bytes = 256 << 10;

}  // namespace

struct BodyDecoder::State {
  Source source;
  ZSTD_DCtx* zstd = nullptr;
  LZ4F_dctx* lz4 = nullptr;
  std::string input;
  size_t begin = 0;  // of what is not decoded yet
  size_t end = 0;
  bool source_ended = false;
  bool in_frame = false;

  ~State() {
    ZSTD_freeDCtx(zstd);
    LZ4F_freeDecompressionContext(lz4);
  }

  // Decodes what it can; returns the bytes written.
  Result<size_t> decode(char* buffer, size_t size) {
    size_t hint = 0;
    size_t written = size;
    size_t consumed = end - begin;
    if (zstd != nullptr) {
      ZSTD_outBuffer out{buffer, size, 0};
      ZSTD_inBuffer in{input.data() + begin, consumed, 0};
      hint = ZSTD_decompressStream(zstd, &out, &in);
      if (ZSTD_isError(hint)) return Error{ErrorCode::kInvalidInput, fmt::format("zstd: {}", ZSTD_getErrorName(hint))};
      written = out.pos;
      consumed = in.pos;
    } else {
      hint = LZ4F_decompress(lz4, buffer, &written, input.data() + begin, &consumed, nullptr);
      if (LZ4F_isError(hint)) return Error{ErrorCode::kInvalidInput, fmt::format("lz4: {}", LZ4F_getErrorName(hint))};
    }
    begin += consumed;
    in_frame = hint != 0;
    return written;
  }
};

BodyDecoder::BodyDecoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
BodyDecoder::~BodyDecoder() = default;
BodyDecoder::BodyDecoder(BodyDecoder&& other) noexcept = default;

Result<BodyDecoder> BodyDecoder::open(std::string_view encoding, Source source) {
  auto state = std::make_unique<State>();
  state->source = std::move(source);
  if (encoding == "zstd") {
    state->zstd = ZSTD_createDCtx();
  } else if (encoding == "lz4") {
    CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&state->lz4, LZ4F_VERSION)));
  } else if (!encoding.empty()) {
    return Error{ErrorCode::kUnsupported, fmt::format("Content-Encoding {} is not decoded here", encoding)};
  }
  if (!encoding.empty()) state->input.resize(input_bytes);
  return BodyDecoder(std::move(state));
}

Result<size_t> BodyDecoder::read(char* buffer, size_t size) {
  State& state = *state_;
  if (state.input.empty()) return state.source(buffer, size);
  while (true) {
    // A decoder may hold back bytes that had no room, so it is asked before more is read.
    if (state.begin < state.end || state.in_frame) {
      ASSIGN_OR_RETURN(size_t written, state.decode(buffer, size));
      if (written > 0) return written;
    }
    if (state.begin < state.end) continue;
    if (state.source_ended) {
      if (!state.in_frame) return size_t{0};
      return Error{ErrorCode::kInvalidInput, "the encoded body ends in the middle"};
    }
    ASSIGN_OR_RETURN(size_t got, state.source(state.input.data(), state.input.size()));
    state.begin = 0;
    state.end = got;
    state.source_ended = got == 0;
  }
}

}  // namespace tributary
