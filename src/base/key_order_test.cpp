#include "base/key_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace tributary {
namespace {

TEST(KeyOrder, IsThatOfBytes) {
  std::vector<std::string_view> keys{"k/b", "k/a", "k/ab"};
  EXPECT_EQ(key_order(keys), (std::vector<uint32_t>{1, 2, 0}));
  EXPECT_TRUE(key_order({}).empty());
}

// With zeros, bytes above 127, empty keys, keys that begin others, and long equal beginnings.
TEST(KeyOrder, OfAnyKeysIsThatOfASort) {
  std::mt19937_64 random(7);
  const std::string_view bytes("\0\x01\x7F\x80\xFF", 5);
  for (int round = 0; round < 500; ++round) {
    std::string prefix(random() % 20, 'p');
    std::vector<std::string> texts(random() % 40);
    for (std::string& text : texts) {
      text = prefix;
      for (size_t length = random() % 12; length > 0; --length) text += bytes[random() % bytes.size()];
    }
    std::vector<std::string_view> keys(texts.begin(), texts.end());
    std::vector<std::string_view> ordered;
    for (uint32_t index : key_order(keys)) ordered.push_back(keys[index]);
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(ordered, keys);
  }
}

}  // namespace
}  // namespace tributary
