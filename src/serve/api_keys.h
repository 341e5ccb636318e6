/* Keys that clients show ("Authorization: Bearer KEY"). Only their hashes are kept. */
#ifndef LMU_SERVE_API_KEYS_H
#define LMU_SERVE_API_KEYS_H

#include <stdbool.h>

#include "base/error.h"

typedef struct ApiKeys ApiKeys;

/* One key a line; empty lines and those that begin with # are none. LMU_FORMAT: there is no key, or one with white space. */
lmu_status api_keys_open(const char *path, ApiKeys **out);
void api_keys_close(ApiKeys *keys); /* accepts NULL */
/* Takes a time that does not depend on what is right about the header; NULL: there is none. */
bool api_keys_accept(const ApiKeys *keys, const char *authorization);

#endif
