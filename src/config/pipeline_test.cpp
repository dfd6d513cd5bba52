#include "config/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "config/scalars.h"
#include "config/yaml_tree.h"

namespace tributary {
namespace {

LoadOptions test_environment() {
  return {.environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "ACME_PASSWORD") return "hunter2-canary";
    return std::nullopt;
  }};
}

std::variant<Pipeline, std::vector<FileError>> parse(const std::string& text) {
  return parse_pipeline("shop.yaml", text, test_environment());
}

std::string errors_of(const std::string& text) {
  auto loaded = parse(text);
  std::string out;
  if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) {
    for (const FileError& error : *errors) out += error.to_string() + "\n";
  }
  return out;
}

Pipeline pipeline_of(const std::string& text) {
  auto loaded = parse(text);
  EXPECT_TRUE(std::holds_alternative<Pipeline>(loaded)) << errors_of(text);
  return std::holds_alternative<Pipeline>(loaded) ? std::get<Pipeline>(loaded) : Pipeline{};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream out;
  out << file.rdbuf();
  EXPECT_FALSE(out.str().empty()) << path;
  return out.str();
}

const std::string config_tests = std::string(TRIBUTARY_SOURCE_DIR) + "/tests/config/";

TEST(Pipeline, WholeGrammar) {
  Pipeline shop = pipeline_of(read_file(config_tests + "whole_grammar.yaml"));
  EXPECT_EQ(shop.name, "shop");
  ASSERT_EQ(shop.clients.size(), 2u);
  const ClientConfig& acme = shop.clients.at("acme");
  EXPECT_EQ(acme.password, "hunter2-canary");
  EXPECT_EQ(acme.source.text, "postgresql://tributary@db.acme.example/shop");
  EXPECT_EQ(acme.source.port, 5432);
  EXPECT_EQ(acme.source.database, "shop");
  EXPECT_EQ(acme.attributes.at("plan"), (AttributeValue{"gold", {TypeId::kText}}));
  EXPECT_EQ(acme.attributes.at("tax"), (AttributeValue{"0.19", {TypeId::kDecimal, 2, 2}}));
  EXPECT_EQ(acme.attributes.at("trial"), (AttributeValue{"false", {TypeId::kBool}}));
  EXPECT_EQ(acme.limits.rows_per_second, 50'000u);  // from client_defaults
  const ClientConfig& globex = shop.clients.at("globex");
  EXPECT_EQ(globex.source.scheme, "mysql");
  EXPECT_EQ(globex.limits.rows_per_second, 20'000u);
  EXPECT_EQ(globex.limits.retained_wal_bytes_max, 20ull << 30);
  EXPECT_EQ(shop.domains.at("orders").table, "public.orders");
  EXPECT_EQ(shop.domains.at("orders").event, "order");
  ASSERT_EQ(shop.views.size(), 3u);
  EXPECT_EQ(shop.views[0].name, "customers");
  EXPECT_EQ(shop.views[1].order_by, std::vector<std::string>{"id"});
  ASSERT_EQ(shop.tests.size(), 1u);
  EXPECT_EQ(shop.tests[0].given.at("orders")[0][1].second.text, "test");
  EXPECT_TRUE(shop.tests[0].expect.at("sales").empty());
  EXPECT_EQ(shop.log.topics, "{domain}");
  EXPECT_EQ(shop.log.retention, std::chrono::hours(72));
  EXPECT_EQ(shop.serve.host, "127.0.0.1");
  EXPECT_EQ(shop.serve.port, 8080);
  EXPECT_EQ(shop.data, "data");
  EXPECT_EQ(shop.source_name(acme.id), "tributary_shop_acme");
  EXPECT_EQ(shop.attribute_types().at("tax"), (LogicalType{TypeId::kDecimal, 3, 3}));
  EXPECT_EQ(shop.attribute_types().at("plan"), (LogicalType{TypeId::kText}));

  std::string refused;
  for (const FileError& error : not_built_yet(shop)) refused += error.to_string() + "\n";
  EXPECT_NE(refused.find("client globex: mysql sources are not built yet"), std::string::npos) << refused;
  EXPECT_EQ(refused.find("analytics"), std::string::npos) << refused;
  EXPECT_EQ(refused.find("view"), std::string::npos) << refused;
}

// tests/config/*.yaml with what is expected of it beside: *.errors, the whole output. With TRIBUTARY_WRITE_EXPECTED set, the
// expectations are written instead: read the difference before you commit it.
TEST(Pipeline, ErrorsAreAsWritten) {
  for (const char* name : {"mistakes", "stages", "kafka", "kafka_address", "kafka_user", "kafka_keys_alone",
                           "kafka_forms", "kafka_compacted_blocks", "bounds", "not_a_map", "anchors", "broken_yaml"}) {
    if (std::getenv("TRIBUTARY_WRITE_EXPECTED") != nullptr) {
      std::ofstream(config_tests + name + ".errors") << errors_of(read_file(config_tests + name + ".yaml"));
    }
    std::string expected = read_file(config_tests + name + ".errors");
    EXPECT_EQ(errors_of(read_file(config_tests + name + ".yaml")), expected) << name;
  }
}

TEST(Pipeline, BrokersOfKafka) {
  auto log_of = [](const std::string& log) {
    return pipeline_of(
               "pipeline: p\nclients: { a: { source: 'postgresql://h/d' } }\ndomains: { o: { table: s.o } }\nlog: " +
               log + "\n")
        .log;
  };
  LogConfig log = log_of("{ at: 'kafka://a%40b@one.example:9093,two.example', password: hunter2, tls: true }");
  EXPECT_EQ(log.kafka.user, "a@b");
  EXPECT_EQ(log.kafka.brokers, "one.example:9093,two.example:9092");
  EXPECT_TRUE(log.kafka.tls);
  EXPECT_EQ(log.kafka.sasl, "PLAIN");
  EXPECT_EQ(log.kafka.compression, "lz4");
  EXPECT_EQ(log_of("{ at: 'kafka://u@127.0.0.1:1,localhost:2,[::1]:3', password: p }").kafka.user, "u");
  EXPECT_FALSE(log_of("{ at: kafka://u@broker.example, password: p, tls: false }").kafka.tls);
  EXPECT_EQ(log_of("{ at: kafka://broker.example, compression: zstd }").kafka.compression, "zstd");
}

TEST(Pipeline, SecretsStayOutOfMessages) {
  std::string out = errors_of(
      "pipeline: ${env:ACME_PASSWORD}\nclients:\n  a: { source: \"postgresql://u:pw-canary@h.example/d\" }\n"
      "domains: { o: { table: \"${env:ACME_PASSWORD}\" } }\nserve: ${env:ACME_PASSWORD}\n"
      "log: ${env:ACME_PASSWORD}\n");
  EXPECT_EQ(out.find("canary"), std::string::npos) << out;
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 5) << out;
}

TEST(Pipeline, SecretFiles) {
  std::string path = testing::TempDir() + "tributary_secret_test";
  std::ofstream(path) << "from file\n";
  std::string text = "pipeline: p\nclients: { a: { source: 'postgresql://h/d', password: '${file:" + path +
                     "}' } }\ndomains: { o: { table: s.o } }\n";
  EXPECT_EQ(pipeline_of(text).clients.at("a").password, "from file");
  std::remove(path.c_str());
  EXPECT_EQ(errors_of(text).substr(0, 40), "shop.yaml:2:55: the file " + path.substr(0, 15));
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(errors_of(text), testing::HasSubstr("is no file"));
  std::remove(path.c_str());
}

TEST(Pipeline, DataIsBesideTheFile) {
  std::string text = "pipeline: p\nclients: { a: { source: 'postgresql://h/d' } }\ndomains: { o: { table: s.o } }\n";
  EXPECT_EQ(std::get<Pipeline>(parse_pipeline("conf/shop.yaml", text)).data, "conf/data");
  EXPECT_EQ(std::get<Pipeline>(parse_pipeline("/etc/shop.yaml", text + "data: ./x\n")).data, "/etc/x");
  EXPECT_EQ(std::get<Pipeline>(parse_pipeline("conf/shop.yaml", text + "data: /var/lib/x\n")).data, "/var/lib/x");
  EXPECT_EQ(errors_of(text + "data: \"/var\\0/x\"\n"), "shop.yaml:4:7: data is a folder; write data: ./data\n");
}

TEST(Pipeline, AttributesBecomeColumns) {
  Column column(LogicalType{TypeId::kDecimal, 5, 3});
  append_attribute(column, {{"tax", {"0.19", {TypeId::kDecimal, 2, 2}}}}, "tax");
  append_attribute(column, {{"tax", {"7", {TypeId::kInt64}}}}, "tax");
  append_attribute(column, {}, "tax");
  EXPECT_EQ(column.fixed<Int128>(0), 190);
  EXPECT_EQ(column.fixed<Int128>(1), 7000);
  EXPECT_EQ(column.state(2), CellState::kNull);
}

// The place of a word in SQL, written in every style that YAML has.
TEST(Pipeline, PlacesInsideSql) {
  auto place = [](const std::string& scalar, size_t nth) {
    std::string text =
        "pipeline: p\nclients: { a: { source: 'postgresql://h/d' } }\ndomains: { o: { table: s.o } }\nviews:\n"
        "  v:\n    sql: " +
        scalar + "\n";
    Pipeline pipeline = pipeline_of(text);
    const ViewConfig& view = pipeline.views.at(0);
    size_t at = view.sql.find("HERE");
    for (; nth > 1; --nth) at = view.sql.find("HERE", at + 1);
    EXPECT_NE(at, std::string::npos) << view.sql;
    TextPlace in_sql;
    for (size_t i = 0; i < at; ++i) {
      if (view.sql[i] == '\n') {
        ++in_sql.line;
        in_sql.column = 1;
      } else if ((view.sql[i] & 0xC0) != 0x80) {
        ++in_sql.column;
      }
    }
    TextPlace found = pipeline.place_in_file(view, in_sql);
    // The oracle: where the word stands in the file.
    std::istringstream lines(text);
    std::string line;
    for (size_t i = 0; i < found.line; ++i) std::getline(lines, line);
    size_t byte = 0;
    for (size_t column = 1; byte < line.size() && column < found.column; ++column) {
      ++byte;
      while (byte < line.size() && (line[byte] & 0xC0) == 0x80) ++byte;
    }
    return line.substr(byte, 4) + " " + std::to_string(found.line) + ":" + std::to_string(found.column);
  };
  EXPECT_EQ(place("SELECT HERE FROM o", 1), "HERE 6:17");
  EXPECT_EQ(place("SELECT a,\n      HERE FROM\n\n      o, HERE", 1), "HERE 7:7");
  EXPECT_EQ(place("SELECT a,\n      HERE FROM\n\n      o, HERE", 2), "HERE 9:10");
  EXPECT_EQ(place("|\n      SELECT\n        HERE,\n\n      b, HERE FROM o", 1), "HERE 8:9");
  EXPECT_EQ(place("|\n      SELECT\n        HERE,\n\n      b, HERE FROM o", 2), "HERE 10:10");
  EXPECT_EQ(place("|-\n      SELECT HERE", 1), "HERE 7:14");
  EXPECT_EQ(place("|2\n        SELECT HERE", 1), "HERE 7:16");
  EXPECT_EQ(place("> # folded\n      SELECT\n      HERE\n\n      FROM HERE", 1), "HERE 8:7");
  EXPECT_EQ(place("> # folded\n      SELECT\n      HERE\n\n      FROM HERE", 2), "HERE 10:12");
  EXPECT_EQ(place(">\n      SELECT\n          deeper HERE\n      o HERE", 2), "HERE 9:9");
  EXPECT_EQ(place("'SELECT ''x'' HERE'", 1), "HERE 6:24");
  EXPECT_EQ(place("'SELECT ''''\n      HERE'", 1), "HERE 7:7");
  EXPECT_EQ(place("\"SELECT \\\"a\\\" \\u00e9 \\x41 \\t HERE\"", 1), "HERE 6:39");
  EXPECT_EQ(place("\"SELECT \\\n      \\  HERE\"", 1), "HERE 7:10");
  EXPECT_EQ(place("\"SELECT\n\n      HERE\"", 1), "HERE 8:7");
  EXPECT_EQ(place("SELECT 'äöü' || HERE", 1).substr(0, 4), "HERE");
  EXPECT_EQ(place("|\n      SELECT 'äöü', HERE", 1), "HERE 7:21");
}

TEST(Scalars, SizesAndDurations) {
  EXPECT_EQ(parse_size("20GiB"), 20ull << 30);
  EXPECT_EQ(parse_size("512MiB"), 512ull << 20);
  EXPECT_EQ(parse_size("4096"), 4096u);
  EXPECT_EQ(parse_size("10GB"), 10'000'000'000u);
  EXPECT_EQ(parse_size("18446744073709551615TiB"), std::nullopt);
  EXPECT_EQ(parse_size("20 GiB"), std::nullopt);
  EXPECT_EQ(parse_size("-1"), std::nullopt);
  EXPECT_EQ(parse_size(""), std::nullopt);
  EXPECT_EQ(parse_duration("30s"), std::chrono::seconds(30));
  EXPECT_EQ(parse_duration("500ms"), std::chrono::milliseconds(500));
  EXPECT_EQ(parse_duration("7d"), std::chrono::hours(168));
  EXPECT_EQ(parse_duration("30"), std::nullopt);
  EXPECT_EQ(parse_duration("99999999999999d"), std::nullopt);
}

TEST(Scalars, AttributeTypes) {
  EXPECT_EQ(attribute_type("12").to_string(), "int64");
  EXPECT_EQ(attribute_type("-12").to_string(), "int64");
  EXPECT_EQ(attribute_type("0.19").to_string(), "decimal(2,2)");
  EXPECT_EQ(attribute_type("-12.500").to_string(), "decimal(5,3)");
  EXPECT_EQ(attribute_type("1e3").to_string(), "float64");
  EXPECT_EQ(attribute_type("00123").to_string(), "text");
  EXPECT_EQ(attribute_type("1.2.3").to_string(), "text");
  EXPECT_EQ(attribute_type("true").to_string(), "bool");
  EXPECT_EQ(attribute_type("gold").to_string(), "text");
  EXPECT_EQ(attribute_type("-").to_string(), "text");
}

TEST(Scalars, SourceUrls) {
  SourceUrl url = parse_source_url("postgresql://me@DB.Example:5433/shop?sslmode=verify-full").value();
  EXPECT_EQ(url.host, "db.example");
  EXPECT_EQ(url.port, 5433);
  EXPECT_EQ(url.user, "me");
  EXPECT_EQ(url.parameters.at("sslmode"), "verify-full");
  EXPECT_EQ(parse_source_url("postgres://h/d").value().scheme, "postgresql");
  EXPECT_EQ(parse_source_url("postgresql:///d?host=/run/pg&port=5999").value().host, "/run/pg");
  EXPECT_EQ(parse_source_url("postgresql://u@%2Frun%2Fpg/d").value().host, "/run/pg");
  EXPECT_EQ(parse_source_url("postgresql://[::1]:5433/d").value().host, "::1");
  EXPECT_EQ(parse_source_url("postgresql://localhost/d").value().identity(),
            parse_source_url("postgres://x@127.0.0.1:5432/d").value().identity());
  for (const char* bad :
       {"postgresql://u:secret@h.example/d", "postgresql://h/d?password=secret", "postgresql://h/d?sslpassword=secret",
        "postgresql://h", "oracle://h/d", "h/d", "postgresql://h:0/d", "postgresql://h:99999/d", "postgresql://h/d?x",
        "postgresql://h/a b", "postgresql://%zz/d", "postgresql://[::1/d", ""}) {
    auto parsed = parse_source_url(bad);
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.error().message.find("secret"), std::string::npos) << parsed.error().message;
  }
}

TEST(Pipeline, LimitsHold) {
  EXPECT_NE(errors_of(std::string(yaml_bytes_max + 1, '#')).find("at most 4194304 bytes are read"), std::string::npos);
  EXPECT_NE(errors_of("a: " + std::string(100, '[') + std::string(100, ']')).find("nested more than 64 deep"),
            std::string::npos);
  EXPECT_NE(errors_of("a: " + std::string(200'000, '[')).find("shop.yaml:1:"), std::string::npos);
  EXPECT_NE(errors_of(std::string("a: \0", 4)).find("not UTF-8"), std::string::npos);
  EXPECT_NE(errors_of("\xEF\xBB\xBFpipeline: p").find("byte order mark"), std::string::npos);
  EXPECT_NE(errors_of("pipeline: p\nclients:\n\ta:\n\t\tsource: x\n").find(":3:1: a tab indents"), std::string::npos);
  EXPECT_EQ(errors_of("pipeline: p\nclients: [\n\n").find("a tab"), std::string::npos);
  EXPECT_NE(errors_of("").find("empty"), std::string::npos);
  EXPECT_NE(errors_of("pipeline: p\n---\npipeline: q\n").find("second document"), std::string::npos);
  EXPECT_NE(errors_of("? [a]\n: b\n").find("a key is a plain text"), std::string::npos);
}

// Whatever the file holds: a pipeline or errors with places inside the file. Run again with the printed seed.
TEST(Pipeline, MutatedFilesNeverBreak) {
  uint32_t seed = 20240229;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string base = read_file(config_tests + "whole_grammar.yaml");
  const std::string pieces[] = {
      ":",   "- ",       "{",     "}",    "[",   "]",    "|", ">",  "\"", "'",    "&a ",          "*a",
      "!t ", "${env:X}", "${",    "\t",   "\n",  "\r\n", "#", "? ", "~",  "\xC3", "\xE2\x80\xA8", "%",
      "@",   "---\n",    "...\n", "<<: ", "2GiB"};
  for (int round = 0; round < 2000; ++round) {
    std::string text = base;
    for (int i = 0; i < 4; ++i) {
      size_t at = random() % text.size();
      switch (random() % 4) {
        case 0: text.erase(at, random() % 20); break;
        case 1: text.insert(at, text.substr(random() % text.size(), random() % 60)); break;
        case 2: text[at] = static_cast<char>(random()); break;
        default: text.insert(at, pieces[random() % std::size(pieces)]); break;
      }
      if (text.empty()) text = "x";
    }
    auto loaded = parse(text);
    if (auto* errors = std::get_if<std::vector<FileError>>(&loaded)) {
      ASSERT_FALSE(errors->empty());
      size_t lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
      for (const FileError& error : *errors) ASSERT_LE(error.place.line, lines) << error.to_string();
    } else {
      const Pipeline& pipeline = std::get<Pipeline>(loaded);
      for (const ViewConfig& view : pipeline.views) {
        ASSERT_EQ(view.sql_offsets.size(), view.sql.size() + 1);
        TextPlace place = pipeline.place_in_file(view, {1, 1});
        ASSERT_GE(place.line, 1u);
      }
    }
  }
}

}  // namespace
}  // namespace tributary
