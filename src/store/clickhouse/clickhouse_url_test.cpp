#include "store/clickhouse/clickhouse_url.h"

#include <gtest/gtest.h>

namespace tributary {
namespace {

ClickHouseTarget target_of(std::string_view text) {
  auto target = parse_clickhouse_url(text);
  EXPECT_TRUE(target.ok()) << text << ": " << target.error().message;
  return target.ok() ? *target : ClickHouseTarget{};
}

std::string error_of(std::string_view text) {
  auto target = parse_clickhouse_url(text);
  return target.ok() ? "none" : target.error().message;
}

TEST(ClickHouseUrl, Parts) {
  ClickHouseTarget plain = target_of("clickhouse://db.example/analytics");
  EXPECT_EQ(plain.endpoint.url, "http://db.example:8123");
  EXPECT_EQ(plain.endpoint.user, "");
  EXPECT_EQ(plain.endpoint.compression, HttpCompression::kLz4);
  EXPECT_EQ(plain.layout.tables, "analytics");
  EXPECT_EQ(plain.layout.client_database(ClientId("acme")), "analytics_acme");
  EXPECT_EQ(plain.layout.cluster, "");
  EXPECT_EQ(plain.layout.deduplication_window, 100u);

  ClickHouseTarget all =
      target_of("clickhouse+https://tri%40x@[::1]:9443/a?ca=/etc/a%20b.pem&compression=zstd&cluster=main&timeout=5s");
  EXPECT_EQ(all.endpoint.url, "https://[::1]:9443");
  EXPECT_EQ(all.endpoint.user, "tri@x");
  EXPECT_EQ(all.endpoint.ca_file, "/etc/a b.pem");
  EXPECT_EQ(all.endpoint.compression, HttpCompression::kZstd);
  EXPECT_EQ(all.endpoint.timeout, std::chrono::seconds(5));
  EXPECT_EQ(all.layout.cluster, "main");
  EXPECT_EQ(target_of("clickhouse+https://h/a").endpoint.url, "https://h:8443");
  EXPECT_EQ(target_of("clickhouse://h/a?compression=none").endpoint.compression, HttpCompression::kNone);
}

TEST(ClickHouseUrl, ErrorsSayWhatToWriteAndShowNoSecret) {
  for (const char* text : {"http://h/a",
                           "clickhouse://",
                           "clickhouse://h",
                           "clickhouse://h/",
                           "clickhouse:///a",
                           "clickhouse://h:0/a",
                           "clickhouse://h:x/a",
                           "clickhouse://h:9000/a",
                           "clickhouse://::1/a",
                           "clickhouse://h/system",
                           "clickhouse://h/a-b",
                           "clickhouse://h/a b",
                           "clickhouse://h/a?b=c",
                           "clickhouse://h/a?ca=/x",
                           "clickhouse://h/a?timeout=5",
                           "clickhouse://h/a?compression=gzip",
                           "clickhouse://h/a?cluster=",
                           "clickhouse://u:canary"
                           "@h/a",
                           "clickhouse://u%0Ax@h/a",
                           "clickhouse://h/a?ca=%x"}) {
    std::string error = error_of(text);
    EXPECT_NE(error, "none") << text;
    EXPECT_EQ(error.find("canary"), std::string::npos) << error;
  }
  EXPECT_NE(error_of("clickhouse://h:9000/a").find("8123"), std::string::npos);
  EXPECT_NE(error_of("clickhouse://u:p"
                     "@h/a")
                .find("password:"),
            std::string::npos);
}

}  // namespace
}  // namespace tributary
