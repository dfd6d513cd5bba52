// A YAML document as a tree with places, within limits: no anchors, no aliases, one document. The only file that
// includes the YAML library is yaml_tree.cpp.
//
// Duplicate keys are kept: whoever reads a map reports them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/file_error.h"

namespace tributary {

inline constexpr size_t yaml_bytes_max = size_t{4} << 20;
inline constexpr size_t yaml_depth_max = 64;
inline constexpr size_t yaml_nodes_max = 1'000'000;

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  bool quoted = false;  // a scalar in quotes or a block scalar: text, whatever it looks like
  size_t offset = 0;    // of its first byte in the document
  std::string text;               // kScalar
  std::vector<YamlNode> items;    // kList
  std::vector<YamlNode> keys;     // kMap: scalars, in the order of the file
  std::vector<YamlNode> values;   // kMap: as many
};

// Parses `document`. Errors name `file`.
std::variant<YamlNode, std::vector<FileError>> parse_yaml(const std::string& file, std::string_view document);

// For each byte of the scalar that begins at `offset` in `document` and means `text`: the offset in `document` of what it
// is written as. One more entry stands for the text's end. Every style: plain, quoted, | and >, with folding and escapes.
std::vector<uint32_t> scalar_offsets(std::string_view document, size_t offset, std::string_view text);

}  // namespace tributary
