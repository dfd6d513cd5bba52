// The validator's own reading of values: which type a PostgreSQL column has, and the DuckDB SQL that turns a value's text,
// from the source or from the analytics, into that type exactly or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "contracts/analytics.h"

namespace tributary {

// A column as PostgreSQL's catalog has it; domains are resolved to their base type.
struct SourceColumn {
  std::string name;
  uint32_t type_oid = 0;
  int32_t type_modifier = -1;
  std::string type_name;  // format_type(): "numeric(12,2)"
  std::string equals;  // "OPERATOR(public.=)" of an extension's type; empty: =

  friend bool operator==(const SourceColumn&, const SourceColumn&) = default;
};

// numeric(12,2) → decimal(12,2); numeric → decimal(38,18), where what does not fit is held as text; what no type of ours
// holds → text.
LogicalType type_of(const SourceColumn& column);

// What to SELECT so that COPY's text is what the parsers below read.
std::string copy_expression(const SourceColumn& column);

// Whether values of the source's type lose something in the declared one without it showing (numeric(12,2) in a double).
bool declared_type_loses(const SourceColumn& column, LogicalType declared);

// The type of a domain's column, as the SQL of views sees it.
std::string domain_type(LogicalType type);
// The type in which both sides are compared: JSON and big decimals by their text.
std::string compared_type(LogicalType type);

// SQL that gives the value of type `type` whose PostgreSQL text is `text` (SQL, VARCHAR), in compared_type(); NULL where it has
// none exactly: never rounds. Also reads years before 1 in the form "-0043-03-15".
// `same_type`: the text was written by a column of just this type, so that cheap checks are enough.
std::string parse_source(LogicalType type, const std::string& text, bool same_type);

// The same for a domain's column: in domain_type(), and infinite dates and timestamps are no values.
std::string parse_for_domain(LogicalType type, const std::string& text, bool same_type);

// ClickHouse SQL that prints a column without loss, and the DuckDB SQL that reads it.
std::string analytics_expression(LogicalType type, const std::string& column);
std::string parse_analytics(LogicalType type, const std::string& text);

// A value of compared_type() as PostgreSQL would write it, for keys: DuckDB SQL.
std::string to_source_text(LogicalType type, const std::string& value);

bool is_floating(LogicalType type);

}  // namespace tributary
