// The judge: the same SQL run in batch, over the clients' tables as they are.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "contracts/analytics.h"
#include "sim_case.h"
#include "sim_world.h"
#include "verify/scratch_database.h"

namespace tributary::simulation {

using Attributes = std::map<std::string, Value>;

class Judge {
 public:
  Judge(const SimCase& sim, const World& world, ScratchDatabase& batch) : sim_(sim), world_(world), batch_(batch) {}

  // Makes the tables of one client and the views over them, in this order. Empty, or what does not run.
  std::string fill(uint32_t client, const Attributes& attributes, std::span<const ViewText> views);

  // Whether a view of the client that was filled last has these rows, each as its cells' texts (memory_tables.h). Doubles
  // are compared with a tolerance. Empty, or what differs.
  std::string compare(const std::string& view, std::span<const OutputColumn> columns,
                      std::vector<std::vector<std::string>> rows);

  // How many rows and groups of the view fail, of the client that was filled last; nullopt where the batch cannot say.
  Result<std::optional<uint64_t>> failing(const ViewText& view, const Attributes& attributes);

 private:
  const SimCase& sim_;
  const World& world_;
  ScratchDatabase& batch_;
};

}  // namespace tributary::simulation
