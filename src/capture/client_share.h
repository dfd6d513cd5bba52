// Which node shall read which client, where several are ready to: the same answer on every node that knows of the same ones.
//
//   share_clients({{"acme", {"a:1", "b:2"}}, {"globex", {"a:1", "b:2"}}})      // one each
//
// Nobody gets more than its even share as long as another node is ready with less, and a node that comes or goes moves few
// clients but its own. Pure.
#pragma once

#include <map>
#include <set>
#include <string>

namespace tributary {

// `ready`: by client the nodes that reach it. A client that nobody reaches is not in the answer.
std::map<std::string, std::string> share_clients(const std::map<std::string, std::set<std::string>>& ready);

}  // namespace tributary
