// "did you mean": the name among those there are that a mistyped one was likely meant to be.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tributary {

// The nearest of `names` by edits (a letter more, less, other, or two swapped), without regard to ASCII case, where at most
// a third of the letters of `wanted`, and at least one, differ: nearest_name("emial", {"id", "email"}) → "email".
std::optional<std::string> nearest_name(std::string_view wanted, std::span<const std::string> names);

}  // namespace tributary
