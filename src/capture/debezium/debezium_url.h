// debezium+kafka://HOST:PORT,HOST:PORT/TOPIC-PREFIX?NAME=VALUE&…: whose messages a client's changes are.
//
//   database=acme_db        only those whose source.db it is
//   header=tenant:acme      only those with the header `tenant: acme`
//   column=tenant_id:42     only those whose row has it; a delete tells its key's columns alone, unless the table is FULL
//   snapshots=partial       a later snapshot tells a part of its table: rows that it leaves out stay
//   decimal.handling.mode=… time.precision.mode=… binary.handling.mode=… hstore.handling.mode=…
//   unavailable.value.placeholder=…                        the connector's, where they are not its defaults
//   security.protocol=… ssl.ca.location=… sasl.mechanism=… sasl.username=…   the brokers', in librdkafka's names
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "codec/connect/connect_form.h"
#include "kafka/kafka_client.h"

namespace tributary {

struct DebeziumTarget {
  std::string brokers;  // "host:port,host:port"
  std::string prefix;
  ConnectModes modes;
  KafkaProperties properties;  // bootstrap.servers among them
  std::string database;  // empty: any, as the rest
  std::pair<std::string, std::string> header;
  std::pair<std::string, std::string> column;
  bool partial_snapshots = false;

  // `properties`, and the password where the brokers ask for one.
  KafkaProperties with_password(const std::string& password) const;
};

// kInvalidInput: what of it is wrong, and what to write. The password is none of it.
Result<DebeziumTarget> parse_debezium_url(std::string_view url);

}  // namespace tributary
