#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "verify/verify.h"

namespace tributary {
namespace {

std::string summary(const ViewReport& view) {
  if (view.skipped) return "clean before";
  if (!view.error.empty()) return "not compared: " + view.error;
  std::string out = view.findings.empty() ? fmt::format("{} rows, equal", view.source_rows)
                                          : fmt::format("{} rows in the source's answer, {} in the analytics",
                                                        view.source_rows, view.analytics_rows);
  for (const auto& [kind, count] : view.findings) out += fmt::format(", {} {}", count, finding_name(kind));
  if (view.excepted > 0) out += fmt::format(", {} excepted (dead letters)", view.excepted);
  if (view.unsettled > 0) out += fmt::format(", {} changed all the time and could not be judged", view.unsettled);
  return out;
}

nlohmann::json finding_json(const Finding& finding) {
  nlohmann::json out{{"kind", finding_name(finding.kind)}, {"key", finding.key}};
  if (!finding.reason.empty()) out["reason"] = finding.reason;
  for (const CellDifference& cell : finding.cells) {
    out["cells"].push_back({{"column", cell.column}, {"source", cell.source}, {"analytics", cell.analytics}});
  }
  return out;
}

nlohmann::json view_json(const ViewReport& view) {
  nlohmann::json findings = nlohmann::json::object();
  for (const auto& [kind, count] : view.findings) findings[std::string(finding_name(kind))] = count;
  nlohmann::json samples = nlohmann::json::array();
  for (const Finding& finding : view.samples) samples.push_back(finding_json(finding));
  return {{"view", view.view},
          {"clean", view.clean()},
          {"error", view.error},
          {"source_rows", view.source_rows},
          {"analytics_rows", view.analytics_rows},
          {"findings", std::move(findings)},
          {"samples", std::move(samples)},
          {"excepted", view.excepted},
          {"excepted_keys", view.excepted_keys},
          {"unsettled", view.unsettled},
          {"rounds", view.rounds},
          {"skipped", view.skipped},
          {"notes", view.notes}};
}

}  // namespace

std::string_view finding_name(FindingKind kind) {
  switch (kind) {
    case FindingKind::kMissing: return "missing";
    case FindingKind::kUnexpected: return "unexpected";
    case FindingKind::kDifferent: return "different";
    case FindingKind::kDuplicate: return "duplicate";
    case FindingKind::kFailed: return "failed";
  }
  return "?";
}

std::string report_text(const VerifyReport& report) {
  std::string out;
  for (const ClientReport& client : report.clients) {
    if (!client.error.empty()) out += fmt::format("{}: not compared: {}\n", client.client, client.error);
    for (const ViewReport& view : client.views) {
      out += fmt::format("{} {}: {}\n", client.client, view.view, summary(view));
      for (const Finding& finding : view.samples) {
        out += fmt::format("  {} {}", finding_name(finding.kind), finding.key);
        if (!finding.reason.empty()) out += ": " + finding.reason;
        out += '\n';
        for (const CellDifference& cell : finding.cells) {
          out +=
              fmt::format("    {}: {} in the source, {} in the analytics\n", cell.column, cell.source, cell.analytics);
        }
      }
      for (const std::string& key : view.excepted_keys) out += fmt::format("  excepted {}\n", key);
      for (const std::string& note : view.notes) out += fmt::format("  note: {}\n", note);
    }
    for (const std::string& note : client.notes) out += fmt::format("{}: note: {}\n", client.client, note);
  }
  return out;
}

std::string report_json(const VerifyReport& report) {
  nlohmann::json clients = nlohmann::json::array();
  for (const ClientReport& client : report.clients) {
    nlohmann::json views = nlohmann::json::array();
    for (const ViewReport& view : client.views) views.push_back(view_json(view));
    clients.push_back({{"client", client.client.value},
                       {"error", client.error},
                       {"mark", fmt::format("{:X}/{:X}", client.mark >> 32, client.mark & 0xFFFFFFFF)},
                       {"views", std::move(views)},
                       {"notes", client.notes}});
  }
  nlohmann::json out{{"clean", report.clean()}, {"different", report.different()}, {"clients", std::move(clients)}};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace tributary
