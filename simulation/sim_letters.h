// Dead letters, judged: those that are kept must be exactly those that the same views give when they begin with the clients'
// tables as they are now.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "process/view_graph.h"
#include "sim_case.h"
#include "sim_world.h"

namespace tributary::simulation {

// By view and client: the letters' keys and reasons.
using Letters = std::map<std::pair<std::string, ClientId>, std::map<std::string, std::string>>;

// Views that begin anew, again and again.
class FreshStart {
 public:
  FreshStart(const SimCase& sim, const World& world, ExpressionEngine& expressions, std::vector<ViewPlan> plans,
             std::map<std::string, Relation> relations);

  // Empty where a round fails; then `problem` says why.
  Letters letters(const std::map<ClientId, ClientAttributes>& attributes, std::string& problem);

 private:
  const SimCase& sim_;
  const World& world_;
  std::vector<ViewPlan> plans_;
  std::map<std::string, Relation> relations_;  // domains
  std::unique_ptr<ViewGraph> graph_;
};

// What differs; empty where nothing does. `may_lack`: some of the wanted ones may not be there.
std::string compare_letters(const std::map<std::string, std::string>& wanted,
                            const std::map<std::string, std::string>& kept, bool may_lack);

}  // namespace tributary::simulation
