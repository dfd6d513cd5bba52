// One client's capture into a MemoryLog, and a naive merge of its facts to compare with the source's own tables.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "capture/memory_log_for_test.h"
#include "capture/postgres/postgres_for_test.h"
#include "capture/postgres/postgres_source.h"

namespace tributary {

// key → column → text of its value ("\\N": NULL, "?": not known).
using MergedTable = std::map<std::string, std::map<std::string, std::string>>;

class CaptureFixture : public ::testing::Test {
 public:
  void SetUp() override;
  void TearDown() override;

  CaptureClient client(const std::string& name, const std::string& database_name, std::vector<std::string> tables);
  void start(std::vector<std::string> tables, PostgresCaptureOptions options = {});
  void restart(std::vector<std::string> tables, PostgresCaptureOptions options = {});
  void stop() { source.reset(); }
  // Waits until all that the source has now is in the log.
  void catch_up(int seconds = 60);
  SourceStatus status() { return source->status()[0]; }
  bool wait_for(const std::function<bool()>& condition, int seconds = 30);

  MergedTable merged(const std::string& table, const std::string& name = "acme");
  // Compares with SELECT … FROM table in the source; the columns as the newest schema has them.
  void expect_same(const std::string& table);

  PostgresCaptureOptions defaults();
  MemoryLog log;
  std::string database;
  std::unique_ptr<TestConnection> sql;
  std::unique_ptr<ChangeSource> source;
};

// Text of a cell as PostgreSQL would write it, near enough to compare.
std::string cell_text(const Column& column, size_t row);

}  // namespace tributary
