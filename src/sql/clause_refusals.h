// What a view's SELECT may not have, and what to write instead. Only src/sql includes this.
#pragma once

#include <string>

#include "sql/syntax_tree.h"

namespace tributary {

std::string clause_refusal(ClauseKind kind);

}  // namespace tributary
