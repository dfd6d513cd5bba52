// Names of clients and views that a command was given.
#pragma once

#include <string>
#include <vector>

#include "config/pipeline.h"

namespace tributary {

// Without any in the file each domain is its own view.
std::vector<std::string> view_names(const Pipeline& pipeline);

// False, and told on stderr, where the file has no such view or client.
bool knows_view(const Pipeline& pipeline, const std::string& view);
bool knows_client(const Pipeline& pipeline, const std::string& client);

}  // namespace tributary
