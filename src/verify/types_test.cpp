// Every type that PostgreSQL has, with its awkward values: the right rendering on the analytics' side agrees, and a wrong one is
// found.
#include <gtest/gtest.h>

#include "verify/source_for_test.h"

namespace tributary {
namespace {

struct Case {
  const char* type;  // PostgreSQL's
  const char* literal;  // SQL of the value
  LogicalType output;  // as the pipeline has it
  const char* printed;  // by ClickHouse, as analytics_expression() asks; null: NULL
  const char* held;  // not null: the text in _unrepresentable, with `printed` NULL or a default
  const char* wrong;  // another value, as printed
};

const LogicalType text{TypeId::kText};
const LogicalType numeric{TypeId::kDecimal, 38, 18};

const std::vector<Case> cases = {
    {"boolean", "true", {TypeId::kBool}, "true", nullptr, "false"},
    {"boolean", "NULL", {TypeId::kBool}, nullptr, nullptr, "false"},
    {"smallint", "-32768", {TypeId::kInt16}, "-32768", nullptr, "32767"},
    {"integer", "2147483647", {TypeId::kInt32}, "2147483647", nullptr, "-1"},
    {"integer", "5", {TypeId::kInt64}, "5", nullptr, "6"},
    {"bigint", "-9223372036854775808", {TypeId::kInt64}, "-9223372036854775808", nullptr, "0"},
    {"bigint", "7", {TypeId::kDecimal, 21, 2}, "7", nullptr, "7.01"},
    {"oid", "4294967295", {TypeId::kInt64}, "4294967295", nullptr, "1"},
    {"real", "0.1", {TypeId::kFloat32}, "0.1", nullptr, "0.100001"},
    {"real", "0.1", {TypeId::kFloat64}, "0.10000000149011612", nullptr, "0.1"},
    {"double precision", "0.1", {TypeId::kFloat64}, "0.1", nullptr, "0.1000001"},
    {"double precision", "1e-300", {TypeId::kFloat64}, "1e-300", nullptr, "0"},
    {"double precision", "'-0'", {TypeId::kFloat64}, "0", nullptr, "1e-320"},
    {"double precision", "'NaN'", {TypeId::kFloat64}, "nan", nullptr, nullptr},
    {"double precision", "'-Infinity'", {TypeId::kFloat64}, "-inf", nullptr, "inf"},
    {"double precision", "'Infinity'", {TypeId::kFloat64}, "inf", nullptr, "1e308"},
    {"numeric(12,2)", "-0.05", {TypeId::kDecimal, 12, 2}, "-0.05", nullptr, "-0.06"},
    {"numeric(12,2)", "100", {TypeId::kDecimal, 12, 2}, "100", nullptr, "100.01"},
    {"numeric(12,2)", "'NaN'", {TypeId::kDecimal, 12, 2}, nullptr, "NaN", "0"},
    {"numeric(4,-2)", "123456", {TypeId::kDecimal, 6, 0}, "123500", nullptr, "123400"},
    {"numeric(2,4)", "0.0012", {TypeId::kDecimal, 4, 4}, "0.0012", nullptr, "0.0013"},
    {"numeric(60,5)",
     "1234567890123456789012345678901234567890.12300",
     {TypeId::kBigDecimal, 60, 5},
     "1234567890123456789012345678901234567890.123",
     nullptr,
     "1234567890123456789012345678901234567890.124"},
    {"numeric(60,5)", "'NaN'", {TypeId::kBigDecimal, 60, 5}, nullptr, "NaN", "1"},
    {"numeric(100,0)", "repeat('9', 90)::numeric", text,
     "999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999", nullptr, "9"},
    {"numeric", "0.000000000000000001", numeric, "0.000000000000000001", nullptr, "0"},
    {"numeric", "1.50000", numeric, "1.5", nullptr, "1.500000000000000001"},
    {"numeric", "0.1234567890123456789", numeric, nullptr, "0.1234567890123456789", "0.123456789012345679"},
    {"numeric", "1e30", numeric, nullptr, "1000000000000000000000000000000", "1"},
    {"numeric", "'Infinity'", numeric, nullptr, "Infinity", "0"},
    {"money", "'-1234567.89'", {TypeId::kDecimal, 19, 2}, "-1234567.89", nullptr, "1234567.89"},
    {"date", "'2024-02-29'", {TypeId::kDate}, "2024-02-29", nullptr, "2024-03-01"},
    {"date", "'9999-12-31'", {TypeId::kDate}, nullptr, "9999-12-31", "2299-12-31"},
    {"date", "'0044-03-15 BC'", {TypeId::kDate}, nullptr, "-0043-03-15", "1970-01-01"},
    {"date", "'0044-03-15 BC'", {TypeId::kDate}, nullptr, "0044-03-15 BC", "1970-01-01"},
    {"date", "'infinity'", {TypeId::kDate}, nullptr, "infinity", "2299-12-31"},
    {"date", "'5874897-12-31'", {TypeId::kDate}, nullptr, "5874897-12-31", "2299-12-31"},
    {"date", "'2024-02-29'", {TypeId::kTimestamp}, "2024-02-29 00:00:00.000000", nullptr, "2024-02-29 00:00:00.000001"},
    {"timestamp",
     "'2024-02-29 23:59:59.999999'",
     {TypeId::kTimestamp},
     "2024-02-29 23:59:59.999999",
     nullptr,
     "2024-02-29 23:59:59.999998"},
    {"timestamp", "'-infinity'", {TypeId::kTimestamp}, nullptr, "-infinity", "1900-01-01 00:00:00"},
    {"timestamp",
     "'0001-01-01 12:00:00.5 BC'",
     {TypeId::kTimestamp},
     nullptr,
     "0000-01-01 12:00:00.500000",
     "1900-01-01 00:00:00"},
    {"timestamp",
     "'294276-12-31 23:59:59'",
     {TypeId::kTimestamp},
     nullptr,
     "294276-12-31 23:59:59",
     "1900-01-01 00:00:00"},
    {"timestamptz",
     "'2024-02-29 23:59:59.5+02'",
     {TypeId::kTimestampTz},
     "2024-02-29 21:59:59.500000",
     nullptr,
     "2024-02-29 23:59:59.500000"},
    {"timestamptz",
     "'0044-03-15 10:00:00+00 BC'",
     {TypeId::kTimestampTz},
     nullptr,
     "0044-03-15 10:00:00+00 BC",
     "1900-01-01 00:00:00"},
    {"timestamptz",
     "'9999-12-31 00:00:00+00'",
     {TypeId::kTimestampTz},
     nullptr,
     "9999-12-31 00:00:00+00",
     "2299-12-31 00:00:00"},
    {"time", "'24:00:00'", text, "24:00:00", nullptr, "00:00:00"},
    {"timetz", "'12:00:00.000001+05:30'", text, "12:00:00.000001+05:30", nullptr, "12:00:00+05:30"},
    {"interval", "'1 year -2 mons 3 days -04:05:06.7'", text, "10 mons 3 days -04:05:06.7", nullptr, "10 mons"},
    {"text", "E'tab\\t, \\\\ and\\nnewline, \\\\N, ü€😀'", text, "tab\t, \\ and\nnewline, \\N, ü€😀", nullptr, "tab"},
    {"text", "''", text, "", nullptr, nullptr},
    {"text", "E'\\\\N'", text, "\\N", nullptr, nullptr},
    {"char(5)", "'ab'", text, "ab   ", nullptr, "ab"},
    {"varchar(5)", "'ab  '", text, "ab  ", nullptr, "ab"},
    {"name", "'n'", text, "n", nullptr, "m"},
    {"bytea", "'\\x00ff0a5c09'", {TypeId::kBytes}, "00FF0A5C09", nullptr, "00FF0A5C"},
    {"bytea", "''", {TypeId::kBytes}, "", nullptr, "00"},
    {"uuid",
     "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
     {TypeId::kUuid},
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
     nullptr,
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"},
    {"json",
     "'{\"a\":  12345678901234567890.10, \"a\": \"\\u0000\"}'",
     {TypeId::kJson},
     "{\"a\":  12345678901234567890.10, \"a\": \"\\u0000\"}",
     nullptr,
     "{}"},
    {"jsonb", "'null'", {TypeId::kJson}, "null", nullptr, nullptr},
    {"integer[]", "'[0:1][1:2]={{1,NULL},{3,4}}'", text, "[0:1][1:2]={{1,NULL},{3,4}}", nullptr, "{{1,NULL},{3,4}}"},
    {"text[]", "ARRAY['a,b', NULL, '', 'NULL']", text, "{\"a,b\",NULL,\"\",\"NULL\"}", nullptr, "{}"},
    {"int4range", "'[1,5)'", text, "[1,5)", nullptr, "[1,6)"},
    {"numrange", "'empty'", text, "empty", nullptr, ""},
    {"point", "'(1,2)'", text, "(1,2)", nullptr, "(2,1)"},
    {"inet", "'::1/128'", text, "::1", nullptr, "::2"},
    {"cidr", "'10.0.0.0/8'", text, "10.0.0.0/8", nullptr, "10.0.0.0/9"},
    {"macaddr", "'08:00:2b:01:02:03'", text, "08:00:2b:01:02:03", nullptr, ""},
    {"bit(5)", "B'10101'", text, "10101", nullptr, "10100"},
    {"bit varying", "B''", text, "", nullptr, "0"},
    {"tsvector", "'a:1 b:2'::tsvector", text, "'a':1 'b':2", nullptr, "'a':1"},
    {"xml", "'<a>1</a>'", text, "<a>1</a>", nullptr, "<a/>"},
    {"pg_lsn", "'0/1A2B'", text, "0/1A2B", nullptr, "0/1A2C"},
    {"mood", "'so so'", text, "so so", nullptr, "ok"},
    {"price", "12.5", {TypeId::kDecimal, 10, 2}, "12.5", nullptr, "12.51"},
    {"pair", "ROW(1, 'x y')::pair", text, "(1,\"x y\")", nullptr, "(1,x)"},
};

std::string literal(const char* value) {
  if (value == nullptr) return "NULL";
  std::string out = "'";
  for (const char* c = value; *c != 0; ++c) out += *c == '\'' ? "''" : std::string(1, *c);
  return out + "'";
}

class Types : public ::testing::Test {
 protected:
  Types() : acme_("acme") {
    acme_.run(
        "CREATE TYPE mood AS ENUM ('ok', 'so so'); CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > 0);"
        "CREATE TYPE pair AS (a integer, b text)");
    std::string columns = "id integer PRIMARY KEY";
    std::string values = "1";
    std::string printed = "'1'";
    std::string held;
    request_.views = {{.name = "t", .sql = "SELECT * FROM t", .columns = {{"id", {TypeId::kInt32}}}}};
    for (size_t i = 0; i < cases.size(); ++i) {
      columns += fmt::format(", c{} {}", i, cases[i].type);
      values += fmt::format(", {}", cases[i].literal);
      printed += fmt::format(", {}", literal(cases[i].printed));
      request_.views[0].columns.push_back({fmt::format("c{}", i), cases[i].output});
      if (cases[i].held != nullptr) held += fmt::format("{}\"c{}\":\"{}\"", held.empty() ? "{" : ",", i, cases[i].held);
    }
    acme_.run("CREATE TABLE t (" + columns + "); INSERT INTO t VALUES (" + values + ")");
    std::string texts = "id text";
    for (size_t i = 0; i < cases.size(); ++i) texts += fmt::format(", c{} text", i);
    acme_.run("CREATE TABLE analytics.t (" + texts + ", unrepresentable text); INSERT INTO analytics.t VALUES (" +
              printed + ", " + literal((held + "}").c_str()) + ")");
    std::string scratch = TestServer::instance().directory() + "/scratch";
    std::filesystem::create_directory(scratch);
    request_.scratch_directory = scratch;
    request_.clients = {acme_.described({{"t", "public.t"}})};
    request_.domains = {{.name = "t", .columns = request_.views[0].columns, .key = {"id"}}};
    ports_ = fake_ports({&acme_});
  }

  ViewReport verified() {
    Result<VerifyReport> report = verify(request_, ports_);
    CHECK(report.ok(), "{}", report.error().message);
    EXPECT_EQ(report->clients[0].error, "");
    return report->clients[0].views.empty() ? ViewReport{} : report->clients[0].views[0];
  }

  TestClient acme_;
  VerifyRequest request_;
  VerifyPorts ports_;
};

TEST_F(Types, TheRightRenderingAgrees) {
  ViewReport view = verified();
  EXPECT_EQ(view.error, "");
  for (const Finding& finding : view.samples) {
    for (const CellDifference& cell : finding.cells) {
      size_t index = std::stoul(cell.column.substr(1));
      ADD_FAILURE() << cases[index].type << " " << cases[index].literal << ": " << cell.source << " / "
                    << cell.analytics;
    }
  }
  EXPECT_TRUE(view.clean());
}

TEST_F(Types, AWrongValueOfEachIsFound) {
  std::string update = "UPDATE analytics.t SET unrepresentable = NULL";
  for (size_t i = 0; i < cases.size(); ++i) update += fmt::format(", c{} = {}", i, literal(cases[i].wrong));
  acme_.run(update);
  ViewReport view = verified();
  ASSERT_EQ(view.samples.size(), 1u);
  std::set<std::string> found;
  for (const CellDifference& cell : view.samples[0].cells) found.insert(cell.column);
  for (size_t i = 0; i < cases.size(); ++i) {
    EXPECT_TRUE(found.contains(fmt::format("c{}", i))) << cases[i].type << " " << cases[i].literal;
  }
}

TEST_F(Types, TheValidatorsOwnReadingOfTheCatalogIsThePipelines) {
  request_.domains[0].columns.clear();
  request_.domains[0].key.clear();
  ViewReport view = verified();
  EXPECT_TRUE(view.clean()) << view.error;
  EXPECT_TRUE(view.notes.empty());
}

TEST_F(Types, ATypeThatLosesDigitsIsSaid) {
  acme_.run(
      "CREATE TABLE o (id integer PRIMARY KEY, total numeric(12,2)); CREATE TABLE analytics.o (a text, b text, c "
      "text)");
  request_.clients = {acme_.described({{"o", "public.o"}})};
  request_.views = {
      {.name = "o", .sql = "SELECT * FROM o", .columns = {{"id", {TypeId::kInt32}}, {"total", {TypeId::kFloat64}}}}};
  request_.domains = {{.name = "o", .columns = request_.views[0].columns}};
  ViewReport view = verified();
  ASSERT_EQ(view.notes.size(), 1u);
  EXPECT_EQ(view.notes[0], "o.total: the pipeline's type, float64, loses digits of the source's numeric(12,2)");
}

// Both sides have NULL in the typed column; the texts beside it are all that there is.
TEST_F(Types, TheHeldTextAloneIsCompared) {
  acme_.run(
      "CREATE TABLE h (id integer PRIMARY KEY, n numeric);"
      "INSERT INTO h VALUES (1, 'NaN'), (2, 'NaN'), (3, NULL), (4, 'NaN');"
      "CREATE TABLE analytics.h (id text, n text, u text);"
      "INSERT INTO analytics.h VALUES ('1', NULL, '{\"n\":\"NaN\"}'), ('2', NULL, '{\"n\":\"Infinity\"}'),"
      "('3', NULL, '{\"n\":\"NaN\"}'), ('4', NULL, NULL)");
  request_.clients = {acme_.described({{"h", "public.h"}})};
  request_.views = {{.name = "h", .sql = "SELECT * FROM h", .columns = {{"id", {TypeId::kInt32}}, {"n", numeric}}}};
  request_.domains = {{.name = "h"}};
  std::string found;
  for (const Finding& finding : verified().samples) {
    found += finding.key + " " + finding.cells.at(0).source + "/" + finding.cells.at(0).analytics + "; ";
  }
  EXPECT_EQ(found, "id=2 NaN/Infinity; id=3 NULL/NaN; id=4 NaN/NULL; ");
}

// Keys of these types, whose values their types may not hold, are told apart and named.
TEST_F(Types, AwkwardKeys) {
  acme_.run(
      "CREATE TABLE k (a numeric, b timestamptz, c bytea, v integer, PRIMARY KEY (a, b, c));"
      "INSERT INTO k VALUES ('NaN', 'infinity', '\\x00', 1), ('NaN', '-infinity', '\\x00', 2), (0.5, '0044-03-15 BC', "
      "'', 3);"
      "CREATE TABLE analytics.k (a text, b text, c text, v text, u text);"
      "INSERT INTO analytics.k VALUES ('0', '1970-01-01 00:00:00', '00', '1', '{\"a\":\"NaN\",\"b\":\"infinity\"}'),"
      "('0', '1970-01-01 00:00:00', '00', '22', '{\"a\":\"NaN\",\"b\":\"-infinity\"}'),"
      "('0.5', '1970-01-01 00:00:00', '', '3', '{\"b\":\"-0043-03-15 00:00:00\"}')");
  request_.clients = {acme_.described({{"k", "public.k"}})};
  request_.views = {
      {.name = "k",
       .sql = "SELECT * FROM k",
       .columns = {{"a", numeric}, {"b", {TypeId::kTimestampTz}}, {"c", {TypeId::kBytes}}, {"v", {TypeId::kInt32}}}}};
  request_.domains = {{.name = "k"}};
  for (bool live : {false, true}) {  // by key again, as the source writes it
    request_.live = live;
    ViewReport view = verified();
    ASSERT_EQ(view.error, "");
    ASSERT_EQ(view.samples.size(), 1u);
    EXPECT_EQ(view.samples[0].kind, FindingKind::kDifferent);
    EXPECT_EQ(view.samples[0].key, "a=NaN, b=-infinity, c=\\x00");
  }
}

}  // namespace
}  // namespace tributary
