#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "base/check.h"
#include "capture/postgres/postgres_for_test.h"

namespace tributary {
namespace {

constexpr const char* binaries = "/usr/lib/postgresql/15/bin/";

int free_port() {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  close(fd);
  return ntohs(address.sin_port);
}

// PostgreSQL refuses to run as root: then it runs as the user that its package made.
void become_server_user() {
  if (getuid() != 0) return;
  passwd* user = getpwnam("postgres");
  CHECK(user != nullptr);
  CHECK(setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0);
}

int spawn(const std::vector<std::string>& command, const std::string& output) {
  int child = fork();
  if (child != 0) return child;
  int fd = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  dup2(fd, 1);
  dup2(fd, 2);
  dup2(open("/dev/null", O_RDONLY), 0);
  become_server_user();
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

}  // namespace

TestConnection::TestConnection(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
  CHECK(PQstatus(connection_) == CONNECTION_OK, "{}", PQerrorMessage(connection_));
  PQsetNoticeProcessor(connection_, [](void*, const char*) {}, nullptr);
}
TestConnection::~TestConnection() { PQfinish(connection_); }

std::vector<std::vector<std::string>> TestConnection::rows(const std::string& sql) {
  PGresult* result = PQexec(connection_, sql.c_str());
  ExecStatusType status = PQresultStatus(result);
  EXPECT_TRUE(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) << sql << ": " << PQerrorMessage(connection_);
  std::vector<std::vector<std::string>> all;
  for (int row = 0; row < PQntuples(result); ++row) {
    auto& cells = all.emplace_back();
    for (int column = 0; column < PQnfields(result); ++column) {
      cells.push_back(PQgetisnull(result, row, column) != 0 ? "\\N" : PQgetvalue(result, row, column));
    }
  }
  PQclear(result);
  return all;
}
std::string TestConnection::one(const std::string& sql) {
  auto all = rows(sql);
  return all.empty() ? "" : all[0][0];
}
void TestConnection::run(const std::string& sql) { rows(sql); }
void TestConnection::send(const std::string& sql) { CHECK(PQsendQuery(connection_, sql.c_str()) == 1); }

TestPostgres& TestPostgres::shared() {
  static TestPostgres server("");
  return server;
}

TestPostgres::TestPostgres(const std::string& settings) : port_(free_port()) {
  directory_ = (std::filesystem::temp_directory_path() / "tributary-pg-XXXXXX").string();
  CHECK(mkdtemp(directory_.data()) != nullptr);
  chmod(directory_.c_str(), 0777);
  run({std::string(binaries) + "initdb", "-D", directory_ + "/data", "-U", "postgres", "-A", "trust", "-N",
       "--locale=C.UTF-8", "-E", "UTF8"});
  std::ofstream(directory_ + "/data/postgresql.conf", std::ios::app)
      << "wal_level = logical\nmax_wal_senders = 150\nmax_replication_slots = 150\nmax_connections = 400\nfsync = off\n"
      << "autovacuum = off\nlisten_addresses = '127.0.0.1'\nport = " << port_ << "\nunix_socket_directories = '"
      << directory_
      << "'\nshared_buffers = 256MB\nmax_prepared_transactions = 10\nwal_sender_timeout = 60s\nmax_wal_size = 4GB\n"
      << settings << "\n";
  start();
}

TestPostgres::~TestPostgres() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void TestPostgres::start() {
  process_ = spawn({std::string(binaries) + "postgres", "-D", directory_ + "/data"}, directory_ + "/server.log");
  for (int i = 0; i < 300; ++i) {
    PGconn* connection = PQconnectdb(url("postgres").c_str());
    bool ready = PQstatus(connection) == CONNECTION_OK;
    PQfinish(connection);
    if (ready) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  CHECK(false, "PostgreSQL did not start: see {}", directory_);
}

void TestPostgres::stop() {
  if (process_ == 0) return;
  kill(process_, SIGINT);  // fast shutdown
  int status = 0;
  for (int i = 0; i < 100; ++i) {
    if (waitpid(process_, &status, WNOHANG) == process_) {
      process_ = 0;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  kill(process_, SIGQUIT);
  waitpid(process_, &status, 0);
  process_ = 0;
}

void TestPostgres::crash() {
  int status = 0;
  kill(process_, SIGQUIT);
  waitpid(process_, &status, 0);
  process_ = 0;
}

void TestPostgres::save() { run({"cp", "-a", directory_ + "/data", directory_ + "/saved"}); }

void TestPostgres::restore() {
  run({"rm", "-r", directory_ + "/data"});
  run({"cp", "-a", directory_ + "/saved", directory_ + "/data"});
}

void TestPostgres::run(const std::vector<std::string>& command) {
  int status = 0;
  waitpid(spawn(command, directory_ + "/commands.log"), &status, 0);
  CHECK(status == 0, "{} failed: see {}", command[0], directory_);
}

std::string TestPostgres::make_database(const std::string& options) {
  std::string name = fmt::format("shop{}", ++databases_);
  TestConnection(url("postgres")).run("CREATE DATABASE " + name + " " + options);
  return name;
}

std::string TestPostgres::url(const std::string& database) const {
  return fmt::format("postgresql://postgres@/{}?host={}&port={}", database, directory_, port_);
}
std::string TestPostgres::tcp_url(const std::string& user, const std::string& database) const {
  return fmt::format("postgresql://{}@127.0.0.1:{}/{}", user, port_, database);
}

void TestPostgres::kill_backends(const std::string& where) {
  TestConnection(url("postgres"))
      .run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND " + where);
}

}  // namespace tributary
