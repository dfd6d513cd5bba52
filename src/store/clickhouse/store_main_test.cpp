// The test binary's own main: TemporaryEngine executes this very program again as its child.
#include <gtest/gtest.h>

#include <string_view>

#include "engine/engine_child.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == tributary::engine_command)
    return tributary::run_engine_child(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
