// A command's talk with a pipeline: with the process that runs it, through its control socket, or, where none does, with the
// stages opened for the command alone. The same requests and answers either way (control.h).
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "app/control.h"

namespace tributary {

class Conversation {
 public:
  // `pipeline` outlives it. Of a stopped pipeline the `parts` are opened, and processing is started where it is one of them.
  static Result<Conversation> begin(const Pipeline& pipeline, AssemblyParts parts);

  // One request, one JSON answer.
  Result<nlohmann::json> ask(const nlohmann::json& request);
  bool running() const { return reached_.running(); }

 private:
  Conversation(const Pipeline& pipeline, Reached reached) : pipeline_(&pipeline), reached_(std::move(reached)) {}

  const Pipeline* pipeline_;
  Reached reached_;
};

}  // namespace tributary
