// The unix socket of the engine child, also where its path is longer than the 107 bytes a socket's address can hold:
// then it is reached by way of its folder's descriptor, "/proc/self/fd/7/engine.sock".
#pragma once

#include <string>

#include "base/result.h"

namespace tributary {

// Replaces what a dead child left, and listens. The folder must be there, with mode 0700.
Result<int> listen_on_engine_socket(const std::string& path);
void unlink_engine_socket(const std::string& path);

// Whether somebody listens there.
bool engine_socket_answers(const std::string& path);

}  // namespace tributary
