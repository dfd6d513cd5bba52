#include "verify/verify.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "verify/client_verifier.h"
#include "verify/domain_loader.h"

namespace tributary {
namespace {

// {"verified":"shop …","clean":[["acme","orders"]]}: views that need no second look, as long as the request asks the same.
class CleanViews {
 public:
  // Refuses a file that is none of ours, and one that cannot be written.
  static Result<CleanViews> open(const VerifyRequest& request) {
    CleanViews views(request);
    if (views.path_.empty()) return views;
    std::ifstream file(views.path_);
    std::stringstream text;
    text << file.rdbuf();
    nlohmann::json state = nlohmann::json::parse(text.str(), nullptr, false);
    if (file.is_open() && (!state.is_object() || !state.contains("verified") || !state["clean"].is_array())) {
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("{} is there and was not written by verify; name another file", views.path_)};
    }
    if (file.is_open() && state["verified"] == views.verified_) {
      for (const auto& entry : state["clean"]) {
        if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
          views.clean_.emplace(entry[0].get<std::string>(), entry[1].get<std::string>());
        }
      }
    }
    if (!views.write())
      return Error{ErrorCode::kInvalidInput,
                   fmt::format("{} cannot be written: {}", views.path_, std::strerror(errno))};
    return views;
  }

  bool contains(const ClientId& client, const std::string& view) const { return clean_.contains({client.value, view}); }

  // A file that cannot be written costs a comparison the next time, no more.
  void add(const ClientReport& report) {
    if (path_.empty() || !report.error.empty()) return;
    for (const ViewReport& view : report.views) {
      if (view.clean() && view.unsettled == 0) clean_.emplace(report.client.value, view.view);
    }
    (void)write();
  }

  void remove() {
    if (!path_.empty()) std::remove(path_.c_str());
  }

 private:
  explicit CleanViews(const VerifyRequest& request) : path_(request.state_file) {
    for (const VerifyView& view : request.views) verified_ += fmt::format("{}: {}\n", view.name, view.sql);
  }

  bool write() const {
    nlohmann::json state{{"verified", verified_}, {"clean", nlohmann::json::array()}};
    for (const auto& [client, view] : clean_) state["clean"].push_back({client, view});
    std::string temporary = path_ + ".new";
    {
      std::ofstream file(temporary, std::ios::trunc);
      file << state.dump(1) << '\n';
      if (!file.flush()) return false;
    }
    return std::rename(temporary.c_str(), path_.c_str()) == 0;
  }

  std::string path_;
  std::string verified_;  // the views by name and SQL
  std::set<std::pair<std::string, std::string>> clean_;
};

}  // namespace

bool VerifyReport::clean() const {
  for (const ClientReport& client : clients) {
    if (!client.error.empty()) return false;
    for (const ViewReport& view : client.views) {
      if (!view.clean()) return false;
    }
  }
  return true;
}

bool VerifyReport::different() const {
  for (const ClientReport& client : clients) {
    for (const ViewReport& view : client.views) {
      if (!view.findings.empty()) return true;
    }
  }
  return false;
}

Result<VerifyReport> verify(const VerifyRequest& given, const VerifyPorts& ports) {
  VerifyRequest request = given;
  for (VerifyView& view : request.views) {
    std::vector<std::string> names;
    for (const OutputColumn& column : view.columns) names.push_back(column.name);
    if (tell_apart(view.columns)) view.names_in_analytics = std::move(names);
  }
  CHECK(ports.analytics != nullptr);
  if (access(request.scratch_directory.c_str(), W_OK) != 0) {
    return Error{ErrorCode::kInvalidInput,
                 "the folder for temporary files cannot be written: " + request.scratch_directory};
  }
  ASSIGN_OR_RETURN(CleanViews known, CleanViews::open(request));
  VerifyReport report;
  for (const VerifyClient& client : request.clients) {
    ClientVerifier verifier(request, ports, client,
                            [&](const std::string& view) { return known.contains(client.client, view); });
    report.clients.push_back(verifier.run());
    known.add(report.clients.back());
  }
  if (report.clean()) known.remove();
  return report;
}

}  // namespace tributary
