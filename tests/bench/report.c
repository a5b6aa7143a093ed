#include "tests/bench/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/assert.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/machine.h"
#include "tests/bench/plot.h"

enum { FILE_BYTES = 16 << 20, LABEL_WIDTH = 34, CLAIM_WIDTH = 52 };

struct report {
        const struct options *opt;
        const char *mode;
        const struct column *columns;
        int column_count;
        int rows; /* of the current table */
        bool in_table;
        struct buf tables, notes, hists, claims; /* JSON, without the brackets around */
        struct buf claim_lines;                  /* text */
        struct plot *plot;
};

struct report *report_new(const char *mode, const struct options *opt)
{
        struct report *r = mem_new(struct report);
        r->mode = mode;
        r->opt = opt;
        buf_init(&r->tables, FILE_BYTES);
        buf_init(&r->notes, FILE_BYTES);
        buf_init(&r->hists, FILE_BYTES);
        buf_init(&r->claims, FILE_BYTES);
        buf_init(&r->claim_lines, FILE_BYTES);
        if (opt->plot_dir)
                r->plot = plot_new(opt->plot_dir, mode);
        return r;
}

static void comma(struct buf *b)
{
        if (b->len)
                buf_puts(b, ",\n  ");
}

static void close_table(struct report *r)
{
        if (r->in_table)
                buf_puts(&r->tables, "]}");
        r->in_table = false;
}

void report_table(struct report *r, const char *title, const struct column *columns, int count)
{
        SLUICE_ASSERT(count > 0 && count <= REPORT_COLUMNS);
        close_table(r);
        comma(&r->tables);
        buf_puts(&r->tables, "{\"title\":");
        buf_put_json_string(&r->tables, slice_cstr(title));
        buf_puts(&r->tables, ",\"rows\":[");
        r->in_table = true;
        r->columns = columns;
        r->column_count = count;
        r->rows = 0;
        printf("\n%s\n%-*s", title, LABEL_WIDTH, "");
        for (int i = 0; i < count; i++)
                printf(" %11s", columns[i].head);
        printf("\n");
        fflush(stdout);
}

void report_row(struct report *r, const char *label, const double *values)
{
        SLUICE_ASSERT(r->in_table);
        buf_puts(&r->tables, r->rows++ ? ",\n   {\"case\":" : "\n   {\"case\":");
        buf_put_json_string(&r->tables, slice_cstr(label));
        printf("%-*s", LABEL_WIDTH, label);
        for (int i = 0; i < r->column_count; i++) {
                const struct column *c = &r->columns[i];
                if (isnan(values[i])) {
                        printf(" %11s", "-");
                        buf_printf(&r->tables, ",\"%s\":null", c->key);
                } else {
                        printf(" %11.*f", c->decimals, values[i]);
                        buf_printf(&r->tables, ",\"%s\":%.*f", c->key, c->decimals + 2, values[i]);
                }
        }
        buf_putc(&r->tables, '}');
        printf("\n");
        fflush(stdout);
}

static bool reaches(double value, enum report_sense sense, double wanted)
{
        return sense == AT_MOST ? value <= wanted : value >= wanted;
}

void report_claim(struct report *r, const struct target *t, double value, const char *fmt, ...)
{
        char what[128];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(what, sizeof what, fmt, ap);
        va_end(ap);
        const char *sign = t->sense == AT_MOST ? "<=" : ">=";
        const char *verdict = reaches(value, t->sense, t->aim)    ? "aim"
                              : reaches(value, t->sense, t->done) ? "done"
                                                                  : "MISSED";
        comma(&r->claims);
        buf_puts(&r->claims, "{\"claim\":");
        buf_put_json_string(&r->claims, slice_cstr(what));
        buf_printf(&r->claims,
                   ",\"value\":%.4f,\"unit\":\"%s\",\"done\":%g,\"aim\":%g,\"verdict\":\"%s\"}",
                   value, t->unit, t->done, t->aim, verdict);
        buf_printf(&r->claim_lines, "%-*s %9.2f %-3s %-7s (done %s %g, aim %s %g)\n", CLAIM_WIDTH,
                   what, value, t->unit, verdict, sign, t->done, sign, t->aim);
}

static void put_claims(struct report *r)
{
        struct slice lines = buf_slice(&r->claim_lines);
        if (lines.len == 0)
                return;
        printf("\n%.*s", SLICE_FMT(lines));
        if (!r->opt->summary_file)
                return;
        FILE *f = fopen(r->opt->summary_file, "a");
        if (!f || fwrite(lines.p, 1, lines.len, f) != lines.len || fclose(f))
                fail("cannot write %s", r->opt->summary_file);
}

void report_note(struct report *r, const char *fmt, ...)
{
        char text[512];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        printf("  %s\n", text);
        fflush(stdout);
        comma(&r->notes);
        buf_put_json_string(&r->notes, slice_cstr(text));
}

void report_hist(struct report *r, const char *label, const struct hist *h)
{
        static const double quantiles[] = {0,   0.01, 0.05, 0.25,  0.5, 0.75,
                                           0.9, 0.95, 0.99, 0.999, 1};
        comma(&r->hists);
        buf_puts(&r->hists, "{\"case\":");
        buf_put_json_string(&r->hists, slice_cstr(label));
        buf_printf(&r->hists, ",\"count\":%llu,\"mean_ms\":%.4f,\"quantiles_ms\":{",
                   (unsigned long long)h->count, hist_mean(h) / 1e6);
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++)
                buf_printf(&r->hists, "%s\"%g\":%.4f", i ? "," : "", quantiles[i],
                           (double)hist_quantile(h, quantiles[i]) / 1e6);
        buf_puts(&r->hists, "}}");
        if (r->plot)
                plot_hist(r->plot, label, h);
}

static void put_machine(struct buf *out, const struct machine_use *use)
{
        buf_printf(out, "{\"cpus\":%d,\"seconds\":%.2f", use->cpus, use->seconds);
        for (int i = 0; i < MACHINE_SHARES; i++)
                if (!isnan(use->share[i]))
                        buf_printf(out, ",\"%s_percent\":%.2f", machine_share_name(i),
                                   use->share[i] * 100);
        buf_putc(out, '}');
}

static void print_machine(const struct machine_use *use)
{
        printf("  machine: %d cpus over %.1f s;", use->cpus, use->seconds);
        for (int i = 0; i < MACHINE_SHARES; i++)
                if (!isnan(use->share[i]))
                        printf(" %s %.0f %%%s", machine_share_name(i), use->share[i] * 100,
                               i + 1 < MACHINE_SHARES ? "," : "");
        printf("\n");
}

static void write_json(struct report *r, const struct machine_use *use)
{
        struct buf out;
        char when[32];
        time_t now = time(NULL);
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
        buf_init(&out, 3 * FILE_BYTES);
        buf_printf(&out, "{\"mode\":\"%s\",\"when\":\"%s\",\"url\":", r->mode, when);
        buf_put_json_string(&out, slice_cstr(r->opt->url));
        buf_puts(&out, ",\n \"machine\":");
        put_machine(&out, use);
        buf_puts(&out, ",\n \"tables\":[");
        buf_put_slice(&out, buf_slice(&r->tables));
        buf_puts(&out, "],\n \"histograms\":[");
        buf_put_slice(&out, buf_slice(&r->hists));
        buf_puts(&out, "],\n \"claims\":[");
        buf_put_slice(&out, buf_slice(&r->claims));
        buf_puts(&out, "],\n \"notes\":[");
        buf_put_slice(&out, buf_slice(&r->notes));
        buf_puts(&out, "]}\n");
        SLUICE_ASSERT(buf_status(&out) == 0);
        FILE *f = fopen(r->opt->json_file, "w");
        if (!f || fwrite(out.p, 1, out.len, f) != out.len || fclose(f))
                fail("cannot write %s", r->opt->json_file);
        buf_fini(&out);
}

void report_end(struct report *r, const struct machine_use *use)
{
        close_table(r);
        put_claims(r);
        print_machine(use);
        if (r->opt->json_file)
                write_json(r, use);
        if (r->plot)
                plot_end(r->plot);
        buf_fini(&r->tables);
        buf_fini(&r->notes);
        buf_fini(&r->hists);
        buf_fini(&r->claims);
        buf_fini(&r->claim_lines);
        mem_free(r);
}
