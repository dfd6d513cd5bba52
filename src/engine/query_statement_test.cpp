#include <gtest/gtest.h>

#include "engine/query_handler.h"

namespace tributary {
namespace {

std::string split(std::string_view sql) {
  InsertParts parts = split_insert(sql);
  if (!parts.is_insert) return "no insert";
  return parts.statement + "|" + parts.format + "|" + std::string(sql.substr(parts.data_begin));
}

TEST(SplitInsert, FindsWhereDataBegins) {
  EXPECT_EQ(split("INSERT INTO t (a) FORMAT CSV\n1\n"), "INSERT INTO t (a) |CSV|1\n");
  EXPECT_EQ(split("insert into d.t format Native"), "insert into d.t |Native|");
  EXPECT_EQ(split("INSERT INTO t FORMAT CSV \r\n\n1"), "INSERT INTO t |CSV|\n1");
  EXPECT_EQ(split("INSERT INTO t VALUES (1), (2)"), "INSERT INTO t |Values| (1), (2)");
  EXPECT_EQ(split("INSERT INTO format (format) FORMAT TSV\nx"), "INSERT INTO format (format) |TSV|x");
  EXPECT_EQ(split("INSERT INTO `a b`.`FORMAT` SETTINGS x = 1 FORMAT TSV\n"),
            "INSERT INTO `a b`.`FORMAT` SETTINGS x = 1 |TSV|");
  EXPECT_EQ(split("-- why\nINSERT INTO t FORMAT RowBinary\n;DROP TABLE t"), "INSERT INTO t |RowBinary|;DROP TABLE t");
  EXPECT_EQ(split("INSERT INTO t SELECT 1"), "no insert");
  EXPECT_EQ(split("INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x"), "no insert");
  EXPECT_EQ(split("SELECT 1 FORMAT CSV"), "no insert");
  EXPECT_EQ(split("INSERT INTO t FORMAT"), "no insert");
}

TEST(ExceptionCodes, AreReadFromTheText) {
  EXPECT_EQ(exception_code_of("Code: 60. DB::Exception: x"), 60);
  EXPECT_EQ(exception_code_of("x"), 1002);
  EXPECT_EQ(http_status_of(60), 404);
  EXPECT_EQ(http_status_of(62), 400);
  EXPECT_EQ(http_status_of(241), 500);
}

TEST(UrlDecode, LeavesBrokenEscapes) { EXPECT_EQ(url_decode("a%20b+c%2B%zz%4"), "a b c+%zz%4"); }

}  // namespace
}  // namespace tributary
