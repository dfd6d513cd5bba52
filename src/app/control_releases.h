// What a running pipeline answers about releases (runtime/releases.h), and does with them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "app/assembly.h"

namespace tributary {

// The answer to a request of this family ("releases", "release_order", "release_diff"); nullopt: it is not one.
std::optional<Result<nlohmann::json>> answer_release_request(const Assembly& assembly, const nlohmann::json& request);

// The releases there are, the live one first: {"releases": [{"number": 2, "state": "building", …}], "switching": false}.
nlohmann::json releases_json(const Assembly& assembly);

// The same of a pipeline that does not run, from its data directory alone: without how far they are fed. kAlreadyExists: a process
// works on it.
Result<nlohmann::json> stored_releases_json(const Pipeline& pipeline);

// Why the file's views are not what is live; empty: they are, or nothing else is known.
std::string release_note(const Assembly& assembly);

}  // namespace tributary
