#include "base/exit_codes.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <string>

namespace tributary {
namespace {

// Scripts rely on these numbers: what docs/formats/exit-codes.md lists and what the program has are the same.
TEST(ExitCodes, AreThoseOfTheirPage) {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/docs/formats/exit-codes.md");
  std::set<int> listed;
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("| ") && line.size() > 2 && line[2] >= '0' && line[2] <= '9')
      listed.insert(std::stoi(line.substr(2)));
  }
  std::set<int> known = {exit_ok,       exit_difference,    exit_usage,     exit_data,          exit_unavailable,
                         exit_internal, exit_cannot_create, exit_try_again, exit_no_permission, exit_config};
  EXPECT_EQ(listed, known);
  EXPECT_EQ(known, (std::set<int>{0, 1, 64, 65, 69, 70, 73, 75, 77, 78}));
}

}  // namespace
}  // namespace tributary
