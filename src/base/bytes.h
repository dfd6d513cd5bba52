// Bytes that outlive a process: fixed-width integers in a stated order, varints, length-prefixed strings.
//
// Writers append to a std::string. ByteReader never reads past its end: after a failed read ok() is false, every
// later read returns zero or empty, and the caller checks once at the end ("read all, then ask").
//
//   ByteReader reader(bytes);
//   uint32_t rows = reader.u32();
//   std::string_view name = reader.string();
//   if (!reader.ok()) return Error{ErrorCode::kCorrupt, "block header is truncated"};
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace tributary {

static_assert(std::endian::native == std::endian::little, "formats are written by memcpy on little-endian machines");

template <typename T>
void put_little(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// The first key behind all that begin with `prefix`; empty: there is none.
inline std::string first_behind(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xFF') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

inline void put_u8(std::string& out, uint8_t value) { out.push_back(static_cast<char>(value)); }
inline void put_u16(std::string& out, uint16_t value) { put_little(out, value); }
inline void put_u32(std::string& out, uint32_t value) { put_little(out, value); }
inline void put_u64(std::string& out, uint64_t value) { put_little(out, value); }

// Big-endian, so that bytes order as numbers.
inline void put_u16_big(std::string& out, uint16_t value) { put_little(out, __builtin_bswap16(value)); }
inline void put_u32_big(std::string& out, uint32_t value) { put_little(out, __builtin_bswap32(value)); }
inline void put_u64_big(std::string& out, uint64_t value) { put_little(out, __builtin_bswap64(value)); }

inline uint16_t load_u16_big(const char* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return __builtin_bswap16(value);
}
inline uint32_t load_u32_big(const char* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return __builtin_bswap32(value);
}
inline uint64_t load_u64_big(const char* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return __builtin_bswap64(value);
}

// Unsigned LEB128: 7 bits a byte, low bits first, at most 10 bytes.
inline void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

// Zigzag, then LEB128: small magnitudes of either sign are short.
inline void put_varint_signed(std::string& out, int64_t value) {
  put_varint(out, (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
}

// A varint length, then the bytes.
inline void put_string(std::string& out, std::string_view value) {
  put_varint(out, value.size());
  out.append(value);
}

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : begin_(bytes.data()), next_(begin_), end_(begin_ + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return next_ == end_; }
  size_t position() const { return static_cast<size_t>(next_ - begin_); }
  size_t remaining() const { return static_cast<size_t>(end_ - next_); }
  std::string_view rest() const { return {next_, remaining()}; }

  uint8_t u8() { return little<uint8_t>(); }
  uint16_t u16() { return little<uint16_t>(); }
  uint32_t u32() { return little<uint32_t>(); }
  uint64_t u64() { return little<uint64_t>(); }
  uint16_t u16_big() { return __builtin_bswap16(little<uint16_t>()); }
  uint32_t u32_big() { return __builtin_bswap32(little<uint32_t>()); }
  uint64_t u64_big() { return __builtin_bswap64(little<uint64_t>()); }

  template <typename T>
  T little() {
    T value{};
    if (!take(sizeof(T))) return value;
    std::memcpy(&value, next_ - sizeof(T), sizeof(T));
    return value;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      uint8_t byte = u8();
      if (!ok_) return 0;
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    ok_ = false;
    return 0;
  }

  int64_t varint_signed() {
    uint64_t raw = varint();
    return static_cast<int64_t>(raw >> 1) ^ -static_cast<int64_t>(raw & 1);
  }

  // A view into the bytes given to the constructor.
  std::string_view bytes(size_t size) {
    if (!take(size)) return {};
    return {next_ - size, size};
  }
  std::string_view string() {
    uint64_t size = varint();
    return bytes(size);
  }
  // A NUL-terminated string, without its NUL.
  std::string_view c_string() {
    const void* end = ok_ ? std::memchr(next_, 0, remaining()) : nullptr;
    if (end == nullptr) {
      ok_ = false;
      return {};
    }
    std::string_view value(next_, static_cast<size_t>(static_cast<const char*>(end) - next_));
    next_ += value.size() + 1;
    return value;
  }

 private:
  bool take(size_t size) {
    if (!ok_ || size > remaining()) {
      ok_ = false;
      return false;
    }
    next_ += size;
    return true;
  }

  const char* begin_;
  const char* next_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace tributary
