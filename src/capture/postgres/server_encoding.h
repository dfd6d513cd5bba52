// The characters of a database whose encoding has one byte a character, as the server itself converts them.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "capture/postgres/connection.h"
#include "codec/postgres/server_text.h"

namespace tributary {

// Asks once for all bytes, and for ever smaller halves where one of them has no character: some 50 short queries for
// WIN1252. In UTF-8, SQL_ASCII and encodings of several bytes a character nothing is asked and nothing converted.
asio::awaitable<Result<ServerText>> find_server_text(PgConnection& connection);

// Makes the server send this connection's text as its bytes are, where `text` converts them.
asio::awaitable<Status> take_server_bytes(PgConnection& connection, const ServerText& text);

}  // namespace tributary
