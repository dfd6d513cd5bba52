// Small documents written in place: filters, commands.
#pragma once

#include <string_view>

#include "store/mongodb/bson.h"

namespace tributary {

inline void put(bson_t* out, std::string_view name, std::string_view value) {
  bson_append_utf8(out, name.data(), static_cast<int>(name.size()), value.data(), static_cast<int>(value.size()));
}
inline void put(bson_t* out, std::string_view name, const char* value) { put(out, name, std::string_view(value)); }
inline void put(bson_t* out, std::string_view name, int64_t value) {
  bson_append_int64(out, name.data(), static_cast<int>(name.size()), value);
}
inline void put(bson_t* out, std::string_view name, int value) {
  bson_append_int32(out, name.data(), static_cast<int>(name.size()), value);
}
inline void put(bson_t* out, std::string_view name, bool value) {
  bson_append_bool(out, name.data(), static_cast<int>(name.size()), value);
}
inline void put(bson_t* out, std::string_view name, const Bson& value) {
  bson_append_document(out, name.data(), static_cast<int>(name.size()), value.get());
}
inline void put_array(bson_t* out, std::string_view name, const Bson& value) {
  bson_append_array(out, name.data(), static_cast<int>(name.size()), value.get());
}

}  // namespace tributary
