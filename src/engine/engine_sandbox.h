// What the engine child gives up before it loads the engine. Irreversible for the process.
#pragma once

#include <sys/types.h>

#include "base/result.h"

namespace tributary {

// Dies with `parent` from here on; fails when it is gone already.
Status enter_engine_sandbox(pid_t parent);

}  // namespace tributary
