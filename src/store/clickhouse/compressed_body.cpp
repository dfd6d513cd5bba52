#include "store/clickhouse/compressed_body.h"

#include <lz4frame.h>
#include <zstd.h>

#include "base/check.h"

namespace tributary {
namespace {

constexpr int zstd_level = 1;
constexpr size_t lz4_piece_bytes = size_t{1} << 20;

std::string zstd_frame(std::span<const std::string_view> pieces, size_t bytes) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  CHECK(context != nullptr);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, zstd_level);
  std::string out(ZSTD_compressBound(bytes), '\0');
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  for (std::string_view piece : pieces) {
    ZSTD_inBuffer input{piece.data(), piece.size(), 0};
    while (input.pos < input.size) {
      size_t left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue);
      CHECK(!ZSTD_isError(left), "{}", ZSTD_getErrorName(left));
    }
  }
  ZSTD_inBuffer none{nullptr, 0, 0};
  size_t left = ZSTD_compressStream2(context, &output, &none, ZSTD_e_end);
  CHECK(left == 0, "a frame is longer than its bound");
  ZSTD_freeCCtx(context);
  out.resize(output.pos);
  return out;
}

std::string lz4_frame(std::span<const std::string_view> pieces) {
  LZ4F_cctx* context = nullptr;
  CHECK(!LZ4F_isError(LZ4F_createCompressionContext(&context, LZ4F_VERSION)));
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockSizeID = LZ4F_max1MB;
  preferences.autoFlush = 1;  // pieces are large: none waits for the next
  std::string out;
  size_t end = 0;
  auto room = [&](size_t bytes) {
    if (out.size() < end + bytes) out.resize(std::max(end + bytes, out.size() * 2));
    return out.data() + end;
  };
  auto took = [&](size_t bytes) {
    CHECK(!LZ4F_isError(bytes), "{}", LZ4F_getErrorName(bytes));
    end += bytes;
  };
  took(LZ4F_compressBegin(context, room(LZ4F_HEADER_SIZE_MAX), LZ4F_HEADER_SIZE_MAX, &preferences));
  size_t bound = LZ4F_compressBound(lz4_piece_bytes, &preferences);
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      std::string_view part = piece.substr(0, lz4_piece_bytes);
      piece.remove_prefix(part.size());
      took(LZ4F_compressUpdate(context, room(bound), bound, part.data(), part.size(), nullptr));
    }
  }
  took(LZ4F_compressEnd(context, room(bound), bound, nullptr));
  LZ4F_freeCompressionContext(context);
  out.resize(end);
  return out;
}

}  // namespace

std::string_view content_encoding(HttpCompression compression) {
  switch (compression) {
    case HttpCompression::kNone: return "";
    case HttpCompression::kLz4: return "lz4";
    case HttpCompression::kZstd: return "zstd";
  }
  return "";
}

std::string compress_body(std::span<const std::string_view> pieces, HttpCompression compression) {
  CHECK(compression != HttpCompression::kNone);
  if (compression == HttpCompression::kLz4) return lz4_frame(pieces);
  size_t bytes = 0;
  for (std::string_view piece : pieces) bytes += piece.size();
  return zstd_frame(pieces, bytes);
}

}  // namespace tributary
