// The schemas that Kafka Connect's JSON converter puts beside a payload (`schemas.enable=true`), of the records that
// codec/event_record writes: sinks that make tables of topics need them.
//
//   {"schema":{…},"payload":{…}}
//
// Source: Kafka's `JsonConverter`; semantic names as Debezium's documentation has them.
#pragma once

#include <string>

#include "codec/debezium.h"
#include "model/schema.h"

namespace tributary {

// `name` is the topic prefix: "shop.acme" → "shop.acme.public.orders.Key".
std::string connect_key_schema(const TableSchema& table, std::string_view name);
std::string connect_envelope_schema(const TableSchema& table, std::string_view name);

}  // namespace tributary
