// How several nodes that are ready to read the same clients agree on which one does (lease.cpp): each client is read by the
// node that holds its lease, an advisory lock in its database, on a connection of its own.
#pragma once

#include <chrono>
#include <functional>

#include "base/strong.h"

namespace tributary {

struct LeaseOptions {
  // The server takes the lease from a node that says nothing for so long. Zero: there are no other nodes.
  std::chrono::milliseconds silence_max{0};
  std::chrono::milliseconds interval{1'000};  // between two attempts to get it, and two signs of life
  // Whether the client is this node's to read rather than another's; empty: always. What is not, it takes only where nobody
  // else does within `patience`, and gives away after `surplus`.
  std::function<bool(const ClientId&)> prefers;
  std::chrono::milliseconds patience{3'000};
  std::chrono::milliseconds surplus{10'000};

  bool shared() const { return silence_max.count() > 0; }
};

}  // namespace tributary
