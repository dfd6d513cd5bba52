// Any bytes as a pipeline file and as a lock file: an answer, and places inside the file.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "config/lock_file.h"
#include "config/pipeline.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tributary;
  std::string text(reinterpret_cast<const char*>(data), size);
  LoadOptions options{.environment = [](const std::string&) { return std::optional<std::string>("value"); }};
  // A fuzzer must not read the machine's files.
  if (text.find("${file:") == std::string::npos) {
    auto loaded = parse_pipeline("fuzz.yaml", text, options);
    if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) {
      CHECK(!errors->empty());
    } else {
      const Pipeline& pipeline = std::get<Pipeline>(loaded);
      not_built_yet(pipeline);
      pipeline.attribute_types();
      for (const ViewConfig& view : pipeline.views) {
        CHECK(view.sql_offsets.size() == view.sql.size() + 1);
        pipeline.place_in_file(view, {1, 1});
      }
    }
  }
  auto lock = lock_from_text("fuzz.lock", text);
  if (auto* read = std::get_if<LockFile>(&lock)) CHECK(!lock_to_text(*read).empty());
  return 0;
}
