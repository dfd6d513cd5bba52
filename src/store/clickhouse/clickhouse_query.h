// A client's queries: in the client's own database, read-only, within limits, through the gate.
#pragma once

#include "contracts/analytics.h"
#include "store/clickhouse/database_layout.h"
#include "store/clickhouse/http_client.h"

namespace tributary {

struct QueryLimits {
  std::chrono::seconds execution_time_max{30};
  uint64_t memory_bytes_max = uint64_t{1} << 30;
  uint64_t result_bytes_max = uint64_t{256} << 20;
  uint64_t result_rows_max = 10'000'000;
  unsigned threads = 2;
};

// Thread-safe.
class ClickHouseQueries : public QueryBackend {
 public:
  ClickHouseQueries(ClickHouseEndpoint endpoint, QueryLimits limits, DatabaseLayout layout = {})
      : http_(std::move(endpoint)), limits_(limits), layout_(std::move(layout)) {}

  // kPermissionDenied: refused, always with the same words. kInvalidInput: ClickHouse's text. A limit reached is
  // kResourceExhausted or kTimeout.
  Status query(const ClientQuery& query, const std::function<void(std::string_view)>& out) override;
  // See ClickHouseHttp.
  void give_up_at(std::chrono::steady_clock::time_point when) { http_.give_up_at(when); }

 private:
  std::vector<std::pair<std::string, std::string>> parameters(const ClientQuery& query) const;

  ClickHouseHttp http_;
  QueryLimits limits_;
  DatabaseLayout layout_;
};

}  // namespace tributary
