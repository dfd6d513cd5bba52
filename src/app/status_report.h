// What `tributary status` shows: the stages' own statuses joined, as JSON and as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "app/assembly.h"

namespace tributary {

// Of a running pipeline. `source` and `runtime` may be absent (--stages).
nlohmann::json running_status(const Assembly& assembly, int64_t now_micros);

// What is known of a pipeline that does not run: its last written status, or nothing but its clients.
nlohmann::json stopped_status(const Pipeline& pipeline);

// The one or the other, whichever it is by now.
nlohmann::json known_status(const Pipeline& pipeline);

std::string status_text(const nlohmann::json& status);

// Where a running pipeline writes its status each second, so that it can be shown when it does not run.
std::string status_path(const std::string& data_directory);
Status write_status(const std::string& data_directory, const nlohmann::json& status);

// Clients that wait for a person, and how that is told where somebody waited for them.
std::vector<std::string> stopped_clients(const Assembly& assembly);
std::string stopped_message(const std::string& file, const std::vector<std::string>& clients);

}  // namespace tributary
