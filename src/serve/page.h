/* The page at /: src/serve/page.html, which is compiled in. */
#ifndef LMU_SERVE_PAGE_H
#define LMU_SERVE_PAGE_H

#include <stddef.h>

#include "base/error.h"

extern const unsigned char page_html[];
extern const size_t page_html_size;

/* The Content-Security-Policy that lets the page run what is written between its own <script> and <style> tags, known by their
 * hashes, and call this server; nothing else. To be freed. */
lmu_status page_policy(const char *html, size_t size, char **out);

#endif
