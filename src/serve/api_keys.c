#include "serve/api_keys.h"

#include <ctype.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"

#define KEY_FILE_LIMIT ((size_t)1 << 20)

typedef struct KeyHash {
    uint8_t byte[SHA256_DIGEST_SIZE];
} KeyHash;

struct ApiKeys {
    KeyHash *hash;
    size_t count, capacity;
};

/* Hashes of equal length are compared, so that a comparison tells nothing of keys. */
static void hash_key(const char *key, size_t size, KeyHash *out)
{
    struct sha256_ctx sum;
    sha256_init(&sum);
    sha256_update(&sum, size, (const uint8_t *)key);
    sha256_digest(&sum, sizeof out->byte, out->byte);
}

static lmu_status add_line(ApiKeys *keys, const char *path, const char *line, size_t size, size_t number)
{
    while (size > 0 && isspace((unsigned char)line[size - 1]))
        size--;
    if (size == 0 || line[0] == '#')
        return LMU_OK;
    for (size_t i = 0; i < size; i++)
        if (!isgraph((unsigned char)line[i]))
            return error_set(LMU_FORMAT, "%s: line %zu: a key is of printable ASCII without spaces", path, number);
    TRY(memory_grow(&keys->hash, &keys->capacity, keys->count + 1, sizeof *keys->hash, "keys"));
    hash_key(line, size, &keys->hash[keys->count++]);
    return LMU_OK;
}

lmu_status api_keys_open(const char *path, ApiKeys **out)
{
    lmu_status status;
    ApiKeys *keys = NULL;
    char *text = NULL;
    size_t size, number = 1;
    *out = NULL;
    ATTEMPT(file_read(path, KEY_FILE_LIMIT, &text, &size));
    ATTEMPT(memory_new(&keys, 1, sizeof *keys, "keys"));
    for (const char *line = text, *end = text + size; line < end; number++) {
        size_t length = strcspn(line, "\n");
        ATTEMPT(add_line(keys, path, line, length, number));
        line += length + 1;
    }
    if (keys->count == 0)
        ATTEMPT(error_set(LMU_FORMAT, "%s: holds no key: write one a line", path));
    *out = keys;
    keys = NULL;
done:
    if (text)
        explicit_bzero(text, size);
    free(text);
    api_keys_close(keys);
    return status;
}

void api_keys_close(ApiKeys *keys)
{
    if (!keys)
        return;
    free(keys->hash);
    free(keys);
}

bool api_keys_accept(const ApiKeys *keys, const char *authorization)
{
    KeyHash hash;
    int found = 0;
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    const char *key = authorization + 7 + strspn(authorization + 7, " ");
    hash_key(key, strlen(key), &hash);
    for (size_t i = 0; i < keys->count; i++)
        found |= memeql_sec(&hash, &keys->hash[i], sizeof hash);
    return found != 0;
}
