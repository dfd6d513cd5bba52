// Sweeps: ranges of a client's row keys in one domain whose stored rows are to be looked at again, piece by piece.
//
// Three reasons: a range fact voided what is older (each row, when it is looked at, drops what is below the floors), or the
// client's attributes changed (each row is given out again under the new ones), or what was made of the rows is wanted once
// more (each is given out again as it is). Of the second kind, rows with keys below the cursor count under the new attributes,
// those from it on under the old ones.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tributary {

struct Sweep {
  std::string cursor;  // row keys below it are done
  std::string high;  // exclusive; empty: to the last key
  bool attributes = false;
  std::string old_attributes;  // encoded, for `attributes`
  bool again = false;
  friend bool operator==(const Sweep&, const Sweep&) = default;
};

struct Sweeps {
  std::vector<Sweep> list;  // in order: the first one is the one that moves

  bool empty() const { return list.empty(); }
  // The old attributes that `key` still counts under; null: the current ones. Of several changes the first not done.
  const std::string* old_attributes_of(std::string_view key) const;

  std::string encode() const;
  static Result<Sweeps> decode(std::string_view bytes);
  friend bool operator==(const Sweeps&, const Sweeps&) = default;
};

}  // namespace tributary
