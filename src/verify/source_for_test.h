// For tests: a real PostgreSQL in a temporary folder, reached by Unix socket alone, and analytics faked by tables of the same
// database: the table analytics.VIEW holds what ClickHouse would print, row by row, in text columns, the last of them being
// the JSON of the values that their types cannot hold.
#pragma once

#include <libpq-fe.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "verify/verify.h"

namespace tributary {

class TestServer {
 public:
  static TestServer& instance() {
    static TestServer server;
    return server;
  }

  std::string url(const std::string& database) const {
    return "postgresql://postgres@/" + database + "?host=" + directory_;
  }
  const std::string& directory() const { return directory_; }

 private:
  TestServer() {
    char name[] = "/tmp/tributary-verify-XXXXXX";
    directory_ = mkdtemp(name);
    run("chmod 755 " + directory_);
    if (geteuid() == 0) {
      as_ = "setpriv --reuid postgres --regid postgres --clear-groups ";
      run("chown postgres " + directory_);
    }
    run(as_ + bin + "initdb -D " + directory_ + "/data -U postgres -A trust -E UTF8 --locale C >/dev/null");
    run(as_ + bin + "pg_ctl -D " + directory_ + "/data -w -l " + directory_ +
        "/log -o \"-c listen_addresses= -c "
        "unix_socket_directories=" +
        directory_ + " -c fsync=off -c wal_level=logical\" start >/dev/null");
  }
  ~TestServer() {
    run(as_ + bin + "pg_ctl -D " + directory_ + "/data -m immediate stop >/dev/null");
    std::filesystem::remove_all(directory_);
  }

  static void run(const std::string& command) { CHECK(std::system(command.c_str()) == 0, "{}", command); }

  static constexpr const char* bin = "/usr/lib/postgresql/15/bin/";
  std::string directory_;
  std::string as_;
};

class TestConnection {
 public:
  explicit TestConnection(const std::string& url) : connection_(PQconnectdb(url.c_str())) {
    if (PQstatus(connection_) != CONNECTION_OK) fail("connect");
  }
  ~TestConnection() { PQfinish(connection_); }
  TestConnection(const TestConnection&) = delete;
  TestConnection& operator=(const TestConnection&) = delete;

  // The first column of the first row.
  std::string run(const std::string& sql) {
    PGresult* result = PQexec(connection_, sql.c_str());
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(sql);
    std::string value = PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
    PQclear(result);
    return value;
  }

  std::string copy(const std::string& select) {
    PQclear(PQexec(connection_, ("COPY (" + select + ") TO STDOUT").c_str()));
    std::string out;
    char* line = nullptr;
    int size = 0;
    while ((size = PQgetCopyData(connection_, &line, 0)) > 0) {
      out.append(line, static_cast<size_t>(size));
      PQfreemem(line);
    }
    if (size != -1) fail(select);
    while (PGresult* result = PQgetResult(connection_)) PQclear(result);
    return out;
  }

 private:
  // Ends the test, and lets the server be stopped.
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(what + ": " + PQerrorMessage(connection_));
  }

  PGconn* connection_;
};

// A database of its own per client, gone with the object.
class TestClient {
 public:
  explicit TestClient(const std::string& id) : id(id), database(id + "_" + std::to_string(++number_)) {
    admin().run("CREATE DATABASE " + database);
    connection = std::make_unique<TestConnection>(url());
    connection->run("CREATE SCHEMA analytics");
  }
  ~TestClient() {
    connection.reset();
    admin().run("DROP DATABASE " + database + " WITH (FORCE)");
  }

  std::string url() const { return TestServer::instance().url(database); }
  std::string run(const std::string& sql) { return connection->run(sql); }
  VerifyClient described(std::map<std::string, std::string> tables) const {
    return {.client = ClientId(id), .url = url(), .tables = std::move(tables)};
  }

  std::string id;
  std::string database;
  std::unique_ptr<TestConnection> connection;

 private:
  static TestConnection& admin() {
    static TestConnection connection(TestServer::instance().url("postgres"));
    return connection;
  }
  static inline int number_ = 0;
};

// Answers every question with the whole of analytics.VIEW, in pieces that cut rows.
inline VerifyPorts fake_ports(const std::vector<TestClient*>& clients) {
  VerifyPorts ports;
  ports.analytics = [clients](const ClientId& client, std::string_view sql, std::string_view format,
                              const std::function<void(std::string_view)>& out) -> Status {
    CHECK(format == "TabSeparated");
    size_t from = sql.find(" FROM `") + 7;
    std::string view(sql.substr(from, sql.find('`', from) - from));
    for (TestClient* known : clients) {
      if (known->id != client.value) continue;
      TestConnection connection(known->url());
      std::string answer = connection.copy("SELECT * FROM analytics.\"" + view + "\"");
      for (size_t at = 0; at < answer.size(); at += 1000) out(std::string_view(answer).substr(at, 1000));
      return {};
    }
    return Error{ErrorCode::kUnavailable, "no such client"};
  };
  return ports;
}

}  // namespace tributary
