/* Counts of followers against the definition: a look at every place of the text. */
#include "text/testing.h"

#include "base/random.h"
#include "text/followers.h"

enum { WINDOWS = 40, LENGTH = 57, VOCABULARY = 19 };

static int32_t text[WINDOWS][LENGTH];

/* Few tokens are frequent, so that lists of all lengths grow side by side. */
static void draw_text(void)
{
    uint64_t key = random_key(5, "text", 0, 0);
    for (uint64_t i = 0; i < WINDOWS * LENGTH; i++) {
        uint64_t most = 1 + random_below(key, 2 * i, VOCABULARY - 1);
        text[i / LENGTH][i % LENGTH] = (int32_t)random_below(key, 2 * i + 1, most);
    }
}

/* What followed `order` tokens in the first so many windows: tokens in the order of their coming, counts; returns how many. */
static int64_t look(const int32_t *context, int order, int windows, int32_t pairs[VOCABULARY][2])
{
    int64_t length = 0;
    for (int w = 0; w < windows; w++)
        for (int i = order; i < LENGTH; i++) {
            int64_t at = 0;
            if (memcmp(&text[w][i - order], context, (size_t)order * sizeof *context) != 0)
                continue;
            while (at < length && pairs[at][0] != text[w][i])
                at++;
            if (at == length) {
                pairs[length][0] = text[w][i];
                pairs[length++][1] = 0;
            }
            pairs[at][1]++;
        }
    return length;
}

static void check_list(const FollowerList *list, const int32_t *context, int order, int windows)
{
    int32_t pairs[VOCABULARY][2];
    int64_t length = look(context, order, windows, pairs), total = 0;
    assert_int_equal(list->length, length);
    for (int64_t i = 0; i < length; i++)
        total += pairs[i][1];
    assert_int_equal(list->total, total);
    if (length > 0)
        assert_memory_equal(list->pairs, pairs, (size_t)length * sizeof *pairs);
}

/* Behind every context of one and two tokens that there can be. */
static void check_all(const Followers *f, int windows)
{
    for (int32_t a = 0; a < VOCABULARY; a++)
        for (int32_t b = 0; b < VOCABULARY; b++) {
            int32_t context[] = {a, b};
            FollowerList list[FOLLOWERS_ORDERS];
            followers_find(f, context, 2, list);
            check_list(&list[0], context + 1, 1, windows);
            check_list(&list[1], context, 2, windows);
            followers_find(f, context, 1, list);
            check_list(&list[0], context, 1, windows);
            assert_int_equal(list[1].length + list[1].total, 0);
        }
}

static void counts_are_those_of_the_text(void **state)
{
    (void)state;
    Followers *f;
    draw_text();
    assert_done(followers_open(VOCABULARY, &f));
    check_all(f, 0);
    for (int w = 0; w < WINDOWS; w++) {
        assert_done(followers_count(f, text[w], LENGTH));
        if (w < 3 || w == WINDOWS - 1)
            check_all(f, w + 1);
    }
    followers_close(f);
}

static void short_texts_have_no_followers(void **state)
{
    (void)state;
    Followers *f;
    FollowerList list[FOLLOWERS_ORDERS];
    assert_done(followers_open(VOCABULARY, &f));
    assert_done(followers_count(f, text[0], 0));
    assert_done(followers_count(f, text[0], 1));
    followers_find(f, text[0], 0, list);
    assert_int_equal(list[0].length + list[1].length, 0);
    check_all(f, 0);
    followers_close(f);
    followers_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_are_those_of_the_text),
                                       cmocka_unit_test(short_texts_have_no_followers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
