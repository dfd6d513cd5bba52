// The data of an INSERT as one compressed body, as HTTP's Content-Encoding has it: a zstd frame (RFC 8878) or an LZ4 frame
// (lz4_Frame_format.md). ClickHouse reads both from 21.x on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tributary {

enum class HttpCompression : uint8_t { kNone, kLz4, kZstd };

// "", "lz4" or "zstd": the header's value.
std::string_view content_encoding(HttpCompression compression);

// `pieces` one after the other; not kNone.
std::string compress_body(std::span<const std::string_view> pieces, HttpCompression compression);

}  // namespace tributary
