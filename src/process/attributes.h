// A client's attributes as the views see them, and as bytes (docs/formats/state.md).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/column.h"

namespace tributary {

struct ClientAttributes {
  uint32_t revision = 0;                  // rises when they change
  std::map<std::string, Column> values;  // by name, without "client."; one row each

  // Without the revision: equal for equal attributes.
  std::string content() const;
  std::string encode() const;
  static Result<ClientAttributes> decode(std::string_view bytes);
};

}  // namespace tributary
