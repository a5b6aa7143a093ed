/* Overload resolution as in Postgres' parse_oper.c and parse_func.c, on the operators among our
 * types. For the choice to be Postgres' choice the table must have every operator that our types
 * can reach by implicit casts. */
#include "services/router/where_node.h"

#include "common/base/assert.h"
#include "services/router/where_fn.h"

enum { MAX_ARGS = 2, MAX_CANDIDATES = 64 };

typedef const struct where_operator *candidate;

static bool is_implicit(enum where_type from, enum where_type to)
{
        return where_cast_kind(from, to) == CAST_IMPLICIT;
}

static enum where_type arg(candidate c, int i)
{
        return i == 0 ? c->left : c->right;
}

static candidate find_exact(struct slice name, enum where_type left, enum where_type right)
{
        if (left == WT_UNKNOWN)
                left = right;
        else if (right == WT_UNKNOWN)
                right = left;
        for (int i = 0; i < (int)where_n_operators; i++)
                if (where_operators[i].left == left && where_operators[i].right == right &&
                    slice_eq(slice_cstr(where_operators[i].name), name))
                        return &where_operators[i];
        return NULL;
}

/* Those whose operands are what is given, or come from it implicitly. */
static uint32_t keep_reachable(candidate table, uint32_t n_table, struct slice name,
                               const enum where_type *in, candidate *out, bool *known)
{
        uint32_t n = 0;
        for (uint32_t i = 0; i < n_table; i++) {
                candidate c = &table[i];
                if (!slice_eq(slice_cstr(c->name), name))
                        continue;
                bool prefix = in[0] == WT_COUNT;
                if (prefix != (c->left == WT_COUNT))
                        continue;
                *known = true;
                if ((!prefix && !is_implicit(in[0], c->left)) || !is_implicit(in[1], c->right))
                        continue;
                SLUICE_ASSERT(n < MAX_CANDIDATES);
                out[n++] = c;
        }
        return n;
}

static int exact_matches(candidate c, const enum where_type *in)
{
        return (in[0] != WT_UNKNOWN && c->left == in[0]) +
               (in[1] != WT_UNKNOWN && c->right == in[1]);
}

static int preferred_matches(candidate c, const enum where_type *in)
{
        int n = 0;
        for (int i = 0; i < MAX_ARGS; i++) {
                enum where_type t = arg(c, i);
                if (in[i] == WT_UNKNOWN || in[i] == WT_COUNT)
                        continue;
                n += t == in[i] || (where_type_preferred(t) &&
                                    where_type_category(t) == where_type_category(in[i]));
        }
        return n;
}

static uint32_t keep_best(candidate *list, uint32_t n, const enum where_type *in,
                          int (*score)(candidate, const enum where_type *))
{
        int best = 0;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < n; i++) {
                candidate c = list[i];
                int s = score(c, in);
                if (s > best) {
                        best = s;
                        kept = 0;
                }
                if (s == best)
                        list[kept++] = c;
        }
        return kept;
}

/* What an unknown operand would be: strings if any candidate takes one, else the category that all
 * agree on. False: they don't. */
static bool unknown_category(candidate *list, uint32_t n, int i, char *category, bool *preferred)
{
        bool conflict = false;
        *category = '\0';
        *preferred = false;
        for (uint32_t k = 0; k < n; k++) {
                enum where_type t = arg(list[k], i);
                char cat = where_type_category(t);
                if (*category == '\0' || cat == *category) {
                        *category = cat;
                        *preferred |= where_type_preferred(t);
                } else if (cat == 'S') {
                        *category = cat;
                        *preferred = where_type_preferred(t);
                } else {
                        conflict = true;
                }
        }
        return !conflict || *category == 'S';
}

static uint32_t resolve_unknowns(candidate *list, uint32_t n, const enum where_type *in)
{
        char category[MAX_ARGS];
        bool preferred[MAX_ARGS];
        uint32_t kept = 0;
        for (int i = 0; i < MAX_ARGS; i++)
                if (in[i] == WT_UNKNOWN &&
                    !unknown_category(list, n, i, &category[i], &preferred[i]))
                        return n;
        for (uint32_t k = 0; k < n; k++) {
                bool keep = true;
                for (int i = 0; i < MAX_ARGS; i++) {
                        enum where_type t = arg(list[k], i);
                        if (in[i] == WT_UNKNOWN)
                                keep &= where_type_category(t) == category[i] &&
                                        (!preferred[i] || where_type_preferred(t));
                }
                if (keep) {
                        candidate c = list[k];
                        list[k] = list[kept];
                        list[kept++] = c;
                }
        }
        return kept ? kept : n;
}

/* One known operand: the unknown one may be of its type. */
static candidate assume_same(candidate *list, uint32_t n, const enum where_type *in)
{
        enum where_type known = in[0] == WT_UNKNOWN ? in[1] : in[0];
        candidate found = NULL;
        if (known == WT_UNKNOWN || (in[0] != WT_UNKNOWN && in[1] != WT_UNKNOWN))
                return NULL;
        for (uint32_t k = 0; k < n; k++) {
                if (!is_implicit(known, list[k]->left) || !is_implicit(known, list[k]->right))
                        continue;
                if (found)
                        return NULL;
                found = list[k];
        }
        return found;
}

static candidate choose(candidate *list, uint32_t n, const enum where_type *in)
{
        if (n > 1)
                n = keep_best(list, n, in, exact_matches);
        if (n > 1)
                n = keep_best(list, n, in, preferred_matches);
        if (n > 1) {
                if (in[0] != WT_UNKNOWN && in[1] != WT_UNKNOWN)
                        return NULL;
                n = resolve_unknowns(list, n, in);
        }
        if (n > 1 && in[0] != WT_COUNT)
                return assume_same(list, n, in);
        return n == 1 ? list[0] : NULL;
}

/* With no type to go by Postgres chooses among all its types, and of those only the strings are
 * sure to be here. */
static bool is_guess(candidate c, const enum where_type *in)
{
        bool nothing_known = (in[0] == WT_UNKNOWN || in[0] == WT_COUNT) && in[1] == WT_UNKNOWN;
        return nothing_known && !where_type_is_string(c->right);
}

static enum where_select_result take(candidate found, candidate *out)
{
        *out = found;
        return found->fn || found->is_compare ? SELECT_FOUND : SELECT_NOT_HERE;
}

static enum where_select_result select_from(candidate table, uint32_t n_table, struct slice name,
                                            const enum where_type *in, candidate *out)
{
        candidate list[MAX_CANDIDATES];
        bool known = false;
        uint32_t n = keep_reachable(table, n_table, name, in, list, &known);
        candidate found = n ? choose(list, n, in) : NULL;
        if (!known)
                return SELECT_UNKNOWN_NAME;
        if (!found || is_guess(found, in))
                return SELECT_NO_OVERLOAD;
        return take(found, out);
}

enum where_select_result where_select_operator(struct slice name, enum where_type left,
                                               enum where_type right,
                                               const struct where_operator **out)
{
        enum where_type in[MAX_ARGS] = {left, right};
        candidate exact = left == WT_COUNT ? NULL : find_exact(name, left, right);
        if (!exact)
                return select_from(where_operators, where_n_operators, name, in, out);
        return take(exact, out);
}

enum where_select_result where_select_function(struct slice name, enum where_type left,
                                               enum where_type right,
                                               const struct where_operator **out)
{
        enum where_type in[MAX_ARGS] = {left, right};
        return select_from(where_functions, where_n_functions, name, in, out);
}

bool where_function_exists(struct slice name, uint32_t n_args)
{
        for (uint32_t i = 0; i < where_n_functions; i++) {
                candidate f = &where_functions[i];
                if (slice_eq(slice_cstr(f->name), name) && n_args == (f->left == WT_COUNT ? 1 : 2))
                        return true;
        }
        return false;
}

enum where_type where_select_common(const enum where_type *types, uint32_t n)
{
        SLUICE_ASSERT(n > 0);
        enum where_type best = types[0];
        for (uint32_t i = 1; i < n; i++) {
                enum where_type t = types[i];
                if (t == WT_UNKNOWN || t == best)
                        continue;
                if (best == WT_UNKNOWN)
                        best = t;
                else if (best == WT_OTHER || t == WT_OTHER ||
                         where_type_category(t) != where_type_category(best))
                        return WT_COUNT;
                else if (!where_type_preferred(best) && is_implicit(best, t) &&
                         !is_implicit(t, best))
                        best = t;
        }
        return best == WT_UNKNOWN ? WT_TEXT : best;
}
