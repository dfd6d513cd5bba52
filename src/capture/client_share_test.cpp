#include "capture/client_share.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

std::map<std::string, std::set<std::string>> all_ready(size_t clients, const std::set<std::string>& nodes) {
  std::map<std::string, std::set<std::string>> ready;
  for (size_t i = 0; i < clients; ++i) ready["client" + std::to_string(i)] = nodes;
  return ready;
}

std::map<std::string, size_t> loads(const std::map<std::string, std::string>& share) {
  std::map<std::string, size_t> load;
  for (const auto& [client, node] : share) ++load[node];
  return load;
}

TEST(ShareClients, IsEvenAndMovesFew) {
  std::set<std::string> nodes{"db1:10", "db2:10", "db3:10"};
  auto three = share_clients(all_ready(300, nodes));
  ASSERT_EQ(three.size(), 300U);
  for (const auto& [node, load] : loads(three)) EXPECT_EQ(load, 100U) << node;
  nodes.insert("db4:10");
  auto four = share_clients(all_ready(300, nodes));
  for (const auto& [node, load] : loads(four)) EXPECT_EQ(load, 75U) << node;
  size_t moved = 0;
  for (const auto& [client, node] : four) moved += three[client] != node ? 1 : 0;
  EXPECT_LT(moved, 150U);  // 75 at best
  EXPECT_EQ(share_clients(all_ready(2, {"a:1", "b:2"})).size(), 2U);
  for (const auto& [node, load] : loads(share_clients(all_ready(2, {"a:1", "b:2"})))) EXPECT_EQ(load, 1U) << node;
}

TEST(ShareClients, OnlyWhoReachesAClientGetsIt) {
  auto share = share_clients({{"acme", {"a:1"}}, {"globex", {"a:1"}}, {"initech", {"a:1", "b:2"}}, {"umbrella", {}}});
  EXPECT_EQ(share["acme"], "a:1");
  EXPECT_EQ(share["globex"], "a:1");
  EXPECT_EQ(share["initech"], "b:2");
  EXPECT_FALSE(share.contains("umbrella"));
  EXPECT_TRUE(share_clients({}).empty());
}

}  // namespace
}  // namespace tributary
