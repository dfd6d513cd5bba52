// Dead letters, judged: those that are kept must be exactly those that the same views give when they begin with the clients'
// tables as they are now.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "process/view_graph.h"
#include "sim_case.h"
#include "sim_world.h"

namespace tributary::simulation {

// By view and client: the letters' keys and reasons.
using Letters = std::map<std::pair<std::string, ClientId>, std::map<std::string, std::string>>;

struct FreshStart {
  std::vector<ViewPlan> plans;
  std::map<std::string, Relation> relations;  // domains
  std::map<ClientId, ClientAttributes> attributes;
};

// Empty where a round fails; then `problem` says why.
Letters letters_of(const FreshStart& start, const SimCase& sim, const World& world, ExpressionEngine& expressions,
                   std::string& problem);

// What differs; empty where nothing does. `may_lack`: some of the wanted ones may not be there.
// Of a group that several rows make fail, the reason is one's of them.
std::string compare_letters(const std::map<std::string, std::string>& wanted,
                            const std::map<std::string, std::string>& kept, bool may_lack);

}  // namespace tributary::simulation
