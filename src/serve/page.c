#include "serve/page.h"

#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <string.h>

#include "serve/byte_queue.h"

static lmu_status put(ByteQueue *out, const char *text)
{
    return bytes_put(out, text, strlen(text));
}

/* " 'sha256-...'" of the text of each element of this kind; " 'none'" where there is none. */
static lmu_status put_hashes(ByteQueue *out, const char *html, size_t size, const char *open, const char *close)
{
    const char *end = html + size, *at = html;
    bool any = false;
    while ((at = memmem(at, (size_t)(end - at), open, strlen(open))) != NULL) {
        const char *text = at + strlen(open), *stop = memmem(text, (size_t)(end - text), close, strlen(close));
        uint8_t hash[SHA256_DIGEST_SIZE];
        char digits[BASE64_ENCODE_RAW_LENGTH(SHA256_DIGEST_SIZE) + 1] = "";
        struct sha256_ctx sum;
        if (!stop)
            break;
        sha256_init(&sum);
        sha256_update(&sum, (size_t)(stop - text), (const uint8_t *)text);
        sha256_digest(&sum, sizeof hash, hash);
        base64_encode_raw(digits, sizeof hash, hash);
        TRY(put(out, " 'sha256-"));
        TRY(put(out, digits));
        TRY(put(out, "'"));
        any = true;
        at = stop;
    }
    return any ? LMU_OK : put(out, " 'none'");
}

lmu_status page_policy(const char *html, size_t size, char **out)
{
    ByteQueue policy = {0};
    lmu_status status;
    *out = NULL;
    ATTEMPT(put(&policy, "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                         "frame-ancestors 'none'; script-src"));
    ATTEMPT(put_hashes(&policy, html, size, "<script>", "</script>"));
    ATTEMPT(put(&policy, "; style-src"));
    ATTEMPT(put_hashes(&policy, html, size, "<style>", "</style>"));
    ATTEMPT(bytes_put(&policy, "", 1));
    *out = policy.data;
    return LMU_OK;
done:
    bytes_free(&policy);
    return status;
}
