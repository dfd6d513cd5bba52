// A real PostgreSQL for capture's tests: its own data directory, a Unix socket and a free port, ended with the program.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <vector>

namespace tributary {

class TestConnection {
 public:
  explicit TestConnection(const std::string& conninfo);
  ~TestConnection();
  TestConnection(const TestConnection&) = delete;
  TestConnection& operator=(const TestConnection&) = delete;
  // Fails the test on an error. Cells as text, NULL as "\\N".
  std::vector<std::vector<std::string>> rows(const std::string& sql);
  std::string one(const std::string& sql);
  void run(const std::string& sql);
  // Sends without waiting for the answer.
  void send(const std::string& sql);
  PGconn* raw() { return connection_; }

 private:
  PGconn* connection_;
};

class TestPostgres {
 public:
  // Started at the first call; nullptr where there is no PostgreSQL 15 on this machine.
  static TestPostgres& shared();
  // With settings of its own ("wal_level = replica").
  explicit TestPostgres(const std::string& settings);
  ~TestPostgres();

  std::string make_database(const std::string& options = {});  // of CREATE DATABASE; its name
  std::string url(const std::string& database) const;  // over the Unix socket, as the superuser
  std::string tcp_url(const std::string& user, const std::string& database) const;
  void stop();
  void start();
  void crash();  // its processes end at once, without a checkpoint
  // While stopped: puts the data directory aside, and back again, as a backup of files is.
  void save();
  void restore();
  void kill_backends(const std::string& where);  // of pg_stat_activity

 private:
  void run(const std::vector<std::string>& command);  // as the server's user

  std::string directory_;
  int port_ = 0;
  int databases_ = 0;
  int process_ = 0;
};

}  // namespace tributary
