// Which of several nodes reads a client: the one that holds an advisory lock in its database, on a connection that does
// nothing else (docs/decisions/0052).
//
// The lock goes with its session. A node that dies ends it at once. One that hangs, or whose machine vanished, says nothing
// any more, and the server itself ends the session then (idle_session_timeout), whatever the network still believes. A node
// that lives says something every lease_interval, and gives up reading when it is not answered well before that.
#include <boost/asio/use_awaitable.hpp>

#include "capture/postgres/client_context.h"

namespace tributary {
namespace {

using Kind = Trouble::Kind;
constexpr std::chrono::milliseconds connect_limit{20'000};

Trouble failed(const ClientContext& context, const Error& error) {
  return trouble_of(error, context.lease->sqlstate(), context.config.client.value);
}

bool prefers(const ClientContext& context) {
  return !context.lease_options.prefers || context.lease_options.prefers(context.config.client);
}

asio::awaitable<void> pause(ClientContext& context, std::chrono::milliseconds time) {
  asio::steady_timer timer(context.executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<Trouble> open_lease(ClientContext& context) {
  context.lease = std::make_unique<PgConnection>(context.executor, *context.settings);
  Status connected = co_await context.lease->connect(false, connect_limit);
  if (!connected.ok()) co_return failed(context, connected.error());
  Status set = co_await context.lease->execute(
      fmt::format("SET idle_session_timeout = {}", context.lease_options.silence_max.count()));
  if (!set.ok()) co_return failed(context, set.error());
  co_return Trouble{};
}

}  // namespace

std::string try_lease_sql(const std::string& name) {
  return fmt::format("SELECT pg_try_advisory_lock(hashtextextended({}, 0))", quote_pg_literal("tributary:" + name));
}

// Asks again and again instead of waiting inside the lock: a query that waits keeps a snapshot, and with it dead rows.
asio::awaitable<Trouble> wait_for_lease(ClientContext& context) {
  Trouble trouble = co_await open_lease(context);
  if (trouble.kind != Kind::kNone) co_return trouble;
  bool stood_by = !prefers(context);
  if (stood_by) {
    context.set_mode(SourceMode::kStandby, "it is another node's to read");
    co_await pause(context, context.lease_options.patience);
  }
  while (true) {
    Result<PgRows> rows = co_await context.lease->query(try_lease_sql(context.config.name));
    if (!rows.ok()) co_return failed(context, rows.error());
    if (rows->is_true(0, 0)) break;
    stood_by = true;
    context.set_mode(SourceMode::kStandby, "another node holds the lease on this source (an advisory lock)");
    co_await pause(context, prefers(context) ? context.lease_options.interval : context.lease_options.patience);
  }
  if (stood_by) context.set_mode(SourceMode::kConnecting);
  co_return Trouble{};
}

asio::awaitable<Trouble> keep_lease(ClientContext& context) {
  auto preferred_at = PgConnection::Clock::now();
  while (true) {
    co_await pause(context, context.lease_options.interval);
    auto now = PgConnection::Clock::now();
    if (prefers(context)) preferred_at = now;
    if (now - preferred_at > context.lease_options.surplus) {
      co_return Trouble{Kind::kRetry, "another node is ready for it, and has fewer clients", ""};
    }
    Status alive = co_await context.lease->execute("SELECT 1", context.lease_options.silence_max / 2);
    if (!alive.ok()) co_return Trouble{Kind::kRetry, "the lease on this source is lost: " + alive.error().message, ""};
  }
}

}  // namespace tributary
