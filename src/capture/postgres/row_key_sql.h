// Row key bytes → a condition in SQL that finds the row.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "capture/postgres/table_catalog.h"
#include "codec/postgres/server_text.h"

namespace tributary {

// (42, 'eu') → ("id" = '42'::bigint AND "region" = 'eu'::text). nullopt where the bytes are no key of the table. `text`
// is the database's.
std::optional<std::string> row_key_condition(const CatalogTable& table, std::string_view key, const ServerText& text);

}  // namespace tributary
