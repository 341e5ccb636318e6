/* Encoding text: added tokens are found first, those that are not `normalized`, then the others in what is left, each time the
 * leftmost and of these the longest; the text between is divided into pre-tokens. The rules, with all their flags, are those of
 * Hugging Face's tokenizers. What is found in text that may go on is used only if no continuation could make it another. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "text/encoder.h"

/* Everything that stays the same while levels call each other. */
typedef struct Step {
    Encoder *encoder;
    const Tokenizer *tokenizer;
    EncoderState *state;
    IdList *out;
} Step;

typedef enum Found {
    FOUND_NONE,
    FOUND_TOKEN,
    FOUND_MAYBE, /* text that goes on could make it one */
} Found;

typedef struct Match {
    const AddedToken *token;
    size_t start, stop; /* of the name in the text */
} Match;

/* ---- added tokens ---- */

/* The longest added token whose name starts at an offset. */
static Found added_at(const Tokenizer *tokenizer, const AddedSet *set, const char *text, size_t size, size_t at,
                      bool final, Match *out)
{
    if (!set->first[(unsigned char)text[at]])
        return FOUND_NONE;
    for (size_t i = 0; i < set->count; i++) {
        const Token *name = &tokenizer->token[set->token[i].id];
        size_t there = size - at < name->length ? size - at : name->length;
        if (memcmp(name->bytes, text + at, there) != 0)
            continue;
        if (there == name->length) {
            *out = (Match){&set->token[i], at, at + name->length};
            return FOUND_TOKEN;
        }
        if (!final) {
            out->start = at;
            return FOUND_MAYBE;
        }
    }
    return FOUND_NONE;
}

/* Where the character that ends at `end` (> 0) starts. */
static size_t character_before(const char *text, size_t end)
{
    size_t length;
    for (size_t back = 2; back <= 4 && back <= end; back++)
        if (character_at(text + end - back, back, &length) != CHARACTER_INVALID && length == back)
            return end - back;
    return end - 1;
}

static bool word_before(const char *text, size_t end)
{
    size_t start = character_before(text, end);
    return character_is_word(text + start, end - start);
}

/* White space from `from` on; *whole is false where text that goes on could hold more of it. */
static size_t space_after(const char *text, size_t size, size_t from, bool final, bool *whole)
{
    size_t at = from, length;
    while (at < size && character_at(text + at, size - at, &length) == CHARACTER_SPACE)
        at += length;
    *whole = final || (at < size && character_cut(text + at, size - at < 4 ? size - at : 0) == 0);
    return at;
}

/* Where the white space starts that ends at `end`, not before `from`. */
static size_t space_before(const char *text, size_t from, size_t end)
{
    size_t length;
    while (end > from) {
        size_t start = character_before(text, end);
        if (start < from || character_at(text + start, end - start, &length) != CHARACTER_SPACE)
            break;
        end = start;
    }
    return end;
}

/* Whether a token that must be a word by itself is one. */
static Found single_word(const Step *step, int level, const char *text, size_t size, bool final, const Match *match)
{
    bool before = match->start > 0 ? word_before(text, match->start) : step->state->level[level].after_word;
    if (before)
        return FOUND_NONE;
    size_t rest = size - match->stop;
    if (!final && (rest == 0 || (rest < 4 && character_cut(text + match->stop, rest) == rest)))
        return FOUND_MAYBE;
    return rest > 0 && character_is_word(text + match->stop, rest) ? FOUND_NONE : FOUND_TOKEN;
}

/* The first added token of a level in text, or where one may start. */
static Found added_find(const Step *step, int level, const char *text, size_t size, bool final, Match *out)
{
    const AddedSet *set = &step->tokenizer->added[level];
    size_t at = step->state->level[level].scanned;
    while (at < size && set->count > 0) {
        Found found = added_at(step->tokenizer, set, text, size, at, final, out);
        bool asked = found == FOUND_TOKEN && (step->state->specials || !out->token->special);
        if (asked && out->token->single_word)
            found = single_word(step, level, text, size, final, out);
        if (found == FOUND_MAYBE || (found == FOUND_TOKEN && asked)) {
            step->state->level[level].scanned = at;
            return found;
        }
        /* A name that is passed over hides those that start inside it. */
        at = asked || found == FOUND_TOKEN ? out->stop : at + 1;
    }
    step->state->level[level].scanned = size;
    return FOUND_NONE;
}

/* ---- pre-tokens ---- */

/* The length of the pre-token at the start of text; *open: text that goes on could change it. */
static size_t pretoken_within(const Step *step, const char *text, size_t size, bool *open)
{
    size_t window = step->state->window;
    if (size <= window)
        return pretoken_next(&step->tokenizer->rule, text, size, open);
    window -= character_cut(text, window);
    size_t length = pretoken_next(&step->tokenizer->rule, text, window, open);
    *open = false;
    return length;
}

/* The first pre-token of text that is given a space: *taken bytes of text, nothing if it is not certain. */
static lmu_status prefix_space(Step *step, const char *text, size_t size, bool final, size_t *taken)
{
    lmu_status status;
    char *spaced;
    bool open;
    *taken = 0;
    TRY(memory_new(&spaced, size + 1, 1, "text"));
    spaced[0] = ' ';
    memcpy(spaced + 1, text, size);
    size_t length = pretoken_within(step, spaced, size + 1, &open);
    if (final || !open) {
        ATTEMPT(encoder_pretoken(step->encoder, spaced, length, size + 1, step->out));
        step->state->inside = true;
        *taken = length - 1;
    }
    status = LMU_OK;
done:
    free(spaced);
    return status;
}

static lmu_status pretokens_take(Step *step, const char *text, size_t size, bool final, size_t *taken)
{
    size_t at = 0;
    *taken = 0;
    if (size > 0 && !step->state->inside && step->tokenizer->prefix_space && text[0] != ' ') {
        TRY(prefix_space(step, text, size, final, &at));
        if (!step->state->inside)
            return LMU_OK;
    }
    while (at < size) {
        bool open;
        size_t length = pretoken_within(step, text + at, size - at, &open);
        if (open && !final)
            break;
        TRY(encoder_pretoken(step->encoder, text + at, length, size - at, step->out));
        step->state->inside = true;
        at += length;
    }
    *taken = at;
    return LMU_OK;
}

/* ---- levels ---- */

static lmu_status level_take(Step *step, int level, const char *text, size_t size, bool final, size_t *taken);

/* The text between added tokens of a level: the next level's. */
static lmu_status between_take(Step *step, int level, const char *text, size_t size, bool final, size_t *taken)
{
    if (level == 1)
        return pretokens_take(step, text, size, final, taken);
    return level_take(step, 1, text, size, final, taken);
}

/* What follows an added token begins anew on the levels behind. */
static void levels_begin(EncoderState *state, int level)
{
    if (level == 0)
        memset(&state->level[1], 0, sizeof state->level[1]);
    state->inside = false;
}

/* `at` bytes were taken at the start of text. */
static void level_pass(EncoderState *state, int level, const char *text, size_t at)
{
    if (at == 0)
        return;
    state->level[level].scanned -= at < state->level[level].scanned ? at : state->level[level].scanned;
    state->level[level].after_word = word_before(text, at);
}

/* The text up to and with an added token. */
static lmu_status match_take(Step *step, int level, const char *text, const Match *match, size_t *taken)
{
    EncoderState *state = step->state;
    size_t start = match->token->lstrip ? space_before(text, 0, match->start) : match->start;
    TRY(between_take(step, level, text, start, true, taken));
    TRY(memory_grow(&step->out->id, &step->out->capacity, step->out->count + 1, sizeof *step->out->id, "token ids"));
    step->out->id[step->out->count++] = match->token->id;
    level_pass(state, level, text, match->stop);
    state->level[level].scanned = 0;
    state->level[level].strip = match->token->rstrip;
    levels_begin(state, level);
    *taken = match->stop;
    return LMU_OK;
}

static lmu_status level_take(Step *step, int level, const char *text, size_t size, bool final, size_t *taken)
{
    EncoderState *state = step->state;
    size_t at = 0, part;
    for (;;) {
        if (state->level[level].strip) {
            bool whole;
            part = space_after(text + at, size - at, 0, final, &whole);
            level_pass(state, level, text + at, part);
            *taken = at += part;
            if (!whole)
                return LMU_OK;
            state->level[level].strip = false;
        }
        Match match;
        Found found = added_find(step, level, text + at, size - at, final, &match);
        if (found == FOUND_TOKEN) {
            TRY(match_take(step, level, text + at, &match, &part));
            at += part;
            continue;
        }
        size_t limit = found == FOUND_MAYBE ? match.start : size - at;
        if (!final && step->tokenizer->added[level].lstrip) { /* a token to come may take the white space at the end */
            limit -= found == FOUND_NONE ? character_cut(text + at, limit) : 0;
            limit = space_before(text + at, 0, limit);
        }
        TRY(between_take(step, level, text + at, limit, final, &part));
        level_pass(state, level, text + at, part);
        *taken = at + part;
        return LMU_OK;
    }
}

lmu_status encoder_advance(Encoder *encoder, EncoderState *state, const char *text, size_t size, bool final,
                           size_t *taken, IdList *out)
{
    Step step = {encoder, encoder_tokenizer(encoder), state, out};
    *taken = 0;
    if (step.tokenizer->text_only && !state->specials)
        return pretokens_take(&step, text, size, final, taken);
    return level_take(&step, 0, text, size, final, taken);
}

lmu_status encoder_encode(Encoder *encoder, const char *text, size_t size, bool specials, IdList *out)
{
    EncoderState state = {.specials = specials, .window = SIZE_MAX};
    size_t taken;
    return encoder_advance(encoder, &state, text, size, true, &taken, out);
}

lmu_status tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t size, bool specials, IdList *out)
{
    Encoder *encoder;
    TRY(encoder_open(tokenizer, &encoder));
    lmu_status status = encoder_encode(encoder, text, size, specials, out);
    encoder_close(encoder);
    return status;
}
