#include "app/conversation.h"

#include "app/json_line.h"

namespace tributary {
namespace {

class Collected final : public ControlStream {
 public:
  bool send(std::string_view data) override {
    text.append(data);
    return true;
  }
  bool wanted() override { return true; }
  std::string text;
};

}  // namespace

Result<Conversation> Conversation::begin(const Pipeline& pipeline, AssemblyParts parts) {
  ASSIGN_OR_RETURN(Reached reached, reach_pipeline(pipeline, parts));
  if (!reached.running()) RETURN_IF_ERROR(reached.opened->start());
  return Conversation(pipeline, std::move(reached));
}

Result<nlohmann::json> Conversation::ask(const nlohmann::json& request) {
  Collected answer;
  if (running()) {
    RETURN_IF_ERROR(control_call(control_socket_path(pipeline_->data), json_line(request),
                                 [&](std::string_view part) { return answer.send(part); }));
  } else {
    RETURN_IF_ERROR(control_handler(*reached_.opened)(json_line(request), answer));
  }
  nlohmann::json parsed = nlohmann::json::parse(answer.text, nullptr, false);
  if (parsed.is_discarded())
    return Error{ErrorCode::kUnavailable, "the running pipeline was stopped while it answered; try again"};
  return parsed;
}

}  // namespace tributary
