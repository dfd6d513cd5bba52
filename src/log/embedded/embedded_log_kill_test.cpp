// Kills a process that appends, again and again: what was acknowledged is there, whole, and the source's state fits.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <set>
#include <thread>

#include "log/embedded/log_for_test.h"
#include "model/random_batch.h"

namespace tributary {
namespace {

constexpr uint64_t rows_per_append = 40;

// Appends numbers for ever from where the source's state says, and writes "client number\n" for each acknowledged append.
[[noreturn]] void append_until_killed(const std::filesystem::path& path, int acknowledged) {
  OpenLog log(path);
  std::vector<std::thread> threads;
  for (const char* name : {"acme", "globex", "initech"}) {
    threads.emplace_back([&, client = ClientId(name)] {
      SchemaPtr schema = *log->register_schema(client, orders_schema());
      SourceState state = *log->source_state(client);
      uint64_t next = state.contains("stream") ? std::stoull(state["stream"]) + 1 : 0;
      for (;; ++next) {
        EventBatch batch = orders(client, schema, next * rows_per_append, rows_per_append, 20 + next % 300);
        if (!append(*log.log, client, {batch}, {{"stream", std::to_string(next)}}).ok()) ::_exit(1);
        std::string line = fmt::format("{} {}\n", client, next);
        if (::write(acknowledged, line.data(), line.size()) < 0) ::_exit(2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ::_exit(3);
}

TEST(EmbeddedLog, KillLosesNothingAcknowledgedAndHalvesNothing) {
  TemporaryDirectory directory;
  std::map<std::string, uint64_t> acknowledged;  // the greatest number
  RandomBatch random(42);
  for (int round = 0; round < 12; ++round) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    pid_t child = ::fork();
    if (child == 0) append_until_killed(directory.path(), pipe[1]);
    ::close(pipe[1]);
    // Killed after a random number of acknowledgements, in the middle of whatever it does then.
    std::string lines;
    uint64_t wanted = 5 + random.below(150);
    char buffer[4096];
    while (static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n')) < wanted) {
      ssize_t size = ::read(pipe[0], buffer, sizeof buffer);
      ASSERT_GT(size, 0) << "the child ended by itself";
      lines.append(buffer, static_cast<size_t>(size));
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (ssize_t size; (size = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
      lines.append(buffer, static_cast<size_t>(size));
    ::close(pipe[0]);
    for (size_t at = 0, end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
      std::string line = lines.substr(at, end - at);
      acknowledged[line.substr(0, line.find(' '))] = std::stoull(line.substr(line.find(' ') + 1));
    }

    OpenLog log(directory.path());
    std::map<std::string, std::set<uint64_t>> ids;
    std::map<std::string, uint64_t> rows;
    for (const auto& [at, end] : log->ends()) {
      for (const EventBatch& batch : read_all(*log.log, at)) {
        for (size_t row = 0; row < batch.rows(); ++row) {
          ids[batch.client.value].insert(batch.positions[row].commit);
          ++rows[batch.client.value];
        }
      }
    }
    for (const auto& [client, number] : acknowledged) {
      SourceState state = *log->source_state(ClientId(client));
      uint64_t stored = std::stoull(state.at("stream"));
      EXPECT_GE(stored, number) << "an acknowledged append is lost, round " << round;
      EXPECT_EQ(rows[client], (stored + 1) * rows_per_append) << "state and events differ, round " << round;
      EXPECT_EQ(ids[client].size(), rows[client]) << "an event is there twice, round " << round;
      EXPECT_EQ(*ids[client].rbegin(), rows[client] - 1);
    }
  }
}

}  // namespace
}  // namespace tributary
