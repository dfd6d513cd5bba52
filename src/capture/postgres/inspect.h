// Looks at a database for `tributary init`. Only reads the catalog.
#pragma once

#include <string>

#include "base/result.h"
#include "contracts/database_description.h"

namespace tributary {

// Connects, describes, and is done. `url` holds no password: one in it is refused, since the URL goes into a file. Tables are
// ordered by name; without those of the server itself, of extensions, temporary ones and partitions (their parents are
// there). DatabaseDescription::password is left to the caller, who knows where the file finds it.
Result<DatabaseDescription> inspect_database(const std::string& url, const std::string& password);

}  // namespace tributary
