// The RunLedger in a data directory, one for each server.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "contracts/run_ledger.h"
#include "storage/storage.h"

namespace tributary {

// Thread-safe.
class ServerRuns final : public RunLedger {
 public:
  // `server`: "raw" or "analytics". `storage` outlives it.
  static Result<std::unique_ptr<ServerRuns>> open(Storage& storage, const std::string& server);

  bool knows(std::string_view run) const override;
  Result<std::string> begin() override;
  Status settle() override;

 private:
  ServerRuns(Storage& storage, std::string key) : storage_(storage), key_(std::move(key)) {}
  Status keep(const std::vector<std::string>& runs);

  Storage& storage_;
  std::string key_;
  mutable std::mutex mutex_;
  std::vector<std::string> runs_;
  std::string now_;
};

}  // namespace tributary
