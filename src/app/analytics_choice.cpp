#include "app/analytics_choice.h"

#include "app/kept_choice.h"
#include "storage/data_directory.h"
#include "store/clickhouse/clickhouse_store.h"

namespace tributary {
namespace {

constexpr std::string_view analytics_key = "runtime/analytics";
constexpr std::string_view acknowledged_prefix = "runtime/acknowledged/";
constexpr std::chrono::seconds check_limit{10};

Status check_analytics_server(const Pipeline& pipeline) {
  auto directory = DataDirectory::inspect(pipeline.data);
  auto server = analytics_server(pipeline, directory.ok() ? directory->identity : "");
  if (!server) return {};
  server->endpoint.timeout = check_limit;
  Status checked = ClickHouseStore(server->endpoint, server->layout).check_server();
  return checked.ok() ? Status() : Status(with_context(std::move(checked).error(), "analytics"));
}

}  // namespace

std::optional<ClickHouseTarget> analytics_server(const Pipeline& pipeline, const std::string& owner) {
  if (!is_clickhouse_url(pipeline.analytics.target.at)) return std::nullopt;
  auto target = parse_clickhouse_url(pipeline.analytics.target.at);
  CHECK(target.ok(), "analytics: {}", target.error().message);
  target->endpoint.password = pipeline.analytics.target.password;
  target->layout.owner = owner;
  return *std::move(target);
}

Status keep_analytics(Storage& storage, const Pipeline& pipeline) {
  auto server = analytics_server(pipeline, "");
  std::string now = server ? "database " + server->layout.tables + " of a ClickHouse server" : "embedded";
  ASSIGN_OR_RETURN(std::string stored, kept_choice(storage, analytics_key, now, Family::kMeta, acknowledged_prefix));
  if (stored == now) return {};
  return Error{ErrorCode::kAlreadyExists,
               fmt::format("analytics: the rows of this data directory are in {}, and what is there is not sent again "
                           "to {}; write that in the file, or another folder as data:",
                           stored, now)};
}

Status analytics_know_run(ClickHouseTarget server, RunLedger& runs) {
  server.endpoint.timeout = check_limit;
  ClickHouseStore store(server.endpoint, server.layout);
  store.use_runs(runs);
  Status checked = store.check_server();
  if (checked.ok() || retryable(checked.error().code)) return {};
  return with_context(std::move(checked).error(), "analytics");
}

std::string analytics_trouble(const Pipeline& pipeline) {
  Status checked = check_analytics_server(pipeline);
  return checked.ok() ? "" : checked.error().message;
}

Status analytics_usable(const Pipeline& pipeline) {
  Status checked = check_analytics_server(pipeline);
  return checked.ok() || retryable(checked.error().code) ? Status() : checked;
}

}  // namespace tributary
