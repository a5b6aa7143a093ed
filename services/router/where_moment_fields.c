/* Splitting a text into fields, and which words may stand in it. */
#include "services/router/where_moment_fields.h"

#include "common/base/err.h"
#include "services/router/where_moment.h"
#include "services/router/where_text.h"

/* Not `sat`: with the abbreviations of Australia it is a time zone. The other words are none in any
 * set that comes with Postgres, and what stands for UTC does so in all. */
static const struct moment_word words[] = {
        {"jan", MW_MONTH, 1},       {"january", MW_MONTH, 1},  {"feb", MW_MONTH, 2},
        {"february", MW_MONTH, 2},  {"mar", MW_MONTH, 3},      {"march", MW_MONTH, 3},
        {"apr", MW_MONTH, 4},       {"april", MW_MONTH, 4},    {"may", MW_MONTH, 5},
        {"jun", MW_MONTH, 6},       {"june", MW_MONTH, 6},     {"jul", MW_MONTH, 7},
        {"july", MW_MONTH, 7},      {"aug", MW_MONTH, 8},      {"august", MW_MONTH, 8},
        {"sep", MW_MONTH, 9},       {"sept", MW_MONTH, 9},     {"september", MW_MONTH, 9},
        {"oct", MW_MONTH, 10},      {"october", MW_MONTH, 10}, {"nov", MW_MONTH, 11},
        {"november", MW_MONTH, 11}, {"dec", MW_MONTH, 12},     {"december", MW_MONTH, 12},
        {"mon", MW_DAY, 0},         {"monday", MW_DAY, 0},     {"tue", MW_DAY, 0},
        {"tues", MW_DAY, 0},        {"tuesday", MW_DAY, 0},    {"wed", MW_DAY, 0},
        {"weds", MW_DAY, 0},        {"wednesday", MW_DAY, 0},  {"thu", MW_DAY, 0},
        {"thur", MW_DAY, 0},        {"thurs", MW_DAY, 0},      {"thursday", MW_DAY, 0},
        {"fri", MW_DAY, 0},         {"friday", MW_DAY, 0},     {"saturday", MW_DAY, 0},
        {"sun", MW_DAY, 0},         {"sunday", MW_DAY, 0},     {"am", MW_AM, 0},
        {"pm", MW_PM, 0},           {"ad", MW_AD, 0},          {"bc", MW_BC, 0},
        {"at", MW_IGNORED, 0},      {"on", MW_IGNORED, 0},     {"j", MW_JULIAN, 0},
        {"jd", MW_JULIAN, 0},       {"julian", MW_JULIAN, 0},  {"t", MW_T, 0},
        {"z", MW_UTC, 0},           {"zulu", MW_UTC, 0},       {"utc", MW_UTC, 0},
        {"gmt", MW_UTC, 0},         {"uct", MW_UTC, 0},        {"ut", MW_UTC, 0},
};

const struct moment_word *moment_word_find(struct slice lower)
{
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                if (slice_eq(lower, slice_cstr(words[i].name)))
                        return &words[i];
        return NULL;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
        return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static char lower_of(char c)
{
        return is_letter(c) ? (char)(c | 0x20) : c;
}

/* ---- the filter */

#define MONTHS                                                                                     \
        "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"         \
        "sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
#define DAYS                                                                                       \
        "(?:mon(?:day)?|tue(?:s(?:day)?)?|wed(?:s|nesday)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?|"   \
        "saturday|sun(?:day)?)"
/* A point has a digit after it; other characters of ASCII are what they are. */
#define OTHERS "[.](?=[0-9])|[\\x01--/-@[-`{-\\x7f]"
#define ZONES  "(?:z|zulu|utc|gmt|uct|ut)(?![-+a-z/.0-9])"

const char *where_moment_filter(bool time_only)
{
        if (time_only)
                return "^(?:\\s*allballs\\s*|(?:" OTHERS
                       "|(?:am|pm|at|on)(?![-a-z/.])|t(?=[0-9]+(?![-/.0-9]))|" ZONES ")*)$";
        return "^(?:\\s*(?:-?\\s*infinity|epoch)\\s*|\\s*(?:" MONTHS "(?=[-/]))?(?:" OTHERS
               "|(?:" MONTHS "|" DAYS
               "|am|pm|ad|bc|at|on)(?![-a-z/.])|(?<=(?:^|[^-0-9])[0-9]+-)" MONTHS
               "(?![a-z.])|(?:j|jd|julian)(?=\\s*[0-9])|t(?=[0-9])|" ZONES ")*)$";
}

/* The letters at the start of `s`, in lower case. */
static struct slice take_letters(struct slice s, char *room, size_t size)
{
        size_t n = 0;
        for (; n < s.len && n < size && is_letter(s.p[n]); n++)
                room[n] = lower_of(s.p[n]);
        return slice_of(room, n);
}

/* Where a month may have a delimiter behind it. */
static size_t head_of(struct slice s)
{
        size_t at = 0;
        while (at < s.len && where_is_space(s.p[at]))
                at++;
        return at;
}

/* Behind a first number and a hyphen: 7-feb-1997. */
static bool follows_number(struct slice s, size_t at)
{
        size_t from = at ? at - 1 : 0;
        if (at < 2 || s.p[from] != '-' || !is_digit(s.p[from - 1]))
                return false;
        while (from && is_digit(s.p[from - 1]))
                from--;
        return from == 0 || s.p[from - 1] != '-';
}

/* May the month at s[at…end) stand there? */
static bool month_fits(struct slice s, size_t at, size_t end, size_t head)
{
        char next = end < s.len ? s.p[end] : ' ';
        if (next == '.')
                return false;
        if (next != '-' && next != '/')
                return true;
        return at == head || follows_number(s, at);
}

/* Digits and an offset: behind a date and a `t`, some versions refuse it as a time. */
static bool is_zoned_run(struct slice s, size_t at)
{
        while (at < s.len && is_digit(s.p[at]))
                at++;
        return at < s.len && strchr("-/.", s.p[at]);
}

static bool word_fits(struct slice s, const struct moment_word *w, size_t at, size_t end,
                      size_t head, bool time_only)
{
        char next = end < s.len ? s.p[end] : ' ';
        size_t after = end;
        switch (w->kind) {
        case MW_MONTH:
                return month_fits(s, at, end, head);
        case MW_JULIAN:
                while (after < s.len && where_is_space(s.p[after]))
                        after++;
                return after < s.len && is_digit(s.p[after]);
        case MW_T:
                return is_digit(next) && (!time_only || !is_zoned_run(s, end));
        case MW_UTC:
                return !strchr("-+/.", next) && !is_digit(next);
        case MW_DAY:
        case MW_AM:
        case MW_PM:
        case MW_AD:
        case MW_BC:
        case MW_IGNORED:
                return !strchr("-/.", next);
        case MW_NONE:
        default:
                return false;
        }
}

static bool is_of_time(enum moment_word_kind k)
{
        return k == MW_AM || k == MW_PM || k == MW_IGNORED || k == MW_T || k == MW_UTC;
}

bool moment_is_judged(struct slice s, bool time_only)
{
        size_t head = head_of(s);
        for (size_t at = 0; at < s.len;) {
                char c = s.p[at], room[16];
                if (!is_letter(c)) {
                        bool point = c == '.' && !(at + 1 < s.len && is_digit(s.p[at + 1]));
                        if (point || (signed char)c <= 0)
                                return false;
                        at++;
                        continue;
                }
                struct slice word =
                        take_letters(slice_of(s.p + at, s.len - at), room, sizeof(room));
                size_t end = at + word.len;
                const struct moment_word *w = moment_word_find(word);
                if (!w || (end < s.len && is_letter(s.p[end])) ||
                    (time_only && !is_of_time(w->kind)) ||
                    !word_fits(s, w, at, end, head, time_only))
                        return false;
                at = end;
        }
        return true;
}

/* ---- splitting */

struct splitter {
        struct slice s; /* what is left */
        char *out, *end;
        bool full;
};

static char peek(const struct splitter *p)
{
        return p->s.len ? p->s.p[0] : '\0';
}

static void skip(struct splitter *p)
{
        p->s = slice_of(p->s.p + 1, p->s.len - 1);
}

static void take(struct splitter *p)
{
        p->full |= p->out + 1 >= p->end;
        if (!p->full)
                *p->out++ = lower_of(peek(p));
        skip(p);
}

static void take_digits(struct splitter *p)
{
        while (is_digit(peek(p)))
                take(p);
}

static void take_while(struct splitter *p, const char *marks, bool digits, bool letters)
{
        for (char c = peek(p);
             c && (strchr(marks, c) || (digits && is_digit(c)) || (letters && is_letter(c)));
             c = peek(p))
                take(p);
}

static enum moment_field_kind take_number(struct splitter *p)
{
        take_digits(p);
        char delimiter[] = {peek(p), '\0'};
        if (delimiter[0] == ':') {
                take_while(p, ":.", true, false);
                return MF_CLOCK;
        }
        if (!delimiter[0] || !strchr("-/.", delimiter[0]))
                return MF_NUMBER;
        take(p);
        if (!is_digit(peek(p))) {
                take_while(p, delimiter, true, true);
                return MF_DATE;
        }
        take_digits(p);
        if (peek(p) == delimiter[0]) {
                take_while(p, delimiter, true, false);
                return MF_DATE;
        }
        return delimiter[0] == '.' ? MF_NUMBER : MF_DATE;
}

/* Letters before a delimiter begin a date; zones have been refused. */
static enum moment_field_kind take_word(struct splitter *p)
{
        take_while(p, "", false, true);
        char c = peek(p);
        if (!c || !strchr("-/.", c))
                return MF_WORD;
        take_while(p, "+-/_.:", true, true);
        return MF_DATE;
}

/* False: neither a zone nor a word. */
static bool take_signed(struct splitter *p, enum moment_field_kind *kind)
{
        take(p);
        while (where_is_space(peek(p)))
                skip(p);
        *kind = is_digit(peek(p)) ? MF_ZONE : MF_WORD;
        if (!is_digit(peek(p)) && !is_letter(peek(p)))
                return false;
        if (*kind == MF_ZONE)
                take_while(p, ":.-", true, false);
        else
                take_while(p, "", false, true);
        return true;
}

static bool is_punctuation(char c)
{
        return c > ' ' && c < 0x7f && !is_digit(c) && !is_letter(c);
}

/* False: no field can begin here. */
static bool take_field(struct splitter *p, enum moment_field_kind *kind)
{
        char c = peek(p);
        if (is_digit(c)) {
                *kind = take_number(p);
        } else if (c == '.') {
                take(p);
                take_digits(p);
                *kind = MF_NUMBER;
        } else if (is_letter(c)) {
                *kind = take_word(p);
        } else {
                return (c == '+' || c == '-') && take_signed(p, kind);
        }
        return true;
}

static bool is_ignored(char c)
{
        return where_is_space(c) || (is_punctuation(c) && !strchr(".+-", c));
}

int moment_split(struct slice text, size_t room, struct moment_fields *out)
{
        struct splitter p = {.s = text, .out = out->bytes, .end = out->bytes + room};
        out->n = 0;
        for (;;) {
                while (p.s.len && is_ignored(peek(&p)))
                        skip(&p);
                if (!p.s.len)
                        return 0;
                if (out->n == MOMENT_MAX_FIELDS)
                        return ERR_FORMAT;
                struct moment_field *f = &out->fields[out->n];
                f->text = p.out;
                if (!take_field(&p, &f->kind) || p.full)
                        return ERR_FORMAT;
                *p.out++ = '\0';
                out->n++;
        }
}
