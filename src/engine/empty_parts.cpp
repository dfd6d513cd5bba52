#include "engine/empty_parts.h"

#include <algorithm>
#include <filesystem>

namespace tributary {
namespace {

namespace fs = std::filesystem;

// PARTITION_FIRST_LAST_LEVEL, perhaps with _MUTATION; others are at work on theirs, or are no parts.
bool is_part(const std::string& name) {
  return std::count(name.begin(), name.end(), '_') >= 3 && !name.starts_with("tmp") && !name.starts_with("delete_tmp");
}

}  // namespace

std::vector<std::string> empty_parts(const std::string& data_directory) {
  std::vector<std::string> empty;
  std::error_code gone;  // folders come and go meanwhile
  fs::path store = fs::path(data_directory) / "data" / "store";
  for (fs::directory_iterator group(store, gone); !gone && group != fs::directory_iterator(); group.increment(gone)) {
    std::error_code ignored;
    for (fs::directory_iterator table(group->path(), ignored); !ignored && table != fs::directory_iterator();
         table.increment(ignored)) {
      std::error_code inner;
      for (fs::directory_iterator part(table->path(), inner); !inner && part != fs::directory_iterator();
           part.increment(inner)) {
        std::error_code failed;
        bool is_empty = is_part(part->path().filename()) && fs::file_size(part->path() / "checksums.txt", failed) == 0;
        if (is_empty && !failed) empty.push_back(part->path().lexically_relative(data_directory));
      }
    }
  }
  return empty;
}

}  // namespace tributary
