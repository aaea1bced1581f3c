/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TINYFLOW_CRC32_H
#define TINYFLOW_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 of IEEE 802.3, as zlib's crc32. */
uint32_t crc32(const void *data, size_t size);

#endif
