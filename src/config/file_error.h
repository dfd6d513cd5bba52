// What is wrong in a file of the user's, at its place.
#pragma once

#include <string>
#include <vector>

#include "contracts/view_plan.h"

namespace tributary {

struct FileError {
  std::string file;
  TextPlace place;
  std::string message;  // what, and what to do

  // "shop.yaml:12:5: unknown key …"
  std::string to_string() const;
  friend bool operator==(const FileError& a, const FileError& b) { return a.to_string() == b.to_string(); }
};

// By file and place; equal ones once.
void sort_errors(std::vector<FileError>& errors);

}  // namespace tributary
