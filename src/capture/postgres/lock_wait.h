// Locks that others hold on a client's tables. Looking at a table's size, reading it or publishing it needs a lock, and
// whoever alters the table, or has said LOCK TABLE, may keep us waiting for hours. So no connection of ours waits longer
// than `table_lock_limit` for one (a statement that we give up on would go on waiting in the server): we say who holds
// it, and ask again.
#pragma once

#include <chrono>
#include <set>
#include <string>

#include "capture/postgres/connection.h"

namespace tributary {

constexpr std::chrono::milliseconds table_lock_limit{3'000};
constexpr std::string_view lock_remedy = "End that transaction, or wait until it ends.";

// For connections that touch tables, but not for making a slot: that waits for transactions by locks, too.
asio::awaitable<Status> limit_lock_waits(PgConnection& connection);

// Whether a statement failed because of that (SQLSTATE 55P03, lock_not_available).
bool waited_for_lock(const Error& error);

// For people, who holds such a lock on one of `tables` ("public.orders") or on a partition of one:
// "public.orders, which process 4711 (user shop, application psql, state active, since 2024-…) has locked". A server
// tells "application", "state" and "since" only of our own user's processes, unless we are in pg_read_all_stats.
asio::awaitable<std::string> lock_holder(PgConnection& connection, const std::set<std::string>& tables);

}  // namespace tributary
