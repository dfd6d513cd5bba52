// The body of a block: a batch column by column (docs/formats/log-block.md, "Body"). Internal to block.cpp.
#pragma once

#include <string>
#include <string_view>

#include "codec/block.h"

namespace tributary {

// OR of op_mask_bit() over the rows, and block_has_range.
uint8_t op_mask_of(const EventBatch& batch);

// The first format version that can hold the batch: 2 where a decimal shows another scale than its type's, else 1.
uint16_t block_format_of(const EventBatch& batch);

// Positions are written as differences, the first one to `min_position`.
std::string encode_block_body(const EventBatch& batch, const Position& min_position, uint16_t format);

// `header` is trusted to be within the limits, `body` is not trusted.
Result<EventBatch> decode_block_body(std::string_view body, const BlockHeader& header, const SchemaPtr& schema);

}  // namespace tributary
