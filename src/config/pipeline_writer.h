// `tributary init`: a pipeline file for a database that was looked at. Pure text; capture/ fills the description.
#pragma once

#include <string>

#include "contracts/database_description.h"

namespace tributary {

// The text of a pipeline file that load_pipeline() accepts (given at least one table that can be captured): a domain a
// table, the tables that cannot be captured as comments with reason and remedy, and as comments the SQL for the database's
// owner, the load to expect, and how to remove everything again.
std::string pipeline_file_for(const DatabaseDescription& database);

// "orders" → "order", "categories" → "category", "addresses" → "address", "news" → "news".
std::string singular(const std::string& plural);

// Why the table cannot be captured, with the SQL that helps; empty where it can.
std::string why_not_captured(const DescribedTable& table);

}  // namespace tributary
