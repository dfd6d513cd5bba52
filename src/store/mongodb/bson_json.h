// JSON documents as nested BSON and back to the very same text.
#pragma once

#include <bson/bson.h>

#include <string>
#include <string_view>

namespace tributary {

// Whether a value may be nested BSON: names that a server may refuse or take for something else ("", "$ref", "a.b", one twice)
// and nesting near MongoDB's limit of 100 are not.
//
// Appends `json` as `name`: objects, arrays, strings, booleans, null, int64 where it fits, other numbers as Decimal128
// (`decimal128`) or double. False, with nothing appended that matters: it has to stay text.
bool append_json(bson_t* out, std::string_view name, std::string_view json, bool decimal128);

// The text of a BSON value as PostgreSQL writes jsonb: `{"a": 1, "b": [true, null]}`. False where it has no such text.
bool append_json_text(std::string& out, const bson_iter_t& value);

}  // namespace tributary
