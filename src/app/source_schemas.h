// The columns of the clients' tables, read from their databases: what the lock file holds.
#pragma once

#include <variant>
#include <vector>

#include "config/compile.h"

namespace tributary {

// Connects to every client and renews what `lock` says of its tables. A client that cannot be reached keeps what the lock
// file has; its name and the reason are in `unreachable`.
struct SourceTrouble {
  std::string text;
  bool away = false;  // else a person has to do something there
};
struct SchemaReading {
  LockFile lock;
  std::vector<SourceTrouble> unreachable;
};
SchemaReading read_source_schemas(const Pipeline& pipeline, LockFile lock);

// Clients that `run` would not get to read, each with why and what to do. Connects to every client.
std::vector<SourceTrouble> source_troubles(const Pipeline& pipeline);

// What `run` starts with: the lock file renewed from the databases, and every view compiled against it. A view that is live as
// the file has it, and that a table has since left behind, is no error: the runtime sets it aside by name, and the others go
// on. Errors: nothing was written.
std::variant<LockFile, std::vector<FileError>> schemas_for_run(const Pipeline& pipeline);
// The same for a node that is not the one that captures and processes: what the lock file has, without asking any database.
// Columns of other tables come with their events.
std::variant<LockFile, std::vector<FileError>> schemas_without_sources(const Pipeline& pipeline);

}  // namespace tributary
