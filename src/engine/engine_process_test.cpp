// The engine child as its parent and its peers see it: real processes, the real library.
#include "engine/engine_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "engine/empty_parts.h"
#include "engine/engine_socket.h"
#include "engine/temporary_engine.h"

namespace tributary {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

int connect_to(const std::string& path) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  CHECK(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

std::string read_all(int fd) {
  std::string out;
  char buffer[65536];
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(got));
  return out;
}

// Bytes as typed; the answer up to the connection's end.
std::string talk(const std::string& path, const std::string& bytes) {
  int fd = connect_to(path);
  if (fd < 0) return "no connection";
  (void)!send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);  // the peer may close before it has read all
  shutdown(fd, SHUT_WR);
  std::string answer = read_all(fd);
  close(fd);
  return answer;
}

std::string post(const std::string& path, const std::string& target, const std::string& body) {
  return talk(path, fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
                                target, body.size(), body));
}
std::string body_of(const std::string& answer) {
  size_t end = answer.find("\r\n\r\n");
  return end == std::string::npos ? "no body in: " + answer : answer.substr(end + 4);
}

class Engine : public testing::Test {
 protected:
  std::string socket_ = TemporaryEngine::shared().socket();
  std::string ask(const std::string& sql, const std::string& target = "/") {
    return body_of(post(socket_, target, sql));
  }
};

TEST_F(Engine, AnswersClickHousesInterface) {
  EXPECT_EQ(body_of(talk(socket_, "GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")), "Ok.\n");
  std::string answer = talk(socket_,
                            "GET /?query=SELECT+1%2B1&default_format=JSONEachRow&query_id=mine HTTP/1.1\r\nHost: "
                            "x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-ClickHouse-Format: JSONEachRow\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-ClickHouse-Query-Id: mine\r\n"));
  EXPECT_EQ(body_of(answer), "{\"plus(1, 1)\":2}\n");
  EXPECT_EQ(ask("FORMAT TSV", "/?query=SELECT+7"), "7\n") << "the body goes on where the URL ended";
  EXPECT_EQ(ask("SELECT {a:String}, {b:Int32}", "/?param_a=x%5C%09%0Ay&param_b=5"), "x\\\\\\t\\ny\t5\n");
  EXPECT_EQ(ask("SELECT getSetting('max_block_size')", "/?max_block_size=77"), "77\n");
  EXPECT_EQ(ask("SELECT getSetting('max_block_size') = 77"), "0\n") << "a setting of one request reached the next";
  EXPECT_EQ(ask("SELECT getSetting('async_insert')"), "false\n");
}

TEST_F(Engine, ErrorsHaveCodeAndStatus) {
  std::string unknown = post(socket_, "/", "SELECT * FROM nothing_here");
  EXPECT_THAT(unknown, StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(unknown, HasSubstr("X-ClickHouse-Exception-Code: 60\r\n"));
  EXPECT_THAT(unknown, HasSubstr("Code: 60. DB::Exception: "));
  EXPECT_THAT(post(socket_, "/", "SELEC 1"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post(socket_, "/?no_such_setting=1", "SELECT 1"), HasSubstr("X-ClickHouse-Exception-Code: 115"));
  EXPECT_THAT(post(socket_, "/other", "SELECT 1"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(talk(socket_, "DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(post(socket_, "/?session_id=a", "SELECT 1"), StartsWith("HTTP/1.1 501"));
  // After the first bytes: no end of the chunks.
  std::string late = post(socket_, "/", "SELECT throwIf(number = 900000) FROM numbers(1000000)");
  EXPECT_THAT(late, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(late, HasSubstr("Code: 395"));
  EXPECT_FALSE(late.ends_with("0\r\n\r\n"));
}

TEST_F(Engine, OneStatementARequest) {
  EXPECT_THAT(ask("SELECT 1; SELECT 2"), HasSubstr("Multi-statements are not allowed"));
  ask("CREATE DATABASE IF NOT EXISTS one");
  ask("CREATE TABLE one.t (a Int32) ENGINE = MergeTree ORDER BY a");
  ask("DROP TABLE one.t; broken(");
  EXPECT_THAT(ask("DROP TABLE one.t; SELECT 1"), HasSubstr("Multi-statements are not allowed"));
  EXPECT_EQ(ask("SELECT count() FROM one.t"), "0\n") << "a part of a broken text was run";
  EXPECT_THAT(ask("DROP TABLE one.t", "/?readonly=1"), HasSubstr("Code: 164"));
  EXPECT_THAT(talk(socket_, "GET /?query=DROP+TABLE+one.t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              HasSubstr("164"));
  EXPECT_EQ(ask("SELECT count() FROM one.t"), "0\n");
}

TEST_F(Engine, DataOfAnInsertIsNeverStatements) {
  ask("CREATE DATABASE IF NOT EXISTS data");
  ask("CREATE TABLE data.t (s String) ENGINE = MergeTree ORDER BY s");
  // A blank line ends inline data in chDB's own query text, and what follows would run.
  ask("INSERT INTO data.t FORMAT TSV\na\n\nDROP TABLE data.t;\n");
  EXPECT_EQ(ask("SELECT groupArray(s) FROM data.t"), "['','DROP TABLE data.t;','a']\n");
  EXPECT_EQ(ask("b\n", "/?query=INSERT+INTO+data.t+FORMAT+TSV"), "");
  EXPECT_EQ(ask("INSERT INTO data.t VALUES ('v1'), ('v2')"), "");
  EXPECT_EQ(ask("SELECT count() FROM data.t"), "6\n");
  // Chunked, and cut off: what came is no INSERT.
  std::string head =
      "POST /?query=INSERT+INTO+data.t+FORMAT+TSV HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_THAT(talk(socket_, head + "2\r\nc\n\r\n0\r\n\r\n"), HasSubstr("\"written_rows\":\"1\""));
  talk(socket_, head + "2\r\nd\n\r\n");
  EXPECT_EQ(ask("SELECT count() FROM data.t"), "7\n") << "half an INSERT was kept";
  EXPECT_EQ(ask("SELECT count() FROM data.t WHERE s = 'd'"), "0\n");
}

TEST_F(Engine, RefusesWhatIsNoHttp) {
  EXPECT_THAT(talk(socket_, "\x16\x03\x01garbage\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(talk(socket_, "GET / HTTP/1.1\r\nX: " + std::string(2 << 20, 'a')), Not(HasSubstr("200 OK")));
  EXPECT_EQ(ask("SELECT 1"), "1\n");
}

TEST_F(Engine, ManyAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 30; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 5; ++j) right += ask(fmt::format("SELECT {}", i)) == fmt::format("{}\n", i) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 150);
}

TEST_F(Engine, LivesInItsBox) {
  std::string proc = fmt::format("/proc/{}", TemporaryEngine::shared().process().pid());
  std::ifstream environment(proc + "/environ");
  EXPECT_EQ(environment.peek(), std::ifstream::traits_type::eof()) << "the environment is not empty";
  EXPECT_EQ(fs::read_symlink(proc + "/fd/0"), "/dev/null");
  EXPECT_TRUE(fs::is_empty(fs::read_symlink(proc + "/cwd")));
  std::ifstream limits(proc + "/limits");
  std::string text((std::istreambuf_iterator<char>(limits)), {});
  EXPECT_THAT(text, HasSubstr("Max core file size        0                    0"));
  std::ifstream status(proc + "/status");
  std::string flags((std::istreambuf_iterator<char>(status)), {});
  EXPECT_THAT(flags, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(flags, HasSubstr("Seccomp:\t2"));
  struct stat folder{};
  ASSERT_EQ(stat(fs::path(socket_).parent_path().c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700U);
  // No TCP socket listens or connects there.
  std::set<std::string> inodes;
  for (const auto& entry : fs::directory_iterator(proc + "/fd")) {
    std::error_code gone;
    std::string target = fs::read_symlink(entry.path(), gone).string();
    if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
  }
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream lines(table);
    for (std::string line; std::getline(lines, line);) {
      for (const std::string& inode : inodes) EXPECT_THAT(line, Not(HasSubstr(" " + inode + " "))) << line;
    }
  }
  EXPECT_THAT(ask("SELECT * FROM url('http://127.0.0.1:9/', CSV, 'a String')"), HasSubstr("Code: 497"));
}

// What its parent holds open, a socket to a source say, is no way out of the box.
TEST(EngineProcess, HasNoneOfItsParentsDescriptors) {
  int held[2];
  ASSERT_EQ(pipe(held), 0);  // without O_CLOEXEC
  std::string name = fs::read_symlink(fmt::format("/proc/self/fd/{}", held[0])).string();
  TemporaryEngine engine;
  size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", engine.process().pid()))) {
    std::error_code gone;
    EXPECT_NE(fs::read_symlink(entry.path(), gone).string(), name) << entry.path();
    ++seen;
  }
  EXPECT_GT(seen, 3U);
  close(held[0]);
  close(held[1]);
}

TEST(EngineProcess, ComesBackAfterAKill) {
  TemporaryEngine engine;
  post(engine.socket(), "/", "CREATE DATABASE kept");
  post(engine.socket(), "/", "CREATE TABLE kept.t (a Int32) ENGINE = MergeTree ORDER BY a");
  EXPECT_EQ(body_of(post(engine.socket(), "/", "INSERT INTO kept.t VALUES (5)")), "");
  pid_t first = engine.process().pid();
  engine.kill_and_wait();
  EXPECT_NE(engine.process().pid(), first);
  EXPECT_EQ(engine.process().starts(), 2U);
  EXPECT_EQ(body_of(post(engine.socket(), "/", "SELECT a FROM kept.t")), "5\n");
  engine.restart();
  EXPECT_EQ(body_of(post(engine.socket(), "/", "SELECT a FROM kept.t")), "5\n");
}

// As a full disk leaves it: a merged part whose files are all empty, listed as good.
TEST(EngineProcess, TakesBackWhatAnEmptyPartWasMadeOf) {
  TemporaryEngine engine;
  std::string directory = engine.directory() + "/analytics";
  auto ask = [&](const std::string& sql) { return body_of(post(engine.socket(), "/", sql)); };
  ask("CREATE DATABASE kept");
  ask("CREATE TABLE kept.t (a Int32) ENGINE = MergeTree ORDER BY a");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(fmt::format("INSERT INTO kept.t VALUES ({})", i)), "");
  EXPECT_EQ(ask("OPTIMIZE TABLE kept.t FINAL"), "");
  std::string part;
  for (const auto& folder : fs::recursive_directory_iterator(directory + "/data/store")) {
    if (folder.path().filename() == "all_1_3_1") part = folder.path();
  }
  ASSERT_NE(part, "");
  EXPECT_TRUE(empty_parts(directory).empty());
  for (const auto& file : fs::directory_iterator(part)) fs::resize_file(file.path(), 0);
  ASSERT_EQ(empty_parts(directory).size(), 1u);
  EXPECT_THAT(part, HasSubstr(empty_parts(directory)[0]));
  engine.kill_and_wait();
  EXPECT_EQ(engine.process().starts(), 2u);
  EXPECT_EQ(ask("SELECT a FROM kept.t ORDER BY a"), "0\n1\n2\n");
  EXPECT_TRUE(empty_parts(directory).empty()) << "set aside by the engine";
}

TEST(EngineProcess, OneProcessADirectory) {
  TemporaryEngine engine;
  auto second = EngineProcess::start({.data_directory = engine.directory() + "/analytics"});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_THAT(second.error().message, HasSubstr(fmt::format("process {}", getpid())));
}

TEST(EngineProcess, SaysWhyItCannotStart) {
  std::string directory = testing::TempDir() + "no_engine";
  auto missing = EngineProcess::start({.data_directory = directory, .library = "/no/libchdb.so"});
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, HasSubstr("engine.log"));
  std::ifstream log(directory + "/engine.log");
  std::string text((std::istreambuf_iterator<char>(log)), {});
  EXPECT_THAT(text, HasSubstr("/no/libchdb.so"));
  fs::remove_all(directory);
}

TEST(EngineProcess, IsStartedAgainWhenItIsKilledWhileItStarts) {
  std::string directory = testing::TempDir() + "killed_engine";
  fs::create_directories(directory);
  std::string program = directory + "/program";
  std::string killed = directory + "/killed";
  std::ofstream(program) << "#!/bin/sh\nif [ ! -e " << killed << " ]; then : > " << killed << "; kill -9 $$; fi\nexec "
                         << fs::read_symlink("/proc/self/exe").string() << " \"$@\"\n";
  fs::permissions(program, fs::perms::owner_all);
  auto engine = EngineProcess::start({.data_directory = directory + "/data", .program = program});
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  EXPECT_EQ((*engine)->starts(), 2U);
  EXPECT_EQ(body_of(post((*engine)->socket_path(), "/", "SELECT 1")), "1\n");
  (*engine).reset();
  std::ofstream(program) << "#!/bin/sh\nkill -9 $$\n";
  auto never = EngineProcess::start({.data_directory = directory + "/data", .program = program});
  ASSERT_FALSE(never.ok());
  EXPECT_THAT(never.error().message, HasSubstr("was ended by signal 9"));
  fs::remove_all(directory);
}

TEST(EngineProcess, OneThatIsSlowToAnswerGoesOnStartingOrIsKilledByName) {
  std::string directory = testing::TempDir() + "slow_engine";
  fs::create_directories(directory);
  std::string program = directory + "/program";
  std::string go = directory + "/go";
  std::ofstream(program) << "#!/bin/sh\nwhile [ ! -e " << go << " ]; do sleep 0.02; done\nexec "
                         << fs::read_symlink("/proc/self/exe").string() << " \"$@\"\n";
  fs::permissions(program, fs::perms::owner_all);
  auto never = EngineProcess::start(
      {.data_directory = directory + "/data", .program = program, .start_limit = std::chrono::milliseconds(1000)});
  ASSERT_FALSE(never.ok());
  EXPECT_THAT(never.error().message, HasSubstr("did not answer within 1 s and was killed"));
  std::vector<std::string> said;
  // Another one: what the killed shell has started may hold the first one's lock for a moment.
  auto engine = EngineProcess::start({.data_directory = directory + "/other",
                                      .program = program,
                                      .start_wait = std::chrono::milliseconds(1),
                                      .log = [&](const std::string& line) { said.push_back(line); }});
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  EXPECT_THAT(said, testing::ElementsAre(HasSubstr("goes on starting")));
  EXPECT_FALSE(engine_socket_answers((*engine)->socket_path()));
  std::ofstream(go).close();
  while (!engine_socket_answers((*engine)->socket_path())) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ((*engine)->starts(), 1U);
  (*engine).reset();
  fs::remove_all(directory);
}

TEST(EngineProcess, WorksBehindALongPath) {
  std::string root = testing::TempDir() + "deep";
  auto engine =
      EngineProcess::start({.data_directory = root + "/" + std::string(100, 'x') + "/" + std::string(50, 'y')});
  ASSERT_TRUE(engine.ok()) << engine.error().to_string();
  EXPECT_GT((*engine)->socket_path().size(), 107U);
  (*engine)->stop();
  fs::remove_all(root);
}

// The child of a program that is killed dies with it, and frees the directory.
TEST(EngineProcess, DiesWithItsParent) {
  std::string directory = testing::TempDir() + "orphan";
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  pid_t parent = fork();
  if (parent == 0) {
    auto engine = EngineProcess::start({.data_directory = directory});
    pid_t child = engine.ok() ? (*engine)->pid() : 0;
    (void)!write(pipe_ends[1], &child, sizeof child);
    pause();
    _exit(0);
  }
  pid_t child = 0;
  ASSERT_EQ(read(pipe_ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ASSERT_GT(child, 0);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  auto next = EngineProcess::start({.data_directory = directory});
  ASSERT_TRUE(next.ok()) << next.error().to_string();
  std::ifstream stat(fmt::format("/proc/{}/stat", child));
  std::string id, name, state;
  stat >> id >> name >> state;
  EXPECT_TRUE(state.empty() || state == "Z")
      << "process " << child << " is " << state;  // Z: init has not reaped it yet
  EXPECT_EQ(body_of(post((*next)->socket_path(), "/", "SELECT 1")), "1\n");
  (*next)->stop();
  fs::remove_all(directory);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

}  // namespace
}  // namespace tributary
