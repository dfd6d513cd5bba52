// Parts that the engine lists as good and that have no bytes: where a disk is full, it may write a part, by an INSERT or a
// merge, whose files are all empty, and commit it. Each query of the table fails from then on. Once started again the
// engine sets such a part aside, and takes back those that went into it, as long as they are still there: some minutes, and
// not beyond an orderly end.
#pragma once

#include <string>
#include <vector>

namespace tributary {

// Of an engine's directory (EngineProcessOptions::data_directory): the parts' folders, below it. Folders that the engine is
// about to remove or to commit are none.
std::vector<std::string> empty_parts(const std::string& data_directory);

}  // namespace tributary
