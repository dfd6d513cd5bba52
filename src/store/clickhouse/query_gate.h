// What a client's statement may name, decided on ClickHouse's own syntax tree of it (EXPLAIN AST), before it is run.
// One of several walls: the engine's row filters, grants and readonly mode hold without it (docs/decisions/).
//
// Allowed: one SELECT or WITH … SELECT (also under EXPLAIN), DESCRIBE of an own table, SHOW TABLES. Tables without a
// database, or with the client's own; the table functions numbers, generate_series, values and zeros; no functions that
// read files, other tables by their name, or tell of the machine; no SETTINGS, no INTO OUTFILE.
//
// What does not parse is a syntax error with ClickHouse's message; everything else is one and the same refusal, which
// tells nothing of what exists.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tributary {

// The statement's kind by its text, and the text that EXPLAIN AST gets: without FORMAT, which is the reader's affair.
struct GateStatement {
  bool needs_tree = true;  // false: SHOW TABLES, allowed as it is
  bool refused = false;  // by its first word: EXPLAIN AST only tells whether it parses at all
  std::string text;
  std::string format;  // the statement's own FORMAT; empty: none
};
Result<GateStatement> read_statement(std::string_view sql);

// `tree` is the output of EXPLAIN AST (TabSeparatedRaw).
Status check_tree(std::string_view tree, std::string_view client);

// The uniform refusal.
Error refusal();

// An error's text as a client may see it: without ClickHouse's guesses at what was meant, which name other things.
std::string without_hints(std::string_view message);

}  // namespace tributary
