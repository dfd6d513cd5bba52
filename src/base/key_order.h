// The order of many byte strings, by bytes: for keys that share a long prefix, as those of a store do.
//
//   key_order({"k/b", "k/a", "k/ab"})   // {1, 2, 0}
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace tributary {

// Indexes of `keys`, fewer than 2^32, ascending by key; equal keys in any order. Compares eight bytes behind what all of them
// begin with as one number, and whole keys only where those are equal.
std::vector<uint32_t> key_order(std::span<const std::string_view> keys);

}  // namespace tributary
