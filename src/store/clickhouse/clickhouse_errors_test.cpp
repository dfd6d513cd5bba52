#include "store/clickhouse/clickhouse_errors.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/temporary_engine.h"
#include "store/clickhouse/http_client.h"

namespace tributary {
namespace {

// The engine's own names of the numbers.
TEST(ClickHouseErrors, NumbersAreTheOnesThatTheirNamesSay) {
  ClickHouseHttp http({.socket = TemporaryEngine::shared().socket()});
  std::string sql = "SELECT ";
  std::string names;
  for (const ClickHouseErrorKind& kind : clickhouse_error_kinds()) {
    sql += (names.empty() ? "errorCodeToName(" : ", errorCodeToName(") + std::to_string(kind.code) + ")";
    names += (names.empty() ? "" : "\t") + std::string(kind.name);
  }
  auto answer = http.read({.sql = sql});
  ASSERT_TRUE(answer.ok()) << answer.error().to_string();
  EXPECT_EQ(*answer, names + "\n");
}

TEST(ClickHouseErrors, AreFoundByNumber) {
  auto kinds = clickhouse_error_kinds();
  EXPECT_TRUE(std::is_sorted(kinds.begin(), kinds.end(), [](auto& a, auto& b) { return a.code < b.code; }));
  for (const ClickHouseErrorKind& kind : kinds) EXPECT_EQ(clickhouse_error(kind.code, "").code, kind.kind) << kind.name;
}

TEST(ClickHouseErrors, SayTheirNumberOnce) {
  EXPECT_EQ(
      clickhouse_error(73, "Code: 73. DB::Exception: Code: 73. DB::Exception: Code: 73. DB::Exception: x").message,
      "Code: 73. DB::Exception: x");
  EXPECT_EQ(clickhouse_error(73, "Code: 73. DB::Exception: Code: 7. DB::Exception: x").message,
            "Code: 73. DB::Exception: Code: 7. DB::Exception: x");
}

TEST(ClickHouseErrors, WhatMayPassIsTriedAgain) {
  for (int code : {159, 160, 209, 210, 236, 241, 242, 243, 252, 319, 425, 999}) {
    EXPECT_TRUE(retryable(clickhouse_error(code, "").code)) << code;
  }
  // Types, names and columns that do not fit stay so.
  for (int code : {16, 47, 53, 60, 62, 70, 349, 497, 516}) {
    EXPECT_FALSE(retryable(clickhouse_error(code, "").code)) << code;
  }
  EXPECT_EQ(clickhouse_error(1001, "Code: 1001. std::filesystem: No space left on device").code,
            ErrorCode::kResourceExhausted);
}

TEST(ClickHouseErrors, KnowWhoIsRefused) {
  EXPECT_EQ(clickhouse_code("table t: Code: 60. DB::Exception: no"), 60);
  EXPECT_EQ(clickhouse_code("no connection"), 0);
  EXPECT_TRUE(refuses_user(clickhouse_error(516, "Code: 516. DB::Exception: wrong password")));
  EXPECT_TRUE(refuses_user(Error{ErrorCode::kPermissionDenied, "ClickHouse at http://x answers 403: a gateway"}));
  EXPECT_FALSE(refuses_user(clickhouse_error(497, "Code: 497. DB::Exception: not enough privileges")));
  EXPECT_FALSE(refuses_user(clickhouse_error(60, "Code: 60. DB::Exception: no such table")));
}

}  // namespace
}  // namespace tributary
