// Names of collections and documents of the raw store on MongoDB (docs/formats/raw-document.md).
#pragma once

#include <fmt/format.h>

#include <string>

namespace tributary {

// Domains' names do not begin with "_".
constexpr const char* mark_collection = "_tributary";
constexpr const char* mark_id = "raw";
constexpr int mark_format = 1;

inline std::string pieces_of(const std::string& domain) { return "_pieces_" + domain; }
inline std::string piece_id(const std::string& id, int number) { return fmt::format("{}/{:06}", id, number); }
inline std::string piece_id_end(const std::string& id) { return id + "0"; }  // '0' follows '/'

}  // namespace tributary
