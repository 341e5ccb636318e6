#include "text/alphabet.h"

/* The character of a byte: itself where Latin-1 prints it, else the next one from U+0100 on. */
static uint32_t alphabet_code(int byte)
{
    if ((byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE)
        return (uint32_t)byte;
    if (byte <= ' ')
        return 0x100 + (uint32_t)byte;
    return byte == 0xAD ? 0x100 + 67 : 0x100 + 33 + (uint32_t)(byte - 0x7F);
}

/* The byte of a character, or -1. */
static int alphabet_byte(uint32_t code)
{
    int byte = -1;
    if (code < 0x100)
        byte = (int)code;
    else if (code <= 0x100 + ' ')
        byte = (int)code - 0x100;
    else if (code < 0x100 + 67)
        byte = (int)code - 0x100 - 33 + 0x7F;
    else if (code == 0x100 + 67)
        byte = 0xAD;
    return byte >= 0 && alphabet_code(byte) == code ? byte : -1;
}

void alphabet_write(const Token *token, char *out)
{
    for (size_t i = 0; i < token->length; i++) {
        uint32_t code = alphabet_code((unsigned char)token->bytes[i]);
        if (code >= 0x80) {
            *out++ = (char)(0xC0 | code >> 6);
            *out++ = (char)(0x80 | (code & 0x3F));
        } else {
            *out++ = (char)code;
        }
    }
    *out = '\0';
}

bool alphabet_read(const char *text, char *out, size_t *length)
{
    const unsigned char *at = (const unsigned char *)text;
    *length = 0;
    while (*at) {
        uint32_t code = *at++;
        if (code >= 0x80)
            code = code >= 0xC2 && code < 0xE0 ? (code & 0x1F) << 6 | (*at++ & 0x3F) : UINT32_MAX;
        int byte = alphabet_byte(code);
        if (byte < 0)
            return false;
        out[(*length)++] = (char)byte;
    }
    return true;
}
