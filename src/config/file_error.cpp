#include "config/file_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace tributary {

std::string FileError::to_string() const {
  return fmt::format("{}:{}:{}: {}", file, place.line, place.column, message);
}

void sort_errors(std::vector<FileError>& errors) {
  auto place = [](const FileError& error) {
    return std::tie(error.file, error.place.line, error.place.column, error.message);
  };
  std::sort(errors.begin(), errors.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  errors.erase(std::unique(errors.begin(), errors.end()), errors.end());
}

}  // namespace tributary
